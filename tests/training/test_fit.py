from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inkling.models.bundle import load
from inkling.models.bundle.schema import TimedTemperature
from inkling.models.errors import InklingError
from inkling.training.calibrate.validation import recalibrate
from inkling.training.data.corpus import load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.spans import Span
from inkling.training.distill.loop import train
from inkling.training.distill.stages import first_student, student_learner
from inkling.training.errors import ConfigError, DataError
from inkling.training.evaluate.evaluation import evaluate_run
from inkling.training.export.bundle import export
from inkling.training.fit import fit
from inkling.training.run import Run
from tests.training.support import STICK, read_rows, stick_clip, tiny_recipe, write_rows, write_stick_set

KILLED = 9
FORKS = multiprocessing.get_context("forkserver")
"""Its processes begin with torch loaded, which takes longer than the fits of these tests."""
FORKS.set_forkserver_preload([__name__])


def weights(run: Run, name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run.seed_directory(0) / name, weights_only=True)
    return found


def victim(out: Path, data: Path, moment: str, changes: dict[str, Any]) -> None:
    """A fit that ends, without a chance to tidy up, as it reports `moment`."""

    def report(line: str) -> None:
        if moment in line:
            os._exit(KILLED)

    torch.set_num_threads(1)
    fit(tiny_recipe(**changes), out, data, device="cpu", report=report)


def killed(out: Path, data: Path, moment: str, **changes: Any) -> None:
    process = FORKS.Process(target=victim, args=(out, data, moment, changes))
    process.start()
    process.join()
    assert process.exitcode == KILLED
    assert list(out.rglob("last.ckpt"))


def test_a_fit_leaves_weights_result_and_curves(finished: tuple[Run, Path]) -> None:
    run, _ = finished
    names = {path.name for path in run.seed_directory(0).iterdir()}
    assert names >= {"student.pt", "teacher.pt", "result.json", "tensorboard"}
    assert not names & {"student", "teacher"}, "checkpoints are gone once their stage is done"
    result = run.chosen()
    assert result.labels == ("nod", "raise", "spread")
    assert result.teacher_auc is not None
    assert result.student_auc > 0.5
    assert result.val_clips + result.train_clips == 36
    assert isinstance(result.calibration, TimedTemperature)
    assert 0.05 <= result.calibration.later <= 20


def test_a_killed_fit_ends_with_the_weights_of_an_uninterrupted_one(finished: tuple[Run, Path], tmp_path: Path) -> None:
    whole, data = finished
    out = tmp_path / "run"
    for moment in ("teacher: epoch 2/3", "student: epoch 2/3"):
        killed(out, data, moment)
    continued = fit(tiny_recipe(), out, data, device="cpu")
    for name in ("teacher.pt", "student.pt"):
        expected, found = weights(whole, name), weights(continued, name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert torch.equal(value, found[key]), f"{name}: {key}"
    ignored = {"created", "git_commit"}
    assert continued.chosen().model_dump(exclude=ignored) == whole.chosen().model_dump(exclude=ignored)


def test_a_finished_seed_is_not_trained_again_and_new_ones_are(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    recipe = tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1})
    first = fit(recipe, tmp_path / "run", data, device="cpu")
    written = (first.seed_directory(0) / "result.json").read_text()
    lines: list[str] = []
    more = recipe.model_copy(update={"seeds": (0, 1)})
    second = fit(more, tmp_path / "run", data, device="cpu", report=lines.append)
    assert sorted(second.results()) == [0, 1]
    assert (first.seed_directory(0) / "result.json").read_text() == written
    assert [line for line in lines if "seed 0" in line or "seed-0" in line] == ["seed 0: done already"]


def test_in_folds_every_clip_is_trained_on_and_answered_by_a_student_that_was_not(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    _, data = finished
    validation = {"share": 0, "folds": 2, "select": "last"}
    changes: dict[str, Any] = {"validation": validation, "distillation": {"alpha": 0}}
    out = tmp_path / "run"
    killed(out, data, "fold-1 student: epoch 2/3", **changes)
    run = fit(tiny_recipe(**changes), out, data, device="cpu")
    result = run.chosen()
    assert (result.train_clips, result.val_clips) == (36, 36)
    assert result.stopping is not None
    networks = [run.student(result, part).get_parameter("classify.weight") for part in (None, 0, 1)]
    assert not torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[1], networks[2])
    before = (run.seed_directory(0) / "result.json").read_text()
    recalibrate(run, data, lambda line: None)
    assert (run.seed_directory(0) / "result.json").read_text() == before


def test_without_its_share_of_the_loss_there_is_no_teacher(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    run = fit(tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1}), tmp_path / "run", data, device="cpu")
    assert run.chosen().teacher_auc is None
    assert not (run.seed_directory(0) / "teacher.pt").exists()


def test_unlabelled_clips_and_three_dimensions_are_trained_on(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=0, unlabelled=4)
    text = (tmp_path / "sticks" / "dataset.toml").read_text().replace('"stick"', '"stick3"')
    (tmp_path / "sticks" / "dataset.toml").write_text(text + "dimensions = 3\n")
    run = fit(tiny_recipe(fit={"epochs": 1}), tmp_path / "run", tmp_path, device="cpu")
    skeleton = run.chosen().skeleton
    assert skeleton is not None
    assert skeleton.dimensions == 3


def test_bad_data_stops_a_fit_before_it_begins(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=0)
    rows = read_rows(tmp_path / "sticks")
    write_rows(tmp_path / "sticks", [*rows[:-1], rows[-1] | {"path": "poses/none.npz"}])
    with pytest.raises(DataError, match=r"clips\.csv:13: poses/none\.npz: no such file"):
        fit(tiny_recipe(), tmp_path / "run", tmp_path, device="cpu")
    assert not (tmp_path / "run").exists()


def test_background_needs_a_body_that_can_be_made_up(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    with pytest.raises(InklingError, match="body13"):
        fit(tiny_recipe(background={"clips": 5}), tmp_path / "run", data, device="cpu")


def test_the_callers_randomness_is_left_alone(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fit(tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1}), tmp_path / "run", data, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_the_recipe_lies_in_the_run(finished: tuple[Run, Path]) -> None:
    run, _ = finished
    assert json.loads((run.directory / "run.json").read_text())["recipe"]["name"] == "tiny"


def test_several_teachers_and_pseudo_labels_are_trained_from(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=0, unlabelled=4)
    quick = {"fit": {"epochs": 1}}
    run = fit(tiny_recipe(distillation={"teachers": 2}, **quick), tmp_path / "two", tmp_path, device="cpu")
    assert (run.seed_directory(0) / "teacher-1.pt").exists()
    pseudo = {"alpha": 0, "beta": 0, "pseudo_labels": True}
    run = fit(tiny_recipe(distillation=pseudo, **quick), tmp_path / "pseudo", tmp_path, device="cpu")
    assert run.chosen().teacher_auc is not None


def test_a_fit_needs_validation_clips(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    with pytest.raises(InklingError, match=r"give validation\.share or validation\.folds"):
        fit(tiny_recipe(validation={"share": 0, "select": "last"}), tmp_path / "run", data, device="cpu")


class Seen:
    """Who is told of a run's progress."""

    def __init__(self) -> None:
        self.epochs = 0
        self.stages: dict[str, tuple[int, int]] = {}

    def begin(self, epochs: int) -> None:
        self.epochs = epochs

    def epoch(self, stage: str, done: int, total: int, loss: float, auc: float) -> None:
        self.stages[stage] = (done, total)


def test_progress_counts_the_epochs_of_all_stages_and_few_clips_are_warned_of(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    _, data = finished
    validation = {"share": 0, "folds": 2, "select": "last"}
    recipe = tiny_recipe(fit={"epochs": 1}, fit_teacher={"epochs": 2}, validation=validation, seeds=(0, 1))
    seen, lines = Seen(), list[str]()
    fit(recipe, tmp_path / "run", data, device="cpu", progress=seen, report=lines.append)
    names = [f"seed {seed}{part} {name}" for seed in (0, 1) for part in ("", " fold-0", " fold-1") for name in NAMES]
    assert sorted(seen.stages) == sorted(names)
    assert all(done == total for done, total in seen.stages.values())
    assert seen.epochs == sum(total for _, total in seen.stages.values()) == 2 * 3 * (1 + 2)
    assert not [line for line in lines if "Only" in line], "36 clips are not few"
    (tmp_path / "run" / "seed-1" / "result.json").unlink()
    again = Seen()
    fit(recipe, tmp_path / "run", data, device="cpu", progress=again)
    assert (again.epochs, again.stages) == (0, {}), "all its stages are done"


NAMES = ("teacher", "student")


FIRST = {"pretraining": {"datasets": [{"path": "more"}], "epochs": 2}, "distillation": {"teachers": 2}}
UNTAUGHT = {"distillation": {"alpha": 0}}


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sticks`, and `more` to be learned first."""
    data = tmp_path_factory.mktemp("data")
    write_stick_set(data / "sticks", train=6)
    write_stick_set(data / "more", train=6, actions=("raise", "kick"), seed=9)
    about = (data / "more" / "dataset.toml").read_text()
    (data / "more" / "dataset.toml").write_text(about.replace("Sticks that were", "More that was"))
    return data


def test_a_student_goes_on_from_what_it_learned_first(two_sets: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(**(FIRST | UNTAUGHT))
    lines: list[str] = []
    run = fit(recipe, tmp_path / "run", two_sets, device="cpu", report=lines.append)
    assert lines[0].endswith("for validation, 12 learned first")
    assert [line for line in lines if "seed-0 pretrained: epoch" in line][-1].startswith("seed-0 pretrained: epoch 2/2")
    corpus = load_corpus(recipe, two_sets)
    first = first_student(recipe, corpus, 0)
    assert first is not None
    train(first, device="cpu")
    learner = student_learner(recipe, corpus, draw_fold(corpus, recipe, 0), 0, None, first.network)
    train(learner, device="cpu")
    for name, network in (("pretrained.pt", first.network), ("student.pt", learner.network)):
        found = weights(run, name)
        for key, value in network.state_dict().items():
            assert torch.equal(value, found[key]), f"{name}: {key}"


def test_a_fit_killed_in_what_it_learns_first_goes_on_with_it(two_sets: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(**FIRST)
    whole = fit(recipe, tmp_path / "whole", two_sets, device="cpu")
    for moment in ("pretrained-teacher-1: epoch 2/2", "seed-0 teacher-1: epoch 2/3", "pretrained: epoch 2/2"):
        killed(tmp_path / "run", two_sets, moment, **FIRST)
    lines: list[str] = []
    continued = fit(recipe, tmp_path / "run", two_sets, device="cpu", report=lines.append)
    assert not [line for line in lines if "teacher" in line], "what was done is done"
    stages = ("pretrained-teacher", "teacher", "pretrained-teacher-1", "teacher-1", "pretrained", "student")
    for name in stages:
        expected, found = weights(whole, f"{name}.pt"), weights(continued, f"{name}.pt")
        for key, value in expected.items():
            assert torch.equal(value, found[key]), f"{name}: {key}"


def test_what_was_learned_first_is_on_the_card_and_not_needed_to_measure(two_sets: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(two_sets, data)
    run = fit(tiny_recipe(**(FIRST | UNTAUGHT)), tmp_path / "run", data, device="cpu")
    result = run.chosen()
    assert result.labels == ("nod", "raise", "spread")
    assert result.pretrained_on == ("More that was made up. Free.",)
    shutil.rmtree(data / "more")
    path = export(run, tmp_path / "bundles", "1", evaluation=evaluate_run(run, data))
    assert "\n- More that was made up. Free.\n" in (path / "card.md").read_text()
    assert load(path).spec.provenance.data == (*result.origins, *result.pretrained_on)


def test_a_run_begun_with_other_clips_to_be_learned_first_is_not_continued(two_sets: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(two_sets, data)
    recipe = tiny_recipe(**(FIRST | UNTAUGHT))
    fit(recipe, tmp_path / "run", data, device="cpu")
    shutil.rmtree(data / "more")
    write_stick_set(data / "more", train=6, actions=("raise", "kick"), seed=10)
    with pytest.raises(ConfigError, match="the clips are not those"):
        fit(recipe, tmp_path / "run", data, device="cpu")
    with pytest.raises(ConfigError, match="another recipe"):
        fit(tiny_recipe(**UNTAUGHT), tmp_path / "run", data, device="cpu")


def test_a_student_learns_when_something_happens_and_is_measured_by_step(tmp_path: Path) -> None:
    """Recordings of a hand that rests, rises and rests: the label is known in parts, the rest as what it is not."""
    clips = []
    for i in range(16):
        still = np.repeat(stick_clip("raise", 2, i)[:1], 20, 0)
        rising = stick_clip("raise", 20, i)
        poses = np.concatenate([still, rising, np.repeat(rising[-1:], 20, 0)])
        spans = (Span("!raise", 0, 1), Span("raise", 1.2, 2), Span("rest", 2.3))
        clips.append(NewClip(f"{i}", poses, "", "test" if i % 4 == 3 else "train", f"{i}", spans=spans))
    write(tmp_path / "long", STICK, clips)
    changes = {"datasets": [{"path": "long"}], "fit": {"epochs": 12, "batch_size": 4, "learning_rate": 0.02}}
    changes |= {
        "distillation": {"alpha": 0, "beta": 0},
        "bundle": {"decision": {"on": 0.5, "off": 0.4, "min_steps": 2}},
    }
    run = fit(tiny_recipe(**changes), tmp_path / "run", tmp_path, device="cpu")
    found = evaluate_run(run, tmp_path)
    assert found.sets["long"].clips == 8, "two spans in each of four recordings"
    scores = found.steps["long"].labels["raise"]
    assert (scores.spans, scores.met) == (4, 4)
    assert scores.false <= 1
    assert scores.quiet_minutes == pytest.approx(4 * (1 + 0.7) / 60, abs=0.005)
