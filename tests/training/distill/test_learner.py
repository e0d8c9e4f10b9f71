from __future__ import annotations

import pytest
import torch

from inkling.models.networks import pose_student, pose_teacher
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import Fold, draw_fold
from inkling.training.data.loader import Batch, Drawing, collate, plain_batches
from inkling.training.distill.learner import StudentLearner, TeacherLearner
from inkling.training.distill.losses import classification_loss
from inkling.training.labels import UNLABELLED
from tests.training.support import as_they_are, tiny_recipe, write_stick_set

RECIPE = tiny_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=6)
    return load_corpus(RECIPE, root)


@pytest.fixture(scope="module")
def fold(corpus: Corpus) -> Fold:
    return draw_fold(corpus, RECIPE, 0)


def student_learner(corpus: Corpus, fold: Fold, *, with_teacher: bool = False, **fit: object) -> StudentLearner:
    torch.manual_seed(0)
    teacher = pose_teacher(RECIPE.teacher, corpus.skeleton, 10, 3) if with_teacher else None
    return StudentLearner(
        pose_student(RECIPE.student, corpus.skeleton, 10, 3),
        fold,
        RECIPE.fit.model_copy(update=fit),
        Drawing(as_they_are, None, 5),
        "best",
        teacher=teacher,
        distillation=RECIPE.distillation,
        lead=RECIPE.lead,
    )


def a_batch(fold: Fold, labelled: bool) -> Batch:
    return collate([e for e in fold.train if (e.target != UNLABELLED) == labelled][:6])


def test_a_student_has_all_three_losses_and_without_a_teacher_two(corpus: Corpus, fold: Fold) -> None:
    batch = a_batch(fold, labelled=True)
    assert set(student_learner(corpus, fold, with_teacher=True).losses(batch)) == {"classification", "teacher", "self"}
    assert set(student_learner(corpus, fold).losses(batch)) == {"classification", "self"}


def test_the_losses_are_weighted_as_the_recipe_says(corpus: Corpus, fold: Fold) -> None:
    learner, batch = student_learner(corpus, fold, with_teacher=True), a_batch(fold, labelled=True)
    learner.network.eval()  # without dropout
    parts = learner.losses(batch)
    learner.distillation = RECIPE.distillation.model_copy(update={"alpha": 1.0, "beta": 1.0})
    whole = learner.losses(batch)
    torch.testing.assert_close(parts["teacher"], RECIPE.distillation.alpha * whole["teacher"])
    torch.testing.assert_close(parts["self"], RECIPE.distillation.beta * whole["self"])
    torch.testing.assert_close(parts["classification"], whole["classification"])


def test_unlabelled_clips_are_distilled_but_not_classified(corpus: Corpus, fold: Fold) -> None:
    parts = student_learner(corpus, fold, with_teacher=True).losses(a_batch(fold, labelled=False))
    assert parts["classification"].item() == 0
    assert parts["teacher"].item() > 0
    assert parts["self"].item() > 0


def test_the_teacher_is_not_trained_with_the_student(corpus: Corpus, fold: Fold) -> None:
    learner = student_learner(corpus, fold, with_teacher=True)
    torch.autograd.backward(list(learner.losses(a_batch(fold, labelled=True)).values()))
    assert learner.teacher is not None
    assert all(parameter.grad is None for parameter in learner.teacher.parameters())
    assert all(parameter.grad is not None for parameter in learner.network.parameters())


def test_the_teacher_sees_the_future_and_is_trained_on_labels(corpus: Corpus, fold: Fold) -> None:
    teacher = pose_teacher(RECIPE.teacher, corpus.skeleton, 10, 3)
    learner = TeacherLearner(teacher, fold, RECIPE.fit, Drawing(as_they_are, None, 0), "best", RECIPE.distillation, {})
    teacher.eval()
    batch = a_batch(fold, labelled=True)
    logits = learner.answer(learner.network, batch)
    expected = classification_loss(logits, batch.step_targets, batch.weight, RECIPE.fit.label_smoothing)
    torch.testing.assert_close(learner.losses(batch)["classification"], expected)
    changed = Batch(batch.x.clone(), batch.lengths, batch.targets, batch.step_targets)
    changed.x[:, 3:5] += torch.randn(2, 1, 1) * 100
    assert not torch.allclose(learner.answer(learner.network, changed)[:, 0], logits[:, 0])


def test_validation_sees_clips_as_they_are(corpus: Corpus, fold: Fold) -> None:
    learner = student_learner(corpus, fold)
    for (_, expected), found in zip(plain_batches(fold.val), learner.validation, strict=True):
        assert torch.equal(expected.x, found.x)
