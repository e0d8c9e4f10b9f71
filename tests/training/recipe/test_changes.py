from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkling.training.errors import ConfigError, UnknownKeyError, UnreadableChangeError
from inkling.training.recipe.changes import changed
from inkling.training.recipe.recipe import Recipe, read_recipe

FIELDS: dict[str, Any] = {"name": "mine", "rate_hz": 10, "datasets": [{"path": "clips"}], "fit": {"epochs": 40}}


def test_any_key_is_changed_and_the_rest_stays() -> None:
    changes = ["fit.epochs=10", "student.hidden = 64", "seeds=[1, 2]", "datasets.0.repeat=2", "datasets.0.rename.a=b"]
    assert changed(FIELDS, changes, Recipe) == {
        "name": "mine",
        "rate_hz": 10,
        "datasets": [{"path": "clips", "repeat": 2, "rename": {"a": "b"}}],
        "fit": {"epochs": 10},
        "student": {"hidden": 64},
        "seeds": [1, 2],
    }
    assert FIELDS["fit"] == {"epochs": 40}, "what was given stays as it was"


@pytest.mark.parametrize("text", ['validation.select="last"', "validation.select=last"])
def test_a_string_needs_no_quotes(text: str) -> None:
    assert changed(FIELDS, [text], Recipe)["validation"] == {"select": "last"}


def test_a_whole_table_may_be_given() -> None:
    assert changed(FIELDS, ["fit={epochs = 3}"], Recipe)["fit"] == {"epochs": 3}


def test_of_two_changes_of_a_key_the_last_counts() -> None:
    assert changed(FIELDS, ["fit.epochs=1", "fit.epochs=2"], Recipe)["fit"]["epochs"] == 2


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("fit.epoch", "fit.epochs"), ("epochs", "fit.epochs"), ("hiden", "student.hidden"), ("rate", "rate_hz")],
)
def test_an_unknown_key_is_told_with_the_nearest_names(key: str, nearest: str) -> None:
    with pytest.raises(UnknownKeyError, match=rf"--set {key}: recipes have no such key; did you mean ") as caught:
        changed(FIELDS, [f"{key}=3"], Recipe)
    assert nearest in caught.value.nearest


def test_a_data_set_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownKeyError, match=r"did you mean datasets\.0\.repeat\?"):
        changed(FIELDS, ["datasets.1.repeat=2"], Recipe)


@pytest.mark.parametrize("text", ["fit.epochs", "=3", ""])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UnreadableChangeError, match="write KEY=VALUE"):
        changed(FIELDS, [text], Recipe)


def test_a_wrong_value_is_refused_as_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "mine"\nrate_hz = 10\n[[datasets]]\npath = "clips"\n')
    with pytest.raises(ConfigError, match=r"fit\.epochs: Input should be a valid integer"):
        read_recipe(tmp_path / "r.toml", ["fit.epochs=many"])
    assert read_recipe(tmp_path / "r.toml", ["fit.epochs=3"]).fit.epochs == 3
