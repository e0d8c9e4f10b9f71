"""Keys of a recipe changed from the command line: `fit.epochs=10`, `validation.select="last"`, `datasets.0.repeat=2`.

The value is TOML. A word that is no TOML value is taken as a string, since shells take quotes away.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from inkling.training.errors import UnknownKeyError, UnreadableChangeError
from inkling.training.recipe.keys import recipe_keys

NEAREST = 3
"""Names that are suggested in place of an unknown one."""


def changed(fields: Mapping[str, Any], changes: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a recipe file with `KEY=VALUE` changes applied, in their order; `fields` stays as it is.

    Raises UnreadableChangeError for what is no `KEY=VALUE`, UnknownKeyError for a key that `model` does not have.
    Whether the values fit is for the model to say.
    """
    names = {key.name for key in recipe_keys(model)}
    result: dict[str, Any] = deepcopy(dict(fields))
    for change in changes:
        key, separator, text = change.partition("=")
        key = key.strip()
        if not separator or not key:
            raise UnreadableChangeError(change)
        general = ".".join("N" if part.isdigit() else part for part in key.split("."))
        if general not in names and not _below_table(general, names):
            raise UnknownKeyError(key, nearest_names(key, names))
        _put(result, key, key.split("."), _value(text.strip()))
    return result


def nearest_names(key: str, names: set[str]) -> list[str]:
    """The known names that look most like a key, best first: names that end alike, then names that look alike."""
    last = key.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for name in sorted(names):
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    alike = difflib.get_close_matches(key, sorted(names), NEAREST)
    ends_alike = [name for end in difflib.get_close_matches(last, list(by_last), 2, 0.7) for name in by_last[end]]
    both = [name for name in alike if name in ends_alike]
    return list(dict.fromkeys([*both, *ends_alike, *alike]))[:NEAREST]


def _below_table(key: str, names: set[str]) -> bool:
    """Whether a key lies in a free table, such as `datasets.0.rename.golf` or `losses.states`."""
    table = key.rpartition(".")[0]
    return table in ("datasets.N.rename", "losses") and table in names


def _put(table: Any, key: str, parts: Sequence[str], value: Any) -> None:
    """Set a value in nested tables and lists of tables; missing tables are made, list entries are not."""
    for part, following in pairwise(parts):
        if isinstance(table, list):
            table = _entry(table, key, part)
        else:
            if not isinstance(table.get(part), dict | list):
                table[part] = [] if following.isdigit() else {}
            table = table[part]
    if isinstance(table, list):
        _entry(table, key, parts[-1])
        table[int(parts[-1])] = value
    else:
        table[parts[-1]] = value


def _entry(entries: list[Any], key: str, part: str) -> Any:
    if not part.isdigit() or int(part) >= len(entries):
        numbers = [key.replace(f".{part}", f".{number}", 1) for number in range(len(entries))]
        raise UnknownKeyError(key, numbers[:NEAREST])
    return entries[int(part)]


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
