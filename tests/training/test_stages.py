from __future__ import annotations

import pytest
import torch

from tests.training.support import tiny_recipe, write_stick_set
from training.corpus import Corpus, load_corpus
from training.folds import draw_fold
from training.stages import student_learner, teacher_learner

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
