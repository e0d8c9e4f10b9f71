from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.support import tiny_recipe, write_stick_set
from tests.training.test_study import study
from training.errors import ConfigError
from training.reproduce import Outcome, outcomes, recipe_key, reproduce

FAST: dict[str, Any] = {"fit": {"epochs": 2, "batch_size": 8, "learning_rate": 0.02}}
BASE = tiny_recipe(**FAST).model_dump(mode="json", exclude_none=True)
STUDY = study(
    sets={"sticks": {"splits": ["one"]}},
    methods={
        "baseline": {"distillation": {"alpha": 0, "beta": 0}},
        "both": {},
        "pseudo": {"distillation": {"alpha": 0, "beta": 0, "pseudo_labels": True}},
    },
    labelled=[0.5],
    seeds=[0],
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "one")
    return root


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    reproduce(STUDY, BASE, out, data)
    return out


def by_method(out: Path) -> dict[str, Outcome]:
    return {outcome.method: outcome for outcome in outcomes(STUDY, out)}


def test_every_fit_leaves_what_came_out_of_it(done: Path) -> None:
    found = by_method(done)
    assert list(found) == ["baseline", "both", "pseudo"]
    for outcome in found.values():
        assert len(outcome.accuracy) == 10
        assert outcome.auc == pytest.approx(sum(outcome.accuracy) / 10, abs=1e-4)
        assert outcome.test_clips == 12
        assert 0 < outcome.labelled_clips < outcome.train_clips


def test_all_methods_have_the_same_labelled_clips_and_share_their_teacher(done: Path) -> None:
    found = by_method(done)
    assert len({(o.labelled_clips, o.train_clips, o.data) for o in found.values()}) == 1
    assert found["baseline"].teacher_accuracy is None
    assert found["both"].teacher_accuracy == found["pseudo"].teacher_accuracy is not None
    assert len(list((done / "teachers").iterdir())) == 1


def test_what_is_done_is_kept_and_what_is_missing_is_fitted_to_the_same_figures(done: Path, data: Path) -> None:
    paths = {cell.method: done / cell.path for cell in STUDY.cells()}
    before, text = by_method(done), paths["baseline"].read_text()
    paths["both"].unlink()
    lines: list[str] = []
    reproduce(STUDY, BASE, done, data, report=lines.append)
    assert len(lines) == 1
    assert "both" in lines[0]
    assert paths["baseline"].read_text() == text
    ignored = {"created", "seconds", "git_commit"}
    assert by_method(done)["both"].model_dump(exclude=ignored) == before["both"].model_dump(exclude=ignored)


def test_another_recipe_or_other_clips_are_not_mixed_in(done: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another recipe"):
        reproduce(STUDY, BASE | {"rate_hz": 5.0}, done, data)
    write_stick_set(tmp_path / "one", seed=7)
    with pytest.raises(ConfigError, match="other clips"):
        reproduce(STUDY, BASE, done, tmp_path)


def test_a_broken_outcome_is_named(done: Path, tmp_path: Path) -> None:
    path = tmp_path / next(STUDY.cells()).path
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"seed-0\.json"):
        outcomes(STUDY, tmp_path)


def test_a_set_without_test_clips_is_refused(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "one", test=0)
    with pytest.raises(ConfigError, match="no clips of the split 'test'"):
        reproduce(STUDY, BASE, tmp_path / "out", tmp_path)


def test_a_recipes_key_is_of_what_it_says_otherwise_than_by_default() -> None:
    recipe = tiny_recipe()
    assert recipe_key(recipe) == recipe_key(tiny_recipe(seeds=(4,), name="other", labelled=1.0))
    assert recipe_key(recipe) != recipe_key(tiny_recipe(labelled=0.5))
    assert recipe_key(recipe, "labelled") == recipe_key(tiny_recipe(labelled=0.5), "labelled")


def test_the_progress_clock_gives_every_clip_the_same_number_of_steps(data: Path, tmp_path: Path) -> None:
    still = {"speed": 1, "crop": 0}
    levels = {"clock": "progress", "levels": 10, "streaming": {"chance": 0}, "augmentation": still}
    part = STUDY.restricted(methods=["baseline"])
    reproduce(part, BASE | levels, tmp_path, data)
    assert len(outcomes(part, tmp_path)) == 1
