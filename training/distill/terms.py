"""The terms of the loss that a recipe can weigh, by their names. A new one is a pure function in a file of its own, and
a line here.

Of paper A: `classification`, `teacher` (L_ts, weighed by `distillation.alpha`) and `self` (L_self, `beta`). Of paper C:
`rising` (L_C, equation 2) and `states` (L_TS, equation 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from inkling.models.networks import Answers
from inkling.training.distill.losses import (
    classification_loss,
    rising_loss,
    self_distillation_loss,
    states_loss,
    teacher_student_loss,
)
from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Distillation, Fit


@dataclass(frozen=True, slots=True)
class Taught:
    """What is known of a batch while it is learned: everything that a term may look at.

    answers: of the network that learns. target, weight: (B, T). teacher: what a teacher says of the same batch; its
    logits (B, T, K) count at `teacher_weight` (B, T). share: (B,) how much the teacher counts on each clip.
    """

    answers: Answers
    target: Tensor
    weight: Tensor
    fit: Fit
    distillation: Distillation
    lead: int = 1
    teacher: Answers | None = None
    teacher_weight: Tensor | None = None
    share: Tensor | None = None


def _classification(seen: Taught) -> Tensor:
    """Every stage learns the labels."""
    fit = seen.fit
    losses = [
        classification_loss(logits, seen.target, seen.weight, fit.label_smoothing, fit.late)
        for logits in seen.answers.heads.values()
    ]
    return _sum(losses)


def _rising(seen: Taught) -> Tensor:
    """Every stage learns the labels, and that false ones cost more the later they come."""
    return _sum([rising_loss(logits, seen.target, seen.weight) for logits in seen.answers.heads.values()])


def _teacher(seen: Taught) -> Tensor:
    """The answers of a teacher."""
    if seen.teacher is None:
        raise ValueError("nothing teaches")
    weight = seen.weight if seen.teacher_weight is None else seen.teacher_weight
    logits, temperature = seen.answers.logits, seen.distillation.temperature
    return teacher_student_loss(logits, seen.teacher.logits, weight, temperature, seen.share)


def _self(seen: Taught) -> Tensor:
    """The network's own later answers."""
    return self_distillation_loss(
        seen.answers.logits, seen.weight, seen.lead, seen.distillation.temperature, seen.target
    )


def _states(seen: Taught) -> Tensor:
    """The hidden states of a teacher, stage by stage."""
    if seen.teacher is None:
        raise ValueError("nothing teaches")
    theirs, ours = seen.teacher.states, seen.answers.states
    return _sum([states_loss(ours[stage], theirs[stage], seen.weight) for stage in ours])


def _sum(losses: list[Tensor]) -> Tensor:
    total, *others = losses
    for loss in others:
        total = total + loss
    return total


@dataclass(frozen=True, slots=True)
class LossTerm:
    """A pure function of a batch. of_teacher: it needs a teacher's answers. of_labels: teachers learn by it too."""

    loss: Callable[[Taught], Tensor]
    of_teacher: bool = False
    of_labels: bool = False


TERMS: dict[str, LossTerm] = {
    "classification": LossTerm(_classification, of_labels=True),
    "rising": LossTerm(_rising, of_labels=True),
    "teacher": LossTerm(_teacher, of_teacher=True),
    "self": LossTerm(_self),
    "states": LossTerm(_states, of_teacher=True),
}


def weights_of(losses: Mapping[str, float], distillation: Distillation) -> dict[str, float]:
    """The weight of each term that counts, in the order of `TERMS`. Raises ConfigError for a name that is none."""
    for name in losses:
        if name not in TERMS or name in ("teacher", "self"):
            known = ", ".join(term for term in TERMS if term not in ("teacher", "self"))
            own = {"teacher": "distillation.alpha", "self": "distillation.beta"}.get(name)
            said = f"its weight is {own}" if own else f"there are {known}"
            raise ConfigError(f"losses.{name}: {said}")
    if losses.get("states") and distillation.target != "step":
        raise ConfigError('losses.states: a teacher has hidden states with distillation.target = "step" alone')
    weights = {"classification": 1.0, "teacher": distillation.alpha, "self": distillation.beta, **losses}
    counted = {name: weights[name] for name in TERMS if weights.get(name, 0) > 0}
    if not any(TERMS[name].of_labels for name in counted):
        raise ConfigError("losses: the labels are learned by classification or by rising, of which one must count")
    return counted


def is_taught(recipe: Recipe) -> bool:
    """Whether teachers are trained at all. Raises ConfigError for losses that cannot be."""
    wanted = weights_of(recipe.losses, recipe.distillation)
    if "states" in wanted and recipe.network == "recurrent" and recipe.student.hidden != 2 * recipe.teacher.hidden:
        raise ConfigError("losses.states: student.hidden must be twice teacher.hidden, which is of each direction")
    return recipe.distillation.taught or any(TERMS[name].of_teacher for name in wanted if name != "teacher")
