from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from inkling.training.distill.losses import (
    classification_loss,
    clip_mean,
    foreseeing_pairs,
    foreseen_answers_loss,
    foreseen_states_loss,
    passed,
    self_distillation_loss,
    teacher_student_loss,
)
from inkling.training.labels import anything_but


def logits(*rows: tuple[float, ...]) -> Tensor:
    """(1, T, K) logits with these probabilities."""
    return torch.tensor(rows).log().unsqueeze(0)


def ones(values: Tensor) -> Tensor:
    return torch.ones(values.shape[:2])


def test_the_teacher_loss_is_the_divergence_of_equation_1() -> None:
    student, teacher = logits((0.5, 0.5), (0.9, 0.1)), logits((0.8, 0.2), (0.9, 0.1))
    expected = (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)) / 2
    assert float(teacher_student_loss(student, teacher, ones(student))) == pytest.approx(expected, abs=1e-6)


def test_no_gradient_reaches_the_teacher_or_the_later_self() -> None:
    student = torch.randn(2, 6, 3, requires_grad=True)
    teacher = torch.randn(2, 6, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(teacher_student_loss(student, teacher, ones(student)), student)
    assert gradient.abs().sum() > 0
    assert not torch.autograd.grad(teacher_student_loss(student, teacher, ones(student)), teacher, allow_unused=True)[0]
    (gradient,) = torch.autograd.grad(self_distillation_loss(student, ones(student), 2), student)
    assert gradient[:, :4].abs().sum() > 0
    assert gradient[:, 4:].abs().sum() == 0


def test_the_self_loss_pulls_a_step_to_the_one_lead_later_as_in_equation_2() -> None:
    student = logits((0.5, 0.5), (0.6, 0.4), (0.9, 0.1))
    expected = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert float(self_distillation_loss(student, ones(student), 2)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="at least 1"):
        self_distillation_loss(student, ones(student), 0)


def test_a_clip_not_longer_than_the_lead_contributes_nothing_and_still_has_a_gradient() -> None:
    student = torch.randn(1, 3, 4, requires_grad=True)
    loss = self_distillation_loss(student, ones(student), 3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0


def test_the_next_action_of_a_stream_is_no_target_for_this_one() -> None:
    torch.manual_seed(0)
    student = torch.randn(1, 6, 3)
    segment = torch.tensor([[0, 0, 0, 1, 1, 1]])
    halves = [self_distillation_loss(student[:, half], ones(student[:, half]), 2) for half in (slice(3), slice(3, 6))]
    expected = sum(float(loss) for loss in halves) / 2
    assert float(self_distillation_loss(student, ones(student), 2, 1.0, segment)) == pytest.approx(expected, rel=1e-5)


def test_padding_and_unlabelled_steps_do_not_count() -> None:
    torch.manual_seed(0)
    values = torch.randn(2, 5, 3)
    target = torch.tensor([[1, 1, 1, 1, 1], [-1, -1, -1, -1, -1]])
    weight = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    alone = classification_loss(values[:1, :3], target[:1, :3], weight[:1, :3])
    assert float(classification_loss(values, target, weight)) == pytest.approx(float(alone), rel=1e-6)
    spoilt = values.clone()
    spoilt[0, 3:] = 1e3
    losses: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: teacher_student_loss(x, torch.zeros_like(x), weight),
        lambda x: self_distillation_loss(x, weight, 1),
        lambda x: classification_loss(x, target, weight, 0.1),
    )
    for loss in losses:
        assert float(loss(spoilt)) == pytest.approx(float(loss(values)), rel=1e-6)


def test_a_batch_without_any_label_loses_nothing() -> None:
    student = torch.randn(2, 4, 3)
    assert float(classification_loss(student, torch.full((2, 4), -1), ones(student))) == 0


def test_a_step_knows_how_much_of_its_action_is_over() -> None:
    found = passed(torch.tensor([[1, 1, 1, 1, -1, -1], [2, 2, -1, 0, 0, 0]]))
    expected = [[1 / 8, 3 / 8, 5 / 8, 7 / 8], [1 / 4, 3 / 4, 1 / 2, 1 / 6, 3 / 6, 5 / 6]]
    torch.testing.assert_close(found[0, :4], torch.tensor(expected[0]))
    torch.testing.assert_close(found[1], torch.tensor(expected[1]))


def test_late_steps_may_count_more_than_early_ones_and_a_clip_as_much_as_before() -> None:
    right, wrong, target = [0.9, 0.1], [0.1, 0.9], torch.zeros(1, 4, dtype=torch.int64)
    early, late = (
        torch.tensor([steps]).log() for steps in ([wrong, right, right, right], [right, right, right, wrong])
    )
    losses = [float(classification_loss(x, target, ones(x), late=0.5)) for x in (early, late)]
    weights = (0.625, 1.375)  # of a first and a last step of four: the means of 0.5 to 1.5 over a quarter
    for loss, weight in zip(losses, weights, strict=True):
        assert loss == pytest.approx((weight * -math.log(0.1) + (4 - weight) * -math.log(0.9)) / 4, rel=1e-5)
    same = torch.zeros(1, 4, 2)
    assert float(classification_loss(same, target, ones(same), late=-1.0)) == pytest.approx(math.log(2))


def test_a_long_clip_counts_as_much_as_a_short_one() -> None:
    values = torch.tensor([[4.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    weight = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert float(clip_mean(values, weight)) == 2.5


def test_equal_distributions_lose_nothing_at_any_temperature() -> None:
    student = torch.randn(2, 4, 3)
    assert float(teacher_student_loss(student, student + 7.0, ones(student), 4.0)) == pytest.approx(0, abs=1e-5)


def test_the_teacher_may_count_more_on_some_clips() -> None:
    student, teacher = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    each = [float(teacher_student_loss(student[i : i + 1], teacher[i : i + 1], torch.ones(1, 4))) for i in range(2)]
    found = teacher_student_loss(student, teacher, torch.ones(2, 4), share=torch.tensor([1.0, 3.0]))
    assert float(found) == pytest.approx((each[0] + 3 * each[1]) / 2, rel=1e-5)


def test_a_step_of_anything_but_a_label_loses_the_log_of_what_is_left_for_the_others() -> None:
    student = torch.tensor([[(0.0, 1.0, 2.0), (3.0, -1.0, 0.5)]])
    target = torch.tensor([[anything_but(2), anything_but(0)]])
    share = torch.softmax(student, -1)
    expected = -(1 - torch.stack([share[0, 0, 2], share[0, 1, 0]])).log().mean()
    torch.testing.assert_close(classification_loss(student, target, ones(student), 0.1), expected)


def test_the_loss_of_an_excluded_label_keeps_its_digits_where_the_label_is_nearly_sure() -> None:
    student = torch.tensor([[(200.0, 0.0)]]).requires_grad_()
    loss = classification_loss(student, torch.tensor([[anything_but(0)]]), ones(student))
    assert loss.item() == pytest.approx(200.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    torch.testing.assert_close(student.grad, torch.tensor([[(1.0, -1.0)]]))


def test_labels_exclusions_and_steps_without_either_share_a_clip() -> None:
    student, target = torch.tensor([[(0.0, 1.0), (2.0, 0.0), (5.0, 5.0)]]), torch.tensor([[1, anything_but(0), -1]])
    values = -torch.log_softmax(student, -1)
    expected = (values[0, 0, 1] + values[0, 1, 1]) / 2
    torch.testing.assert_close(classification_loss(student, target, ones(student)), expected)
    inputs = student.double().requires_grad_()
    weight = ones(student).double()
    assert torch.autograd.gradcheck(lambda x: classification_loss(x, target, weight, 0.1), inputs)


def test_a_pair_counts_where_both_its_steps_lie_in_the_clip_itself() -> None:
    weight = torch.tensor([[1.0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
    assert foreseeing_pairs(weight, 2).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert foreseeing_pairs(weight, 2, torch.tensor([0, 3])).tolist() == [[1, 1, 1, 0], [0, 0, 0, 1]]


def test_the_answers_of_a_recogniser_are_the_targets_of_so_many_steps_before() -> None:
    student = logits((0.5, 0.5), (0.6, 0.4), (0.9, 0.1))
    recogniser = logits((0.1, 0.9), (0.1, 0.9), (0.8, 0.2))
    expected = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    pairs = torch.ones(1, 1)
    assert float(foreseen_answers_loss(student, recogniser, pairs, 2)) == pytest.approx(expected, abs=1e-6)


def test_the_states_of_a_recogniser_are_compared_by_huber_summed_over_units() -> None:
    student, recogniser = torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)
    recogniser[0, 1] = torch.tensor([0.5, 3.0, 0.0])
    expected = 0.5 * 0.5**2 + (3.0 - 0.5)
    assert float(foreseen_states_loss(student, recogniser, torch.ones(1, 1), 1)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [foreseen_answers_loss, foreseen_states_loss])
def test_no_gradient_reaches_the_recogniser_and_a_short_clip_contributes_nothing(
    loss: Callable[[Tensor, Tensor, Tensor, int], Tensor],
) -> None:
    student = torch.randn(2, 6, 3, requires_grad=True)
    recogniser = torch.randn(2, 6, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(student, recogniser, torch.ones(2, 4), 2), student)
    assert gradient[:, :4].abs().sum() > 0
    assert gradient[:, 4:].abs().sum() == 0
    assert not torch.autograd.grad(
        loss(student, recogniser, torch.ones(2, 4), 2) + student.sum(), recogniser, allow_unused=True
    )[0]
    assert float(loss(student, recogniser, torch.ones(2, 0), 6).detach()) == 0
