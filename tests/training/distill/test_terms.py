from __future__ import annotations

from typing import Any

import pytest
import torch

from inkling.models.networks import Answers
from inkling.training.distill.losses import classification_loss, rising_loss, states_loss
from inkling.training.distill.terms import TERMS, Taught, is_taught, weights_of
from inkling.training.errors import ConfigError
from inkling.training.recipe.sections import Distillation, Fit
from tests.training.support import tiny_recipe

PLAIN = Distillation(alpha=0, beta=0)


def taught(**changes: Any) -> Taught:
    generator = torch.Generator().manual_seed(0)
    heads = {stage: torch.randn(2, 6, 3, generator=generator) for stage in ("context", "action")}
    states = {stage: torch.randn(2, 6, 4, generator=generator) for stage in ("context", "action")}
    fields: dict[str, Any] = {
        "answers": Answers(heads, states), "target": torch.tensor([[0] * 6, [2] * 6]), "weight": torch.ones(2, 6),
        "fit": Fit(), "distillation": PLAIN,
    }  # fmt: skip
    return Taught(**fields | changes)


def test_every_stage_learns_the_labels_and_the_last_one_answers() -> None:
    seen = taught()
    for name, loss in (("classification", classification_loss), ("rising", rising_loss)):
        smoothing = (0.1,) if name == "classification" else ()
        parts = [loss(logits, seen.target, seen.weight, *smoothing) for logits in seen.answers.heads.values()]
        torch.testing.assert_close(TERMS[name].loss(seen), parts[0] + parts[1])
    assert seen.answers.logits is seen.answers.heads["action"]


def test_hidden_states_are_drawn_to_those_of_the_teacher_stage_by_stage() -> None:
    seen = taught()
    theirs = Answers(seen.answers.heads, {stage: state + 2 for stage, state in seen.answers.states.items()})
    assert TERMS["states"].loss(taught(teacher=theirs)).item() == pytest.approx(8.0), "2 squared, of two stages"
    with pytest.raises(ValueError, match="nothing teaches"):
        TERMS["states"].loss(seen)


def test_the_weights_are_those_of_paper_a_and_of_the_recipe() -> None:
    assert weights_of({}, Distillation()) == {"classification": 1.0, "teacher": 0.5, "self": 0.5}
    wanted = weights_of({"classification": 0, "rising": 2, "states": 0.1}, PLAIN)
    assert wanted == {"rising": 2, "states": 0.1}


@pytest.mark.parametrize(
    ("losses", "distillation", "said"),
    [
        ({"hinge": 1}, PLAIN, "losses.hinge: there are classification, rising, states"),
        ({"classification": 0}, PLAIN, "one must count"),
        ({"teacher": 1}, PLAIN, "losses.teacher: its weight is distillation.alpha"),
        ({"states": 1}, Distillation(target="clip"), 'distillation.target = "step"'),
    ],
)
def test_what_is_no_term_is_refused(losses: dict[str, float], distillation: Distillation, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        weights_of(losses, distillation)


def test_hidden_states_need_a_teacher_of_the_same_width() -> None:
    untaught = {"distillation": {"alpha": 0}}
    assert not is_taught(tiny_recipe(**untaught))
    with pytest.raises(ConfigError, match=r"student\.hidden must be twice"):
        is_taught(tiny_recipe(**untaught, losses={"states": 1}))
    half = {"student": {"hidden": 12}, "teacher": {"hidden": 6}}
    assert is_taught(tiny_recipe(**untaught, **half, losses={"states": 1}))


def test_false_positives_cost_more_the_later_they_come() -> None:
    """Equation 2 of paper C, written out."""
    logits, target = torch.tensor([[[2.0, 0.5, -1.0]] * 4]), torch.tensor([[1] * 4])
    p = torch.softmax(logits[0, 0], -1)
    each = [-torch.log(p[1]) - (t + 0.5) / 4 * (torch.log(1 - p[0]) + torch.log(1 - p[2])) for t in range(4)]
    expected = torch.stack(each).mean()
    torch.testing.assert_close(rising_loss(logits, target, torch.ones(1, 4)), expected, atol=1e-5, rtol=0)
    early, late = (rising_loss(logits, target, weight) for weight in (torch.eye(4)[:1], torch.eye(4)[3:]))
    assert early < late
    certain = torch.tensor([[[60.0, -60.0, 0.0]]], requires_grad=True)
    loss = rising_loss(certain, torch.tensor([[1]]), torch.ones(1, 1))
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)
    assert certain.grad is not None
    assert torch.isfinite(certain.grad).all()


def test_the_distance_of_states_does_not_depend_on_padding_and_trains_the_student_alone() -> None:
    ours, theirs = torch.zeros(1, 4, 3, requires_grad=True), torch.ones(1, 4, 3, requires_grad=True)
    weight = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    loss = states_loss(ours, theirs, weight)
    assert loss.item() == pytest.approx(1.0)
    torch.autograd.backward(loss)
    assert theirs.grad is None
    assert ours.grad is not None
    assert ours.grad[0, 2:].abs().sum() == 0
