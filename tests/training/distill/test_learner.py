from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inkling.models.networks import pose_student, pose_teacher
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import Fold, draw_fold
from inkling.training.data.loader import Batch, Drawing, collate, plain_batches
from inkling.training.distill.learner import StudentLearner, TeacherLearner, rate_at, train
from inkling.training.distill.losses import classification_loss
from inkling.training.labels import UNLABELLED
from inkling.training.recipe.sections import Fit
from inkling.training.scores import accuracy, auc, ratio_logits
from tests.training.support import tiny_recipe, write_stick_set

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
        Drawing(lambda pose, random: pose, None, 5),
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
    learner, batch = student_learner(corpus, fold, with_teacher=True).eval(), a_batch(fold, labelled=True)
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


def test_the_teacher_is_neither_trained_nor_kept_with_the_student(corpus: Corpus, fold: Fold) -> None:
    learner = student_learner(corpus, fold, with_teacher=True)
    torch.autograd.backward(list(learner.losses(a_batch(fold, labelled=True)).values()))
    assert all(parameter.grad is None for parameter in learner._teacher[0].parameters())
    assert not [name for name in learner.state_dict() if "teacher" in name]


def test_the_teacher_sees_the_future_and_is_trained_on_labels(corpus: Corpus, fold: Fold) -> None:
    teacher = pose_teacher(RECIPE.teacher, corpus.skeleton, 10, 3)
    learner = TeacherLearner(teacher, fold, RECIPE.fit, Drawing(lambda p, r: p, None, 0), "best").eval()
    batch = a_batch(fold, labelled=True)
    logits = learner.answer(learner.network, batch)
    expected = classification_loss(logits, batch.step_targets, batch.weight, RECIPE.fit.label_smoothing)
    torch.testing.assert_close(learner.losses(batch)["classification"], expected)
    changed = Batch(batch.x.clone(), batch.lengths, batch.targets, batch.step_targets)
    changed.x[:, 3:5] += torch.randn(2, 1, 1) * 100
    assert not torch.allclose(learner.answer(learner.network, changed)[:, 0], logits[:, 0])


def test_the_rate_warms_up_and_then_falls_to_nothing() -> None:
    fit = Fit(warmup=0.2, schedule="cosine")
    rates = [rate_at(step, 100, fit) for step in range(101)]
    assert 0 < rates[0] < 0.1
    assert max(rates) == rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert sorted(rates[20:], reverse=True) == rates[20:]


def test_a_constant_rate_stays() -> None:
    fit = Fit(warmup=0, schedule="constant")
    assert {rate_at(step, 10, fit) for step in range(11)} == {1.0}


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_training_learns_and_returns_the_score_of_what_it_keeps(
    corpus: Corpus, fold: Fold, tmp_path: Path, optimiser: str
) -> None:
    learner = student_learner(corpus, fold, optimiser=optimiser, epochs=8)
    score = train(learner, tmp_path / "checkpoints", tmp_path / "curves", device="cpu")
    found = accuracy(*ratio_logits(learner.network.eval(), fold.val))
    assert score == pytest.approx(auc(found))
    assert score > 0.6
    assert list((tmp_path / "curves").glob("events*"))


def test_a_finished_stage_gives_the_same_again(corpus: Corpus, fold: Fold, tmp_path: Path) -> None:
    for select in ("best", "last"):
        learners = [student_learner(corpus, fold) for _ in range(2)]
        scores = []
        for learner in learners:
            learner.select = select
            scores.append(train(learner, tmp_path / f"{select}", tmp_path / "curves", device="cpu"))
        assert scores[0] == scores[1]
        for a, b in zip(*(learner.network.state_dict().values() for learner in learners), strict=True):
            assert torch.equal(a, b)


def test_the_last_epoch_is_kept_where_the_recipe_says_so(corpus: Corpus, fold: Fold, tmp_path: Path) -> None:
    learner = student_learner(corpus, fold)
    learner.select = "last"
    lines: list[str] = []
    score = train(learner, tmp_path / "checkpoints", tmp_path / "curves", device="cpu", report=lines.append)
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert lines[-1].endswith(f"validation AUC {100 * score:.1f}")


def test_averaging_can_be_turned_off(corpus: Corpus, fold: Fold, tmp_path: Path) -> None:
    learner = student_learner(corpus, fold, ema=0.0, epochs=1)
    train(learner, tmp_path / "checkpoints", tmp_path / "curves", device="cpu")
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    names = [name.removeprefix("network.") for name in checkpoint if name.startswith("network.")]
    assert "classify.weight" in names
    for name in names:
        assert torch.equal(checkpoint[f"network.{name}"], checkpoint[f"average.module.{name}"]), name


def test_averaged_weights_are_not_the_current_ones(corpus: Corpus, fold: Fold, tmp_path: Path) -> None:
    learner = student_learner(corpus, fold, ema=0.99, epochs=1)
    train(learner, tmp_path / "checkpoints", tmp_path / "curves", device="cpu")
    checkpoint = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert not torch.equal(checkpoint["network.classify.weight"], checkpoint["average.module.classify.weight"])
    assert torch.equal(learner.network.classify.weight, checkpoint["average.module.classify.weight"])


def test_validation_sees_clips_as_they_are(corpus: Corpus, fold: Fold) -> None:
    learner = student_learner(corpus, fold)
    for (_, expected), found in zip(plain_batches(fold.val), learner.validation, strict=True):
        assert torch.equal(expected.x, found.x)
