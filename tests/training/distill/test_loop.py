from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.learner import Learner
from inkling.training.distill.loop import train
from inkling.training.distill.stages import student_learner, teacher_learner
from inkling.training.errors import DeviceError
from inkling.training.scores import accuracy, auc, ratio_logits
from tests.training.support import tiny_recipe, write_stick_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=4)
    return load_corpus(tiny_recipe(), root)


def a_student(corpus: Corpus, *, taught: bool = False, fit: dict[str, Any] | None = None, **changes: Any) -> Learner:
    recipe = tiny_recipe(**changes)
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update=fit or {})})
    fold = draw_fold(corpus, recipe, 0)
    teacher = Ensemble([teacher_learner(recipe, corpus, fold, 0).network]) if taught else None
    return student_learner(recipe, corpus, fold, 0, teacher)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Killed(Exception):
    """Stands for whatever ends a fit."""


@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("taught", [False, True])
def test_a_fit_that_was_cut_off_ends_with_the_weights_of_an_uninterrupted_one(
    corpus: Corpus, tmp_path: Path, select: str, taught: bool
) -> None:
    def a_learner() -> Learner:
        return a_student(corpus, taught=taught, validation={"share": 0.3, "select": select})

    whole, cut_off, continued = (a_learner() for _ in range(3))
    expected = train(whole, device="cpu")

    def kill(line: str) -> None:
        if "2/3" in line:
            raise Killed

    with pytest.raises(Killed):
        train(cut_off, tmp_path, device="cpu", report=kill)
    lines: list[str] = []
    assert train(continued, tmp_path, device="cpu", report=lines.append) == expected
    assert [line.split()[1] for line in lines] == ["3/3"]
    assert equal(continued.network, whole.network)
    again = a_learner()
    assert train(again, tmp_path, device="cpu") == expected, "what is finished is not trained again"
    assert equal(again.network, whole.network)


def test_training_learns_and_returns_the_score_of_what_it_keeps(corpus: Corpus, tmp_path: Path) -> None:
    for optimiser in ("adamw", "sgd"):
        learner = a_student(corpus, taught=True, fit={"optimiser": optimiser, "epochs": 8})
        score = train(learner, curves=tmp_path / optimiser, device="cpu")
        assert not learner.network.training
        found = accuracy(*ratio_logits(learner.network, draw_fold(corpus, tiny_recipe(), 0).val))
        assert score == pytest.approx(auc(found))
        assert score > 0.6
        assert list((tmp_path / optimiser).glob("events*"))


def test_every_epoch_is_told_and_the_last_is_kept_where_the_recipe_says_so(corpus: Corpus) -> None:
    told: list[tuple[str, int, int, float, float]] = []

    class Bar:
        def epoch(self, stage: str, done: int, total: int, loss: float, auc: float) -> None:
            told.append((stage, done, total, loss, auc))

    learner = a_student(corpus, validation={"share": 0.3, "select": "last"})
    lines: list[str] = []
    score = train(learner, device="cpu", stage="student", progress=Bar(), report=lines.append)
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert lines[-1].endswith(f"validation AUC {100 * score:.1f}")
    assert [entry[:3] for entry in told] == [("student", done, 3) for done in (1, 2, 3)]
    assert told[-1][3] < told[0][3]
    assert told[-1][4] == score


def test_looking_on_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    quiet, watched = (a_student(corpus, taught=True) for _ in range(2))
    score = train(quiet, device="cpu")
    assert train(watched, tmp_path / "kept", tmp_path / "curves", device="cpu", report=lambda line: None) == score
    assert equal(quiet.network, watched.network)


def test_without_validation_clips_there_is_no_score(corpus: Corpus) -> None:
    learner = a_student(corpus, validation={"share": 0, "select": "last"})
    assert not learner.validation
    lines: list[str] = []
    assert math.isnan(train(learner, device="cpu", report=lines.append))
    assert len(lines) == 3
    assert not any("AUC" in line for line in lines)


def test_products_in_bfloat16_train_as_well(corpus: Corpus) -> None:
    learner = a_student(corpus, fit={"precision": "bfloat16"})
    exact = a_student(corpus)
    assert train(learner, device="cpu") > 0.5
    assert all(p.dtype == torch.float32 for p in learner.network.parameters())
    train(exact, device="cpu")
    assert not equal(learner.network, exact.network)


@pytest.mark.parametrize("decay", [0.0, 0.99])
def test_the_average_is_kept_and_can_be_turned_off(corpus: Corpus, tmp_path: Path, decay: float) -> None:
    learner = a_student(corpus, fit={"ema": decay, "epochs": 1})
    train(learner, tmp_path, device="cpu")
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    weight = kept["average"]["module.classify.weight"]
    assert torch.equal(weight, kept["network"]["classify.weight"]) == (decay == 0)
    assert torch.equal(learner.network.get_parameter("classify.weight"), weight)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_noticed_before_anything_is_written(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        train(a_student(corpus), tmp_path / "kept", tmp_path / "curves", device="cuda")
    assert not list(tmp_path.iterdir())
