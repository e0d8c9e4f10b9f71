from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.learner import Learner, train
from inkling.training.distill.plain_loop import optimise
from inkling.training.distill.stages import student_learner, teacher_learner
from tests.training.support import tiny_recipe, write_stick_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=4)
    return load_corpus(tiny_recipe(), root)


def learners(corpus: Corpus, **changes: Any) -> list[Learner]:
    recipe = tiny_recipe(**changes)
    fold = draw_fold(corpus, recipe, 0)
    teacher = teacher_learner(recipe, corpus, fold, 0)
    student = student_learner(recipe, corpus, fold, 0, Ensemble([teacher.network]))
    return [teacher_learner(recipe, corpus, fold, 0), student]


@pytest.mark.parametrize("select", ["best", "last"])
def test_the_plain_loop_gives_the_weights_of_the_one_with_checkpoints(
    corpus: Corpus, tmp_path: Path, select: str
) -> None:
    validation = {"share": 0.3, "select": select}
    pairs = zip(learners(corpus, validation=validation), learners(corpus, validation=validation), strict=True)
    for i, (plain, kept) in enumerate(pairs):
        expected = train(kept, tmp_path / f"{i}", tmp_path / "curves", device="cpu")
        assert optimise(plain) == pytest.approx(expected)
        found = plain.network.state_dict()
        for name, value in kept.network.state_dict().items():
            assert torch.equal(value, found[name]), name


def test_without_validation_clips_there_is_no_score(corpus: Corpus) -> None:
    recipe = tiny_recipe(validation={"share": 0, "select": "last"}, distillation={"alpha": 0})
    fold = draw_fold(corpus, recipe, 0)
    assert not fold.val
    assert math.isnan(optimise(student_learner(recipe, corpus, fold, 0, None)))


def test_products_in_bfloat16_train_as_well(corpus: Corpus) -> None:
    recipe = tiny_recipe(distillation={"alpha": 0}, fit={**tiny_recipe().fit.model_dump(), "precision": "bfloat16"})
    fold = draw_fold(corpus, recipe, 0)
    learner = student_learner(recipe, corpus, replace(fold), 0, None)
    assert optimise(learner) > 0.5
    assert all(p.dtype == torch.float32 for p in learner.network.parameters())


def test_a_fit_with_checkpoints_needs_no_validation_clips_either(corpus: Corpus, tmp_path: Path) -> None:
    recipe = tiny_recipe(validation={"share": 0, "select": "last"}, distillation={"alpha": 0})
    fold = draw_fold(corpus, recipe, 0)
    plain, kept = (student_learner(recipe, corpus, fold, 0, None) for _ in range(2))
    lines: list[str] = []
    assert math.isnan(train(kept, tmp_path / "kept", tmp_path / "curves", device="cpu", report=lines.append))
    assert len(lines) == 3
    assert not any("AUC" in line for line in lines)
    optimise(plain)
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, kept.network.state_dict()[name]), name
