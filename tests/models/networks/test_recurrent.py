from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from inkling.models.networks import StudentConfig, TeacherConfig, pose_student, pose_teacher
from inkling.models.networks.recurrent import Prototypes, Standardised
from inkling.models.skeletons import BODY13
from tests.models.networks.test_pose_features import walk

Cell = Literal["gru", "lstm"]
CELLS: tuple[Cell, ...] = ("gru", "lstm")


def stepped(student: torch.nn.Module, x: Tensor) -> Tensor:
    """Logits (B, T, K) by stepping frame after frame."""
    state = student.initial_state(len(x))  # type: ignore[operator]
    found = []
    for t in range(x.shape[1]):
        logits, *state = student.step(x[:, t], *state)  # type: ignore[operator]
        found.append(logits)
    return torch.stack(found, 1)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("widths", [(), (32, 16)])
@pytest.mark.parametrize("memories", [(), (0.5, 20.0)])
@pytest.mark.parametrize("prototypes", [False, True])
def test_stepping_equals_the_sequence_over_500_steps(
    cell: Cell, widths: tuple[int, ...], memories: tuple[float, ...], prototypes: bool
) -> None:
    torch.manual_seed(0)
    config = StudentConfig(cell=cell, hidden=24, widths=widths, memories_s=memories, prototypes=prototypes)
    student = pose_student(config, BODY13, 15.0, 5)
    x = walk(500, batch=3)
    with torch.no_grad():
        student.train()(x)  # gathers what standardises
        student.eval()
        torch.testing.assert_close(stepped(student, x), student(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(stepped(student.merged(), x), student(x), rtol=1e-4, atol=1e-4)


def test_a_merged_student_has_a_layer_less_and_leaves_the_other_as_it_was() -> None:
    student = pose_student(StudentConfig(hidden=8, widths=(16,)), BODY13, 15.0, 5)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    assert len(student.merged().layers) == len(student.layers) - 1
    torch.testing.assert_close(student.state_dict(), before)
    plain = pose_student(StudentConfig(hidden=8, widths=(16,), standardised=False), BODY13, 15.0, 5)
    assert len(plain.merged().layers) == len(plain.layers)


def test_in_training_every_feature_has_mean_0_and_deviation_1_over_its_batch() -> None:
    torch.manual_seed(0)
    x = torch.tensor([100.0, 0.5, 3.0]) + torch.randn(4, 50, 3) * torch.tensor([0.5, 20.0, 0.0])
    found = Standardised(3).train()(x).flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-2, rtol=0)


def test_what_never_changed_in_training_stays_small_when_it_does() -> None:
    standardised = Standardised(1)
    for _ in range(200):
        standardised.train()(torch.ones(8, 2, 1))
    assert standardised.eval()(torch.zeros(1, 1, 1)).abs().max() <= 100


def test_a_batch_of_a_single_step_is_standardised_by_what_was_gathered() -> None:
    standardised = Standardised(2).train()
    x = torch.tensor([[[3.0, -1.0]]])
    torch.testing.assert_close(standardised(x), x, rtol=1e-3, atol=0)  # nothing was gathered yet


@pytest.mark.parametrize("cell", CELLS)
def test_a_future_frame_changes_no_past_logit_of_a_student_but_does_of_a_teacher(cell: Cell) -> None:
    torch.manual_seed(0)
    student = pose_student(StudentConfig(cell=cell, hidden=24), BODY13, 15.0, 5).eval()
    teacher = pose_teacher(TeacherConfig(cell=cell, hidden=24), BODY13, 15.0, 5).eval()
    x, lengths = walk(), torch.tensor([20, 20])
    other = x.clone()
    other[:, 10:] = walk(10, seed=4)
    with torch.no_grad():
        torch.testing.assert_close(student(other)[:, :10], student(x)[:, :10])
        assert (teacher(other, lengths)[:, :10] - teacher(x, lengths)[:, :10]).abs().max() > 1e-3


def test_padding_changes_nothing_for_a_teacher() -> None:
    torch.manual_seed(0)
    teacher = pose_teacher(TeacherConfig(hidden=24), BODY13, 15.0, 5).eval()
    x = walk()
    padded = torch.cat([x, torch.zeros(2, 7, 13, 3)], dim=1)
    with torch.no_grad():
        alone = teacher(x, torch.tensor([20, 20]))
        torch.testing.assert_close(teacher(padded, torch.tensor([20, 20]))[:, :20], alone)


def test_a_memory_is_the_sum_of_the_states_so_far_the_older_the_less() -> None:
    torch.manual_seed(0)
    config = StudentConfig(hidden=6, widths=(), memories_s=(0.5, 2.0))
    student = pose_student(config, BODY13, 10.0, 3).eval()
    x = walk(7, batch=2)
    with torch.no_grad():
        hidden = student.recurrence(student.layers(student.features(x)))[0]
        state = student.initial_state(2)
        for t in range(7):
            _, *after = student.step(x[:, t], *state)
            state = tuple(after)
    for row, seconds in enumerate(config.memories_s):
        weights = torch.exp(-torch.arange(6, -1, -1) / (seconds * 10.0))
        torch.testing.assert_close(state[-1][:, row, :-1], (hidden * weights.view(1, -1, 1)).sum(1))
        torch.testing.assert_close(state[-1][:, row, -1], weights.sum().expand(2))


def test_a_class_is_answered_by_the_angle_to_its_prototype_alone() -> None:
    torch.manual_seed(0)
    head = Prototypes(4, 3)
    with torch.no_grad():
        head.weight[1] = 5 * torch.eye(4)[0]
        near, far = head(torch.tensor([[0.1, 0, 0, 0], [-20.0, 0, 0, 0]]))
    scale = head.scale.item()
    assert near[1].item() == pytest.approx(scale)  # the cosine is 1, whatever the lengths
    assert far[1].item() == pytest.approx(-scale)
    assert near.abs().max().item() <= scale + 1e-5


@pytest.mark.parametrize("cell", CELLS)
def test_the_declared_state_is_what_a_step_takes_and_gives(cell: Cell) -> None:
    student = pose_student(StudentConfig(cell=cell, hidden=24, memories_s=(1.0,)), BODY13, 15.0, 5).eval()
    state = student.initial_state(3)
    with torch.no_grad():
        logits, *after = student.step(walk(1, batch=3)[:, 0], *state)
    assert logits.shape == (3, 5)
    assert [tuple(tensor.shape) for tensor in after] == [(3, *tensor.shape) for tensor in student.state_tensors()]


def test_missing_joints_give_finite_logits_from_the_first_frame_on() -> None:
    student = pose_student(StudentConfig(hidden=24), BODY13, 15.0, 5).eval()
    with torch.no_grad():
        assert torch.isfinite(student(torch.zeros(1, 50, 13, 3))).all()
