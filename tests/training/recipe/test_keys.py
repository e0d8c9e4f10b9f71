from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from inkling.training.recipe.keys import recipe_keys, section_of
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Fit, Source

KEYS = {key.name: key for key in recipe_keys(Recipe)}


def test_every_key_has_a_description() -> None:
    assert [key.name for key in KEYS.values() if len(key.description) < 10] == []
    assert len(KEYS) > 100


def test_keys_have_their_defaults_and_say_whether_they_must_be_given() -> None:
    assert KEYS["fit.epochs"].default == 40
    assert KEYS["teacher.hidden"].default == 256
    assert KEYS["datasets.N.rename"].default == {}
    required = {name for name, key in KEYS.items() if key.required}
    sources = {f"{table}datasets{key}" for table in ("", "pretraining.") for key in ("", ".N.path")}
    assert required == {"name", "rate_hz", "recogniser.run"} | sources


def test_sections_come_before_their_keys() -> None:
    names = list(KEYS)
    assert KEYS["fit"].section is Fit
    assert KEYS["fit.epochs"].section is None
    assert names.index("fit") < names.index("fit.epochs") < names.index("fit_teacher")


@pytest.mark.parametrize(
    ("annotation", "section"),
    [(Fit, Fit), (Fit | None, Fit), (tuple[Source, ...], Source), (int, None), (dict[str, Fit], None)],
)
def test_a_section_is_found_behind_lists_and_options(annotation: Any, section: type[BaseModel] | None) -> None:
    assert section_of(annotation) is section
