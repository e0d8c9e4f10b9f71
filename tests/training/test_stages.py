from __future__ import annotations

import pytest
import torch

from tests.training.support import tiny_recipe, write_stick_set
from training.batches import collate
from training.corpus import Corpus, load_corpus
from training.ensemble import Ensemble
from training.folds import draw_fold
from training.stages import student_learner, teacher_learner
from training.streams import UNLABELLED

RECIPE = tiny_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks")
    return load_corpus(RECIPE, root)


def test_the_teachers_of_a_seed_differ_and_each_is_always_the_same(corpus: Corpus) -> None:
    fold = draw_fold(corpus, RECIPE, 0)
    first, again, second = (teacher_learner(RECIPE, corpus, fold, 0, member) for member in (0, 0, 1))
    weights = [learner.network.classify.weight for learner in (first, again, second)]
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
