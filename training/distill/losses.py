"""Losses as pure functions: of progressive distillation (Tran, Balasubramanian, Hoai: 'Progressive Knowledge
Distillation for Early Action Recognition', equations 1 to 4), and of two stages (Wang, equations 2 and 3). `terms` has
their names in a recipe.

Everywhere logits (B, T, K), weight (B, T): 0 in padding, else how much the step counts. Each clip's mean over its
weighted steps comes first, then the mean over the clips that have any weight: long clips count as much as short ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from inkling.training.labels import UNLABELLED, anything_but


def clip_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over a clip's steps, then over clips. values and weight (B, T) -> scalar; 0 when nothing has weight."""
    total = weight.sum(1)
    per_clip = (values * weight).sum(1) / total.clamp(min=1e-9)
    counted = (total > 0).to(values.dtype)
    return (per_clip * counted).sum() / counted.sum().clamp(min=1.0)


def _divergence(target: Tensor, student: Tensor, temperature: float) -> Tensor:
    """KL(target || student) of tempered distributions per step (B, T); times T^2 so gradients keep their size."""
    log_target = F.log_softmax(target / temperature, dim=-1)
    log_student = F.log_softmax(student / temperature, dim=-1)
    return (log_target.exp() * (log_target - log_student)).sum(-1) * temperature**2


def teacher_student_loss(
    student: Tensor, teacher: Tensor, weight: Tensor, temperature: float = 1.0, share: Tensor | None = None
) -> Tensor:
    """Equation 1: mean over steps of KL(T(x_n) || S(x_n)); no gradient reaches the teacher.

    share: (B,) how much each clip's loss counts, by default 1.
    """
    divergence = _divergence(teacher.detach(), student, temperature)
    return clip_mean(divergence if share is None else divergence * share[:, None], weight)


def self_distillation_loss(
    student: Tensor, weight: Tensor, lead: int, temperature: float = 1.0, segment: Tensor | None = None
) -> Tensor:
    """Equation 2: KL(S(x_{n + lead}) || S(x_n)); the later output is the target and gets no gradient.

    lead: steps (or progress levels) that the student peeks into its own future, at least 1. A pair counts when both of
    its steps do and, with `segment` (B, T), both lie in the same one: the next action is no hint at this one. Clips not
    longer than `lead` contribute nothing.
    """
    if lead < 1:
        raise ValueError(f"lead must be at least 1 step, not {lead}")
    if student.shape[1] <= lead:
        return student.sum() * 0.0
    later, earlier = student[:, lead:].detach(), student[:, :-lead]
    pairs = weight[:, lead:] * weight[:, :-lead]
    if segment is not None:
        pairs = pairs * (segment[:, lead:] == segment[:, :-lead])
    return clip_mean(_divergence(later, earlier, temperature), pairs)


def foreseeing_pairs(weight: Tensor, ahead: int, leads: Tensor | None = None) -> Tensor:
    """(B, T - ahead): 1 where a step and the one `ahead` later both lie in the clip itself, else 0.

    weight: (B, T), 0 in padding. leads: (B,) steps before each clip itself, which another clip has come in with: what
    follows on that is by chance.
    """
    pairs = weight[:, ahead:] * weight[:, :-ahead]
    if leads is None:
        return pairs
    steps = torch.arange(pairs.shape[1], device=pairs.device)
    return pairs * (steps >= leads[:, None])


def foreseen_answers_loss(
    student: Tensor, recogniser: Tensor, pairs: Tensor, ahead: int, temperature: float = 1.0
) -> Tensor:
    """L_c of paper B (Tran, Wang, Zhang, Hoai, equation 1): KL(R(x_{t + ahead}) || A(x_t)).

    student, recogniser: logits (B, T, K). pairs: (B, T - ahead) how much each counts
    (`foreseeing_pairs`). No gradient reaches the recogniser.
    """
    if student.shape[1] <= ahead:
        return student.sum() * 0.0
    return clip_mean(_divergence(recogniser[:, ahead:].detach(), student[:, :-ahead], temperature), pairs)


def foreseen_states_loss(student: Tensor, recogniser: Tensor, pairs: Tensor, ahead: int) -> Tensor:
    """L_d of paper B (equation 2) on hidden states: Huber (delta 1) of A's state at t and R's at t + ahead, summed over
    the units.

    student, recogniser: hidden states (B, T, H). pairs: as for `foreseen_answers_loss`.
    """
    if student.shape[1] <= ahead:
        return student.sum() * 0.0
    distance = F.huber_loss(student[:, :-ahead], recogniser[:, ahead:].detach(), reduction="none")
    return clip_mean(distance.sum(-1), pairs)


def passed(target: Tensor) -> Tensor:
    """(B, T), above 0 and below 1: how much of its run of equal targets (an action, in a stream) is over at a step."""
    steps = torch.arange(target.shape[1], device=target.device)
    change, edge = target[:, 1:] != target[:, :-1], torch.ones_like(target[:, :1], dtype=torch.bool)
    begin = torch.where(torch.cat([edge, change], 1), steps, 0).cummax(1).values
    last = torch.where(torch.cat([change, edge], 1), steps, len(steps)).flip(1).cummin(1).values.flip(1)
    return (steps - begin + 0.5) / (last - begin + 1)


def classification_loss(
    student: Tensor, target: Tensor, weight: Tensor, smoothing: float = 0.0, late: float = 0.0
) -> Tensor:
    """Equation 3: mean over steps of cross-entropy. target (B, T) class indices, -1 where a step has no label.

    A step of which only an excluded label X is known (`labels.anything_but`) has the loss -log(1 - p(X)).

    late: from its first step to its last a clip's steps weigh from 1 - late to 1 + late; in the manner of a loss whose
    false positives count t / T at step t of T (Wang, 'Action Prediction Research Based on Knowledge Distillation',
    equation 2, after Aliakbarian et al., 'Encouraging LSTMs to Anticipate Actions Very Early').
    """
    labelled = weight * (target != UNLABELLED)
    if late != 0:
        labelled = labelled * (1 + late * (2 * passed(target) - 1))
    values = F.cross_entropy(
        student.flatten(0, 1), target.clamp(min=0).flatten(), reduction="none", label_smoothing=smoothing
    ).view_as(labelled)
    if bool((target < UNLABELLED).any()):
        values = torch.where(target < UNLABELLED, exclusion(student, target), values)
    return clip_mean(values, labelled)


def exclusion(student: Tensor, target: Tensor) -> Tensor:
    """(B, T): -log(1 - p(X)) at each step whose target excludes a label X; of other steps the values mean nothing.

    In logits: log of the sum over all labels less that over all but X, which loses no digits where p(X) is near 1.
    """
    excluded = anything_but(target).clamp(min=0)
    others = student.scatter(-1, excluded[..., None], -torch.inf)
    return torch.logsumexp(student, -1) - torch.logsumexp(others, -1)


def rising_loss(student: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L_C of Wang ('Action Prediction Research Based on Knowledge Distillation', equation 2; after Aliakbarian et al.):
    -[y log p + t/T (1 - y) log(1 - p)], summed over labels, mean over the steps of a clip.

    An answer that misses the label costs the same at every step, a false one more the later it comes. t/T counts within
    the run of equal targets. Steps of which only an excluded label is known teach that alone (`exclusion`).
    """
    labelled = weight * (target != UNLABELLED)
    log_p = F.log_softmax(student, -1)
    right = F.one_hot(target.clamp(min=0), student.shape[-1]).bool()
    # clamped: a certain and false answer must not cost more than a float can say
    log_others = torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
    false_ones = -log_others.masked_fill(right, 0.0).sum(-1)
    values = -log_p.masked_fill(~right, 0.0).sum(-1) + passed(target) * false_ones
    if bool((target < UNLABELLED).any()):
        values = torch.where(target < UNLABELLED, exclusion(student, target), values)
    return clip_mean(values, labelled)


def states_loss(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """L_TS of Wang (equation 3): the squared distance of hidden states (B, T, H) at all steps; no gradient reaches the
    teacher.

    The mean over units, steps and clips, where the paper has the sum: so a weight does not depend on size or length.
    """
    return clip_mean((student - teacher.detach()).float().square().mean(-1), weight)
