from __future__ import annotations

import json
from pathlib import Path

import pytest

from inkling.models.bundle.schema import Temperature
from inkling.training.errors import ConfigError, DataMovedError
from inkling.training.files import write_text
from inkling.training.recipe.recipe import Recipe
from inkling.training.run import RESULT_FILE, Run, SeedResult
from tests.training.support import STICK, tiny_recipe


def result(seed: int, auc: float) -> SeedResult:
    return SeedResult(
        seed=seed,
        labels=("a", "b"),
        skeleton=STICK.body(),
        student_auc=auc,
        teacher_auc=None,
        calibration=Temperature(),
        train_clips=1,
        val_clips=1,
        origins=(),
        created="",
        git_commit="",
        libraries={},
    )


def put(run: Run, found: SeedResult) -> None:
    run.seed_directory(found.seed).mkdir(parents=True)
    write_text(run.seed_directory(found.seed) / RESULT_FILE, found.model_dump_json())


def test_a_run_is_opened_with_its_recipe(tmp_path: Path) -> None:
    Run.begin(tmp_path / "run", tiny_recipe(), "data")
    assert Run.open(tmp_path / "run").recipe == tiny_recipe()


def test_the_same_fit_may_continue_with_more_seeds(tmp_path: Path) -> None:
    Run.begin(tmp_path / "run", tiny_recipe(), "data")
    assert Run.begin(tmp_path / "run", tiny_recipe(seeds=(0, 1)), "data").recipe.seeds == (0, 1)
    assert Run.open(tmp_path / "run").recipe.seeds == (0, 1)


@pytest.mark.parametrize(
    ("recipe", "data", "reason"),
    [(tiny_recipe(rate_hz=11), "data", "another recipe"), (tiny_recipe(), "other", "clips are not those")],
)
def test_another_fit_is_refused(tmp_path: Path, recipe: Recipe, data: str, reason: str) -> None:
    Run.begin(tmp_path / "run", tiny_recipe(), "data")
    with pytest.raises(ConfigError, match=reason):
        Run.begin(tmp_path / "run", recipe, data)


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(ConfigError, match="not empty and no run"):
        Run.begin(tmp_path, tiny_recipe(), "data")
    with pytest.raises(ConfigError, match="no run directory"):
        Run.open(tmp_path)


def test_a_run_of_another_release_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"recipe": {}, "data": ""}')
    with pytest.raises(ConfigError, match="does not fit this release"):
        Run.open(tmp_path)


def test_the_best_seed_is_chosen_unless_one_is_named(tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "run", tiny_recipe(seeds=(0, 1, 2)), "data")
    for seed, auc in ((0, 0.5), (1, 0.9)):
        put(run, result(seed, auc))
    assert sorted(run.results()) == [0, 1]
    assert run.chosen().seed == 1
    assert run.chosen(0).seed == 0
    with pytest.raises(ConfigError, match="of seed 2"):
        run.chosen(2)


def test_a_run_without_a_finished_seed_has_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished fit"):
        Run.begin(tmp_path / "run", tiny_recipe(), "data").chosen()


def test_a_result_of_an_earlier_release_has_one_temperature_and_no_rule() -> None:
    older = result(0, 0.5).model_dump(mode="json") | {"temperature": 0.8}
    del older["calibration"], older["stopping"]
    found = SeedResult.model_validate(older)
    assert found.calibration == Temperature(temperature=0.8)
    assert found.stopping is None


def test_networks_of_a_run_from_before_features_were_standardised_have_no_such_layer(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    Run.begin(tmp_path, recipe, "data")
    file = tmp_path / "run.json"
    known = json.loads(file.read_text())
    assert Run.open(tmp_path).recipe == recipe
    for name in ("student", "teacher"):
        del known["recipe"][name]["standardised"]
    file.write_text(json.dumps(known))
    old = Run.open(tmp_path).recipe
    assert not old.student.standardised
    assert not old.teacher.standardised


def test_where_the_data_lie_is_remembered_until_it_is_said_anew(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "sticks").mkdir(parents=True)
    Run.begin(tmp_path / "run", tiny_recipe(), "data", first)
    assert Run.open(tmp_path / "run").data_root() == first
    assert Run.begin(tmp_path / "run", tiny_recipe(), "data").data_root() == first
    assert Run.open(tmp_path / "run").data_root(second) == second
    assert Run.begin(tmp_path / "run", tiny_recipe(), "data", second).root == second
    with pytest.raises(DataMovedError, match=r"was trained on data in .*second, and .*second/sticks is not there"):
        Run.open(tmp_path / "run").data_root()


def test_a_run_of_an_earlier_release_does_not_know_where_its_data_lie(tmp_path: Path) -> None:
    Run.begin(tmp_path, tiny_recipe(), "data", tmp_path)
    file = tmp_path / "run.json"
    known = json.loads(file.read_text())
    del known["root"]
    file.write_text(json.dumps(known))
    assert Run.open(tmp_path).root is None
    assert Run.open(tmp_path).data_root() == Path()
