from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from inkling.models.networks import CausalNetwork
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.data.loader import collate
from inkling.training.distill.learner import StudentLearner
from inkling.training.distill.stages import student_learner
from inkling.training.labels import UNLABELLED
from inkling.training.recipe.recipe import Recipe
from tests.training.rooms import rooms_recipe, write_rooms
from tests.training.support import tiny_recipe, write_stick_set


def anticipating(**recogniser: Any) -> Recipe:
    return tiny_recipe(
        task="anticipation", lead_s=0.3, distillation={"alpha": 0, "beta": 0}, recogniser={"run": "run"} | recogniser
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=4)
    return load_corpus(anticipating(), root)


@pytest.fixture(scope="module")
def recogniser(corpus: Corpus) -> CausalNetwork:
    recipe = tiny_recipe()
    return student_learner(recipe, corpus, draw_fold(corpus, recipe, 5), 5, None).network


def learning(corpus: Corpus, recogniser: CausalNetwork, **wanted: Any) -> StudentLearner:
    recipe = anticipating(**wanted)
    return student_learner(recipe, corpus, draw_fold(corpus, recipe, 0), 0, None, None, recogniser)


def test_the_parts_of_the_loss_are_those_that_the_recipe_weighs(corpus: Corpus, recogniser: CausalNetwork) -> None:
    batch = collate([e for e in corpus.examples if e.split == "train"][:5])
    one = learning(corpus, recogniser, answers=1.0, states=0.5).losses(batch)
    assert set(one) == {"classification", "foreseen answers", "foreseen states"}
    twice = learning(corpus, recogniser, answers=2.0, states=0).losses(batch)
    assert set(twice) == {"classification", "foreseen answers"}
    untaught = learning(corpus, recogniser, answers=0)
    assert set(untaught.losses(batch)) == {"classification"}
    assert untaught.labelled_only
    assert not learning(corpus, recogniser).labelled_only


def test_labelled_steps_may_count_less_or_not_at_all(corpus: Corpus, recogniser: CausalNetwork) -> None:
    unlabelled = next(e for e in corpus.examples if e.target == UNLABELLED)
    labelled = next(e for e in corpus.examples if e.target != UNLABELLED)
    learner = learning(corpus, recogniser, labelled=0)
    learner.network.eval()
    both, alone, none = (
        learner.losses(collate(clips))["foreseen answers"].detach()
        for clips in ([labelled, unlabelled], [unlabelled], [labelled])
    )
    assert float(both) == pytest.approx(float(alone), abs=1e-5)
    assert float(alone) > 0
    assert float(none) == 0


def test_the_recogniser_is_not_trained_and_not_in_training(corpus: Corpus, recogniser: CausalNetwork) -> None:
    before = {name: value.clone() for name, value in recogniser.state_dict().items()}
    learner = learning(corpus, recogniser, states=1.0)
    learner.network.train()
    losses = learner.losses(collate([e for e in corpus.examples if e.split == "train"][:8]))
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert not recogniser.training
    assert all(p.grad is None for p in recogniser.parameters())
    assert all(torch.equal(value, before[name]) for name, value in recogniser.state_dict().items())


def test_a_student_may_begin_with_the_weights_of_its_recogniser(corpus: Corpus, recogniser: CausalNetwork) -> None:
    begun, fresh = (learning(corpus, recogniser, begin=begin).network for begin in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(begun.parameters(), recogniser.parameters(), strict=True))
    weights = [network.state_dict()["classify.weight"] for network in (fresh, recogniser)]
    assert not torch.equal(*weights)
    assert begun is not recogniser


def test_a_network_of_two_stages_learns_from_the_stage_of_its_recogniser_that_answers(tmp_path: Path) -> None:
    write_rooms(tmp_path / "rooms", train=3, test=1)
    plain = rooms_recipe(losses={})
    ahead = rooms_recipe(losses={}, task="anticipation", lead_s=0.3, recogniser={"run": "run", "states": 1.0})
    corpus = load_corpus(ahead, tmp_path)
    recogniser = student_learner(plain, corpus, draw_fold(corpus, plain, 5), 5, None).network
    learner = student_learner(ahead, corpus, draw_fold(corpus, ahead, 0), 0, None, None, recogniser)
    batch = collate(corpus.examples[:3])
    losses = learner.losses(batch)
    assert set(losses) == {"classification", "foreseen answers", "foreseen states"}
    assert all(torch.isfinite(loss) and loss > 0 for loss in losses.values())
    answers = recogniser.detailed(recogniser.features(batch.inputs))
    assert answers.hidden is answers.states["action"]
