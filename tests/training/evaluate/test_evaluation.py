from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inkling.models.bundle import load
from inkling.models.bundle.schema import Temperature, Unknown
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.errors import ConfigError
from inkling.training.evaluate.evaluation import evaluate_bundle, evaluate_run, is_bundle, measure, read_evaluation
from inkling.training.evaluate.report import REPORT_FILE, write_report
from inkling.training.export.bundle import export
from inkling.training.recipe.recipe import Recipe
from inkling.training.run import Run
from inkling.training.scores import RATIOS
from tests.training.support import tiny_recipe, write_stick_set


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Recipe]:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "one", train=4, test=5)
    write_stick_set(root / "two", train=4, test=3, actions=("nod", "wave"))
    recipe = tiny_recipe(datasets=[{"path": "one"}, {"path": "two"}])
    return load_corpus(recipe, root), recipe


def always(label: int, second: int, classes: int = 4) -> Tensor:
    logits = torch.zeros(classes)
    logits[label], logits[second] = 2.0, 1.0
    return logits


def test_answers_among_all_labels_and_among_the_sets_own_are_told_apart(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets
    assert corpus.labels == ("nod", "raise", "spread", "wave")

    def predict(x: Tensor) -> Tensor:  # 'wave', else 'nod'
        return always(3, 0).expand(*x.shape[:2], 4)

    found = measure("dummy", recipe, predict, corpus, Temperature())
    one, two = found.sets["one"], found.sets["two"]
    assert (one.clips, two.clips) == (15, 6)
    assert one.own_labels == ("nod", "raise", "spread")
    assert one.conditions["clean"].joint.auc == 0
    assert one.conditions["clean"].own.auc == pytest.approx(1 / 3, abs=1e-4)
    assert two.conditions["clean"].joint.auc == two.conditions["clean"].own.auc == 0.5
    assert np.array(one.confusion).tolist() == [[0, 0, 0, 5]] * 3 + [[0, 0, 0, 0]]


def test_auc_is_the_mean_over_the_ten_ratios(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets

    def predict(x: Tensor) -> Tensor:  # right only once 8 steps were seen
        return torch.stack([always(3 if step < 7 else 0, 1) for step in range(x.shape[1])]).expand(len(x), -1, -1)

    scores = measure("dummy", recipe, predict, corpus, Temperature()).sets["one"].conditions["clean"].joint
    assert len(scores.accuracy) == len(RATIOS)
    assert scores.auc == pytest.approx(np.mean(scores.accuracy), abs=1e-4)
    assert scores.accuracy[0] == 0
    assert 0 < scores.accuracy[-1] <= 1 / 3 + 1e-4


def test_labels_and_clips_are_told_apart(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets
    report = measure("dummy", recipe, lambda x: always(0, 1).expand(*x.shape[:2], 4), corpus, Temperature()).sets["one"]
    assert report.by_label == {"nod": (1.0,) * 10, "raise": (0.0,) * 10, "spread": (0.0,) * 10}
    assert {clip.label for clip in report.worst} == {"raise", "spread"}
    assert all(clip.path.startswith("poses/") and clip.right == 0 for clip in report.worst)
    assert [bin_.accuracy for bin_ in report.reliability["before"]] == [pytest.approx(1 / 3, abs=1e-4)]


def test_an_evaluation_is_read_again_and_refused_when_it_is_of_another_release(
    two_sets: tuple[Corpus, Recipe], tmp_path: Path
) -> None:
    corpus, recipe = two_sets
    found = measure("dummy", recipe, lambda x: always(0, 1).expand(*x.shape[:2], 4), corpus, Temperature())
    assert read_evaluation(tmp_path / "evaluation.json") is None
    (tmp_path / "evaluation.json").write_text(found.model_dump_json())
    assert read_evaluation(tmp_path / "evaluation.json") == found
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(ConfigError, match="run inkling train evaluate again"):
        read_evaluation(tmp_path / "evaluation.json")


def test_calibration_is_told_before_and_after(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets
    found = measure(
        "dummy", recipe, lambda x: always(3, 0).expand(*x.shape[:2], 4) * 9, corpus, Temperature(temperature=9.0)
    ).sets["one"]
    assert found.calibrated.surprise < found.raw.surprise
    assert found.calibrated.error < found.raw.error
    assert found.calibrated.brier < found.raw.brier
    assert np.mean(found.raw.brier_at) == pytest.approx(found.raw.brier, abs=1e-4)
    assert len(found.raw.error_at) == 10


def test_a_run_is_measured_under_every_condition(finished: tuple[Run, Path]) -> None:
    run, data = finished
    found = evaluate_run(run, data)
    report = found.sets["sticks"]
    assert report.clips == 12
    assert len(report.conditions) == 6
    assert report.conditions["clean"].joint.accuracy[-1] > 0.6
    assert report.conditions["clean"].joint == report.conditions["clean"].own
    assert np.array(report.confusion).sum() == 12
    assert found == evaluate_run(run, data)


@pytest.fixture(scope="module")
def bundle(finished: tuple[Run, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(finished[0], tmp_path_factory.mktemp("bundles"), "1")


def test_a_bundle_gives_the_figures_of_its_run(finished: tuple[Run, Path], bundle: Path) -> None:
    run, data = finished
    assert is_bundle(bundle)
    assert not is_bundle(run.directory)
    expected, found = evaluate_run(run, data), evaluate_bundle(bundle, run.recipe, data)
    for condition, scores in expected.sets["sticks"].conditions.items():
        assert found.sets["sticks"].conditions[condition].joint.auc == pytest.approx(scores.joint.auc, abs=0.01)
    assert found.calibration == expected.calibration
    assert found.stopping == expected.stopping


def test_a_bundle_can_be_measured_on_clips_of_some_of_its_labels(
    finished: tuple[Run, Path], bundle: Path, tmp_path: Path
) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=3, actions=("nod", "spread"))
    found = evaluate_bundle(bundle, finished[0].recipe, tmp_path)
    assert found.labels == load(bundle).spec.labels
    assert (found.sets["sticks"].clips, found.sets["sticks"].own_labels) == (6, ("nod", "spread"))


def test_another_recipes_clips_are_refused(finished: tuple[Run, Path], bundle: Path, tmp_path: Path) -> None:
    run, data = finished
    write_stick_set(tmp_path / "others" / "sticks", train=2, test=1, actions=("nod", "wave"))
    with pytest.raises(ConfigError, match="differ in labels: raise, spread, wave"):
        evaluate_bundle(bundle, run.recipe, tmp_path / "others")
    with pytest.raises(ConfigError, match="another skeleton or rate"):
        evaluate_bundle(bundle, tiny_recipe(rate_hz=12), data)
    with pytest.raises(ConfigError, match="no shipped recipe"):
        evaluate_bundle(bundle, None, data)


def test_without_test_clips_nothing_is_measured(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=0)
    corpus = load_corpus(tiny_recipe(), tmp_path)
    with pytest.raises(ConfigError, match="split 'test'"):
        measure("dummy", tiny_recipe(), lambda x: x, corpus, Temperature())


def test_a_model_that_says_what_it_does_not_know_is_measured_on_what_was_left_out(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=3)
    recipe = tiny_recipe(unknown={"left_out": ["spread"]})
    corpus = load_corpus(recipe, tmp_path)
    unknown = Unknown(threshold=0.4, lost=0.02, events=50)

    def predict(x: Tensor) -> Tensor:  # sure while the hands stay where they are
        still = (x[..., 1, 0] - x[:, :1, 1, 0]).abs() < 15
        return torch.stack([torch.where(still, 4.0, 0.0), torch.zeros_like(still, dtype=torch.float32)], -1)

    found = measure("dummy", recipe, predict, corpus, Temperature(), unknown=unknown)
    kinds = found.sets["sticks"].unknown
    assert {kind: scores.clips for kind, scores in kinds.items()} == {"known": 6, "left out": 3}
    assert kinds["left out"].auroc == 1.0
    assert measure("dummy", recipe, predict, corpus, Temperature()).sets["sticks"].unknown == {}
    directory = write_report(found, tmp_path / "report")
    assert "actions left out of training" in (directory / "evaluation.md").read_text()
    assert "What it does not know" in (directory / REPORT_FILE).read_text()
    assert read_evaluation(directory / "evaluation.json") == found
