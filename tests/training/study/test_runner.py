from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile, Split
from inkling.training.errors import ConfigError
from inkling.training.study.runner import CellOutcome, outcomes, read_outcome, recipe_key, reproduce
from inkling.training.study.study import merged, read_study
from tests.training.study.test_study import study
from tests.training.support import tiny_recipe, write_stick_set

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


def by_method(out: Path) -> dict[str, CellOutcome]:
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


def test_the_shipped_studies_fit_a_3d_set_of_another_skeleton(tmp_path: Path) -> None:
    write_body_set(tmp_path / "kinect")
    quick = {"fit": {"epochs": 2}, "student": {"hidden": 8}, "teacher": {"hidden": 8}}
    for name in ("table-3", "paper-table-3"):
        wanted, base = read_study(name)
        part = wanted.on({"kinect": [Path("kinect")]}).restricted(labelled=[0.25], seeds=[0])
        part = part.model_copy(update={"recipe": merged(part.recipe, quick)})
        reproduce(part, base, tmp_path / name, tmp_path)
        found = outcomes(part, tmp_path / name)
        assert [o.method for o in found] == list(part.methods)
        assert all(o.labelled_clips == 4 for o in found)


def write_body_set(directory: Path) -> None:
    """Twenty joints in space, two actions: one arm is lifted, or the other; in metres, at 30 Hz."""
    rng = np.random.default_rng(0)
    joints = ("hip", *(f"joint{i}" for i in range(19)))
    about = DatasetFile(skeleton="kinect-like", joints=joints, root=("hip",), dimensions=3, fps=30)
    clips = []
    for i in range(24):
        action = i % 2
        body = np.repeat(np.linspace(0, 1.7, 20)[:, None] * np.array([[0.3, 1.0, 0.1]]), 1, 0)
        points = np.repeat(body[None], 40, 0) + rng.normal(0, 0.01, (40, 20, 3)) + rng.normal(0, 1, 3)
        points[:, 4 + 5 * action, 1] += np.linspace(0, 0.8, 40)
        split: Split = "train" if i < 16 else "test"
        clips.append(NewClip(f"{i}", points.astype(np.float32), f"lift{action}", split, f"{i // 4}"))
    write(directory, about, clips)


def test_what_is_learned_first_is_learned_once_for_all_methods_and_splits(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1), ("more", 2)):
        write_stick_set(tmp_path / name, train=4, seed=seed)
    first = {"pretraining": {"datasets": [{"path": "more"}], "epochs": 1}}
    alone, later = ({"distillation": {"alpha": 0, "beta": beta}} for beta in (0, 0.5))
    wanted = study(
        sets={"sticks": {"splits": ["one", "two"]}},
        methods={"plain": alone, "first": alone | first, "self": later | first, "both": first},
        labelled=[1.0],
        seeds=[0],
    )
    out = tmp_path / "study"
    reproduce(wanted, BASE, out, tmp_path)
    kept = sorted((out / "pretrained").iterdir())
    assert len(kept) == 2, "of the student and of the teacher"
    assert len(list((out / "teachers").iterdir())) == 2, "of two splits"
    found = {(outcome.split, outcome.method): outcome for outcome in outcomes(wanted, out)}
    assert len(found) == 8
    for split in ("one", "two"):
        assert len({found[split, method].data for method in ("first", "self", "both")}) == 1
        assert found[split, "plain"].data != found[split, "first"].data
        assert len({found[split, method].recipe for method in wanted.methods}) == 4
    part = wanted.restricted(methods=["first"]).on({"sticks": [Path("two")]})
    cell = next(cell for cell in part.cells() if cell.method == "first")
    ignored = {"created", "seconds", "git_commit"}
    for learned_again in (False, True):
        (out / cell.path).unlink()
        if learned_again:
            for path in kept:
                path.unlink()
        reproduce(part, BASE, out, tmp_path)
        again = read_outcome(out / cell.path)
        assert again is not None
        assert again.model_dump(exclude=ignored) == found["two", "first"].model_dump(exclude=ignored)
    assert len(list((out / "pretrained").iterdir())) == 1, "the student alone was asked for"
