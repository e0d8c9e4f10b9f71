from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from inkling.models.arrays import Array
from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import (
    NETWORKS,
    FrameConfig,
    NetworkPlan,
    PoseConfig,
    StudentConfig,
    TeacherConfig,
    TwoStageConfig,
    TwoStageStudent,
    TwoStageTeacher,
)
from inkling.models.skeletons import BODY13
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.parity import check_parity
from inkling.training.export.rough_streams import rough_frames, rough_poses
from inkling.training.export.step_graph import step_onnx
from tests.support import poses

FRAMES = FrameConfig(height=32, width=32, backbone="resnet_small", channels=8, shift=False, frozen=True)
SMALL: dict[str, Any] = {"context": 12, "hidden": 8, "action": 16}
VARIANTS = [
    TwoStageConfig(**SMALL),
    TwoStageConfig(**SMALL, cell="gru", joints="features", stop_gradient=True, drop_context=0.7),
]


def plan(config: TwoStageConfig) -> NetworkPlan:
    return NetworkPlan(
        rate_hz=10.0, classes=4, skeleton=BODY13, frames=FRAMES, poses=PoseConfig(), student=StudentConfig(),
        teacher=TeacherConfig(), two_stage=config,
    )  # fmt: skip


def student(config: TwoStageConfig, seed: int = 0) -> TwoStageStudent:
    torch.manual_seed(seed)
    found = NETWORKS["two_stage"].student(plan(config))
    assert isinstance(found, TwoStageStudent)
    return found.eval()


def clips(batch: int, steps: int, seed: int = 0) -> dict[str, Tensor]:
    """Joints, and features of the pictures that they are in."""
    joints = torch.from_numpy(poses(steps, batch, seed=seed)).transpose(0, 1).contiguous()
    generator = torch.Generator().manual_seed(seed)
    return {"pose": joints, "frame": torch.randn(batch, steps, 64, generator=generator)}


def at(x: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    return {name: tensor[:, step] for name, tensor in x.items()}


@pytest.mark.parametrize("config", VARIANTS)
def test_a_sequence_gives_what_its_steps_give(config: TwoStageConfig) -> None:
    network = student(config)
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (2, 9, 32, 32, 3), generator=generator, dtype=torch.uint8)
    x = clips(2, 9) | {"frame": pictures}
    with torch.no_grad():
        whole, state = network(x), list(network.initial_state(2))
        for step in range(9):
            logits, *state = network.step(at(x, step), *state)
            torch.testing.assert_close(logits, whole[:, step], atol=1e-5, rtol=0)
    assert [tensor.input for tensor in network.state_tensors()][:2] == ["joint_memory", "body_memory"]


def test_later_steps_change_no_earlier_answer_of_the_student_and_do_of_the_teacher() -> None:
    x = clips(2, 8)
    other = {name: torch.cat([tensor[:, :5], tensor[:, 5:].flip(1)], 1) for name, tensor in x.items()}
    network, lengths = student(VARIANTS[0]), torch.tensor([8, 8])
    teacher = NETWORKS["two_stage"].teacher(plan(VARIANTS[0])).eval()
    with torch.no_grad():
        assert torch.equal(network(x)[:, :5], network(other)[:, :5])
        assert not torch.equal(teacher(x, lengths)[:, :5], teacher(other, lengths)[:, :5])


def test_a_teacher_sees_no_padding_and_has_states_as_wide_as_the_students() -> None:
    torch.manual_seed(0)
    teacher = NETWORKS["two_stage"].teacher(plan(VARIANTS[0])).eval()
    assert isinstance(teacher, TwoStageTeacher)
    x = clips(2, 8)
    with torch.no_grad():
        short = teacher({name: tensor[:1, :5] for name, tensor in x.items()}, torch.tensor([5]))
        assert torch.allclose(teacher(x, torch.tensor([5, 8]))[0, :5], short[0], atol=1e-6)
        theirs = teacher.detailed(teacher.features(x), torch.tensor([8, 8]))
        ours = student(VARIANTS[0]).detailed(teacher.features(x))
    assert list(theirs.heads) == list(ours.heads) == ["context", "action"]
    assert {k: v.shape for k, v in theirs.states.items()} == {k: v.shape for k, v in ours.states.items()}
    assert ours.logits is ours.heads["action"]


@pytest.mark.parametrize("config", VARIANTS)
def test_a_body_that_is_never_seen_is_answered_from_the_picture(config: TwoStageConfig) -> None:
    network, x = student(config), clips(2, 6)
    unseen = x | {"pose": torch.zeros_like(x["pose"])}
    with torch.no_grad():
        answers = network(unseen)
        elsewhere = network(unseen | {"frame": x["frame"].roll(1, 0)})
    assert torch.isfinite(answers).all()
    assert (answers - elsewhere).abs().max() > 1e-3


def test_the_second_stage_trains_the_first_one_unless_the_gradient_is_stopped() -> None:
    for config, trained in ((TwoStageConfig(**SMALL), True), (TwoStageConfig(**SMALL, stop_gradient=True), False)):
        network = student(config).train()
        torch.autograd.backward(network(clips(2, 6)).sum())
        gradient = network.parts.context.get_parameter("weight_ih_l0").grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) is trained


def test_the_context_is_hidden_in_its_share_of_training_clips_and_scaled_when_it_is_used() -> None:
    parts = student(TwoStageConfig(**SMALL, drop_context=0.7)).parts
    context = torch.ones(4000, 3, 12)
    torch.manual_seed(0)
    seen = parts.train().carried(context)
    assert set(seen.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(seen.amin((1, 2)), seen.amax((1, 2))), "of whole clips"
    assert float(seen[:, 0, 0].mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.allclose(parts.eval().carried(context), torch.full_like(context, 0.3))


def test_the_exported_step_is_the_network_over_many_steps() -> None:
    network = student(VARIANTS[1])  # the other one is exported by tests/training/test_two_stage_models.py
    with torch.no_grad():  # far from nothing, so that a wrong gate shows
        for parameter in network.parts.parameters():
            parameter.mul_(1.5)
    frame = FrameInput(kind="frame", height=32, width=32)
    graph = OnnxGraph(step_onnx(network, [PoseInput(kind="pose", skeleton=BODY13), frame], "both", "1"))
    assert {"pose", "frame", "context_hidden", "action_hidden"} <= set(graph.inputs)
    streams: dict[str, Array] = {"pose": rough_poses(BODY13, 500, 2), "frame": rough_frames(frame, 500, 2)}
    assert np.isfinite(check_parity(network, graph, streams, sequence_steps=48))


def test_an_odd_number_of_units_cannot_be_halved_for_a_teacher() -> None:
    with pytest.raises(ValidationError, match="must be even"):
        TwoStageConfig(hidden=7)


def test_joints_alone_are_refused_with_a_sentence() -> None:
    with pytest.raises(TypeError, match="given two inputs, pose and frame"):
        student(VARIANTS[0])(clips(1, 3)["pose"])
