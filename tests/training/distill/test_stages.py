from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.data.loader import collate
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.learner import Learner
from inkling.training.distill.loop import train
from inkling.training.distill.stages import first_student, first_teacher, student_learner, teacher_learner
from inkling.training.labels import UNLABELLED
from tests.training.support import tiny_recipe, write_stick_set

RECIPE = tiny_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks")
    return load_corpus(RECIPE, root)


def test_the_teachers_of_a_seed_differ_and_each_is_always_the_same(corpus: Corpus) -> None:
    fold = draw_fold(corpus, RECIPE, 0)
    first, again, second = (teacher_learner(RECIPE, corpus, fold, 0, member) for member in (0, 0, 1))
    weights = [learner.network.get_parameter("classify.weight") for learner in (first, again, second)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.drawing.seed == again.drawing.seed != second.drawing.seed


def test_a_student_begins_the_same_whoever_teaches_it(corpus: Corpus) -> None:
    untaught = RECIPE.model_copy(update={"distillation": RECIPE.distillation.model_copy(update={"alpha": 0.0})})
    fold = draw_fold(corpus, RECIPE, 0)
    one, other = (student_learner(recipe, corpus, fold, 0, None) for recipe in (RECIPE, untaught))
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one.drawing.seed == other.drawing.seed


@pytest.mark.parametrize("target", ["clip", "neighbours"])
def test_answers_to_whole_clips_are_made_once_and_counted_into(corpus: Corpus, target: str) -> None:
    recipe = tiny_recipe(distillation={"target": target}, labelled=0.5)
    fold = draw_fold(corpus, recipe, 0)
    teacher = Ensemble([teacher_learner(recipe, corpus, fold, 0).network]) if target == "clip" else None
    learner = student_learner(recipe, corpus, fold, 0, teacher)
    assert learner.answers is not None
    assert learner.answers.shape == (len(fold.train), 3)
    assert [e.answer for e in learner.examples] == list(range(len(fold.train)))
    parts = learner.losses(collate(learner.examples[:5]))
    assert parts["teacher"].item() > 0


@pytest.mark.parametrize("target", ["step", "clip", "neighbours"])
def test_pseudo_labels_leave_no_clip_unlabelled_and_nothing_to_distil(corpus: Corpus, target: str) -> None:
    wish = {"target": target, "alpha": 0, "beta": 0, "pseudo_labels": True}
    recipe = tiny_recipe(distillation=wish, labelled=0.5)
    fold = draw_fold(corpus, recipe, 0)
    teacher = Ensemble([teacher_learner(recipe, corpus, fold, 0).network]) if recipe.distillation.taught else None
    assert (teacher is None) == (target == "neighbours")
    learner = student_learner(recipe, corpus, fold, 0, teacher)
    assert all(e.target != UNLABELLED for e in learner.examples)
    assert set(learner.losses(collate(learner.examples[:5]))) == {"classification"}


def test_what_is_learned_first_is_begun_from_and_what_answers_is_fresh(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks")
    write_stick_set(tmp_path / "more", actions=("raise", "kick"), seed=9)
    recipe = tiny_recipe(pretraining={"datasets": [{"path": "more"}], "epochs": 1})
    corpus = load_corpus(recipe, tmp_path)
    fold = draw_fold(corpus, recipe, 0)
    taught, student = first_teacher(recipe, corpus, 0), first_student(recipe, corpus, 0)
    assert taught is not None
    assert student is not None
    for first in (taught, student):
        assert (len(first.examples), first.validation, first.fit_config.epochs) == (24, [], 1)
        train(first, device="cpu")
    fresh: list[Learner] = [teacher_learner(recipe, corpus, fold, 0), student_learner(recipe, corpus, fold, 0, None)]
    begun: list[Learner] = [
        teacher_learner(recipe, corpus, fold, 0, 0, taught.network),
        student_learner(recipe, corpus, fold, 0, None, student.network),
    ]
    for before, without, learner in zip((taught, student), fresh, begun, strict=True):
        learned, initial = before.network.state_dict(), without.network.state_dict()
        for network in (learner.network, learner.average.module):
            for name, value in network.state_dict().items():
                kept = name.startswith(("layers.", "recurrence."))
                assert kept != name.startswith("classify.")
                assert torch.equal(value, (learned if kept else initial)[name]), name
                assert not kept or not torch.equal(value, initial[name]) or "norm" in name, name


def test_a_recipe_without_pretraining_learns_nothing_first(corpus: Corpus) -> None:
    assert first_student(RECIPE, corpus, 0) is None
    assert first_teacher(RECIPE, corpus, 0) is None
