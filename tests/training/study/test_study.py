from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import RECIPES, Recipe, read_recipe
from inkling.training.study.study import Study, is_study, merged, read_study
from tests.training.support import tiny_recipe

BASE: dict[str, Any] = tiny_recipe().model_dump(mode="json", exclude_none=True)


def study(**changes: Any) -> Study:
    fields: dict[str, Any] = {
        "name": "tiny-study",
        "base": "tiny",
        "sets": {"sticks": {"splits": ["one", "two"]}},
        "methods": {"baseline": {"distillation": {"alpha": 0, "beta": 0}}, "both": {}},
        "labelled": [1.0, 0.5],
        "seeds": [3, 4],
    }
    return Study.model_validate(fields | changes)


def test_an_unfinished_study_has_every_method_of_its_first_seeds() -> None:
    cells = list(study().cells())
    assert len(cells) == 16
    assert [cell.seed for cell in cells] == [3] * 8 + [4] * 8
    assert [cell.method for cell in cells[:2]] == ["baseline", "both"]
    assert len({cell.path for cell in cells}) == 16


def test_a_fit_is_the_base_with_what_the_study_its_set_and_its_method_say() -> None:
    wanted = study(
        recipe={"rate_hz": 9, "fit": {"epochs": 7}},
        sets={"sticks": {"splits": ["one"], "occluded": "keep", "recipe": {"fit": {"epochs": 8}}}},
    )
    baseline, both = (wanted.recipe_of(cell, BASE) for cell in list(wanted.cells())[:2])
    assert (baseline.rate_hz, baseline.fit.epochs, baseline.fit.batch_size) == (9, 8, tiny_recipe().fit.batch_size)
    assert (baseline.distillation.alpha, both.distillation.alpha) == (0, 0.5)
    assert baseline.datasets[0].path == Path("one")
    assert baseline.datasets[0].occluded == "keep"
    assert (baseline.labelled, baseline.seeds) == (1.0, (3,))


def test_tables_go_over_tables_and_everything_else_replaces() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2], "e": 0}) == {
        "a": {"b": 1, "c": 3},
        "d": [2],
        "e": 0,
    }


def test_a_method_that_is_no_recipe_is_refused_with_its_name() -> None:
    wanted = study(methods={"wrong": {"distillation": {"gamma": 1}}})
    with pytest.raises(ConfigError, match=r"wrong, seed 3: distillation\.gamma"):
        wanted.recipe_of(next(wanted.cells()), BASE)


def test_a_part_of_a_study_keeps_the_baseline() -> None:
    part = study().restricted(methods=["both"], labelled=[0.5], seeds=[9])
    assert (list(part.methods), part.labelled, part.seeds) == (["baseline", "both"], (0.5,), (9,))
    assert part.sets == study().sets


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sets": ["no"]}, "no set no"),
        ({"methods": ["no"]}, "no method no"),
        ({"labelled": [0.2]}, r"no labelled share 0\.2"),
    ],
)
def test_what_a_study_does_not_have_cannot_be_asked_for(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        study().restricted(**asked)


def test_a_study_can_be_run_on_other_sets() -> None:
    other = study().on({"mine": [Path("a"), Path("b")]})
    assert {cell.split for cell in other.cells()} == {Path("a"), Path("b")}


def test_seeds_are_different() -> None:
    with pytest.raises(ValueError, match="different"):
        study(seeds=[1, 1])


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml") if is_study(path)))
def test_every_fit_of_a_shipped_study_is_a_recipe(name: str) -> None:
    wanted, base = read_study(name)
    for part in (wanted, wanted.on({"mine": [Path("mine")]})):
        cells = list(part.cells())
        assert cells
        for cell in cells:
            assert isinstance(part.recipe_of(cell, base), Recipe)


def test_a_study_is_no_recipe_and_a_recipe_no_study() -> None:
    with pytest.raises(ConfigError, match="reproduce"):
        read_recipe("paper-table-1")
    with pytest.raises(ConfigError, match="names no base"):
        read_study("body-actions")


def test_a_base_beside_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('name = "base"\nrate_hz = 10.0\n[[datasets]]\npath = "sticks"\n')
    text = 'name = "s"\nbase = "base.toml"\n[sets.sticks]\nsplits = ["sticks"]\n[methods.both]\n'
    (tmp_path / "study.toml").write_text(text)
    found, base = read_study(tmp_path / "study.toml")
    assert found.recipe_of(next(found.cells()), base).rate_hz == 10


@pytest.mark.parametrize("text", ["name = ", 'name = "s"\nbase = "paper"\nsets = 3\n'])
def test_a_broken_study_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"study\.toml"):
        read_study(tmp_path / "study.toml")


def test_a_set_may_be_without_a_method() -> None:
    sets = {"sticks": {"splits": ["one"], "without": ["both"]}, "stones": {"splits": ["two"]}}
    wanted = study(sets=sets, labelled=[1.0], seeds=[0])
    assert [(cell.set, cell.method) for cell in wanted.cells()] == [
        ("sticks", "baseline"),
        ("stones", "baseline"),
        ("stones", "both"),
    ]
    assert len(list(wanted.restricted(sets=["sticks"]).cells())) == 1


@pytest.mark.parametrize(("method", "said"), [("none", "is no method"), ("baseline", "are compared with")])
def test_what_a_set_cannot_be_without_is_said(method: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(sets={"sticks": {"splits": ["one"], "without": [method]}})


def test_a_method_that_would_learn_its_own_set_first_is_refused_with_its_name() -> None:
    wanted = study(methods={"baseline": {}, "first": {"pretraining": {"datasets": [{"path": "two"}]}}})
    cells = [cell for cell in wanted.cells() if cell.method == "first"]
    assert wanted.recipe_of(cells[0], BASE).first is not None
    with pytest.raises(ConfigError, match=r"two, 100 % labelled, first, seed 3: .*two is a data set of the recipe"):
        wanted.recipe_of(next(cell for cell in cells if cell.split == Path("two")), BASE)
