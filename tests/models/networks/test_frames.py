"""Features of frames: causal, the same in steps and in sequences, normalised inside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inkling.models.networks import FrameConfig, FrameFeatures, StudentConfig, frame_student

RATE_HZ = 10.0
CONFIGS = {
    "resnet_small": FrameConfig(height=32, width=48, channels=8),
    "resnet_small with motion": FrameConfig(height=32, width=48, channels=8, motion=True),
    "motion alone": FrameConfig(height=32, width=48, channels=8, motion=True, colour=False),
    "without shift": FrameConfig(height=32, width=48, channels=8, motion=True, shift=False),
    "mobilenet_v2": FrameConfig(height=32, width=64, backbone="mobilenet_v2"),
    "resnet18": FrameConfig(height=64, width=32, backbone="resnet18", motion=True),
    "resnet50": FrameConfig(height=32, width=32, backbone="resnet50"),
}


def _features(config: FrameConfig) -> FrameFeatures:
    torch.manual_seed(0)
    features = FrameFeatures(config, RATE_HZ)
    for module in features.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        features.train()(_frames(config, rows=4, seed=9))  # statistics that are no longer those of a fresh network
    return features.eval()


def _frames(config: FrameConfig, rows: int = 2, steps: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, steps, config.height, config.width, 3), generator=generator, dtype=torch.uint8)


def _by_steps(features: FrameFeatures, x: Tensor) -> Tensor:
    state = [torch.full((x.shape[0], *s.shape), s.initial) for s in features.state_tensors()]
    found = []
    for t in range(x.shape[1]):
        y, *state = features.step(x[:, t], *state)
        found.append(y)
    return torch.stack(found, 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_steps_equal_the_sequence(name: str) -> None:
    config = CONFIGS[name]
    features, x = _features(config), _frames(config)
    with torch.no_grad():
        sequence, steps = features(x), _by_steps(features, x)
    assert sequence.shape == (2, 6, features.dim)
    assert sequence.std() > 1e-3
    torch.testing.assert_close(steps, sequence, rtol=1e-4, atol=1e-4 * float(sequence.abs().max()))


@pytest.mark.parametrize("name", ["resnet_small with motion", "mobilenet_v2"])
def test_the_future_changes_no_past_feature_and_the_past_does_change_the_present(name: str) -> None:
    config = CONFIGS[name]
    features, x = _features(config), _frames(config)
    other = x.clone()
    other[:, 3] = 255 - other[:, 3]
    with torch.no_grad():
        before, after = features(x), features(other)
    torch.testing.assert_close(after[:, :3], before[:, :3], rtol=0, atol=1e-5)
    assert (after[:, 4:] - before[:, 4:]).abs().max() > 1e-3


def test_without_shift_and_motion_frames_know_nothing_of_each_other() -> None:
    config = FrameConfig(height=32, width=32, channels=8, shift=False)
    features, x = _features(config), _frames(config)
    assert features.state_tensors() == ()
    with torch.no_grad():
        torch.testing.assert_close(features(x)[:, 4], features(x[:, 4:5])[:, 0], rtol=1e-4, atol=1e-5)


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    config = CONFIGS["resnet_small with motion"]
    features, x = _features(config), _frames(config, rows=3)
    with torch.no_grad():
        torch.testing.assert_close(features(x)[1:2], features(x[1:2]), rtol=1e-4, atol=1e-4)


def test_every_state_tensor_has_its_own_name_and_the_shape_that_a_step_returns() -> None:
    config = CONFIGS["resnet_small with motion"]
    features, x = _features(config), _frames(config)
    tensors = features.state_tensors()
    assert [s.input for s in tensors] == [*(f"shift_layer{n}_0" for n in (1, 2, 3, 4)), "seen_grey"]
    state = [torch.full((2, *s.shape), s.initial) for s in tensors]
    with torch.no_grad():
        _, *after = features.step(x[:, 0], *state)
    assert [tuple(a.shape[1:]) for a in after] == [s.shape for s in tensors]


def test_motion_alone_sees_nothing_in_a_still_picture() -> None:
    config = CONFIGS["motion alone"]
    features = _features(config)
    still = _frames(config, rows=2, steps=1).expand(-1, 4, -1, -1, -1)
    with torch.no_grad():
        found = features(still)
    # two different pictures, one answer; it may change over time, since shifted channels begin at zero
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def test_a_frozen_backbone_keeps_its_statistics_and_gets_no_gradient() -> None:
    config = FrameConfig(height=32, width=32, channels=8, frozen=True, shift=False)
    student = frame_student(StudentConfig(hidden=8, widths=(8,)), config, RATE_HZ, 2).train()
    before = {key: value.clone() for key, value in student.extractor.state_dict().items()}
    student(_frames(config)).sum().backward()
    assert all(p.grad is None for p in student.extractor.parameters())
    assert any(p.grad is not None for p in student.layers.parameters())
    for key, value in student.extractor.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_student_on_frames_steps_as_it_runs_over_a_sequence() -> None:
    config = CONFIGS["resnet_small with motion"]
    torch.manual_seed(1)
    student = frame_student(StudentConfig(hidden=8, widths=(8,)), config, RATE_HZ, 3).eval()
    x = _frames(config)
    with torch.no_grad():
        sequence = student(x)
        state = student.initial_state(2)
        for t in range(x.shape[1]):
            logits, *rest = student.step(x[:, t], *state)
            state = tuple(rest)
            torch.testing.assert_close(logits, sequence[:, t], rtol=1e-4, atol=1e-4)


def test_nothing_to_see_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to see"):
        FrameConfig(colour=False)


def test_features_computed_before_pass_through_a_frozen_backbone() -> None:
    features = FrameFeatures(FrameConfig(height=32, width=32, channels=8, frozen=True, shift=False), RATE_HZ)
    x = torch.randn(2, 5, features.dim)
    assert features(x) is x


def test_motion_needs_a_backbone_that_begins_with_a_stride() -> None:
    with pytest.raises(ValueError, match="vgg16"):
        FrameFeatures(FrameConfig(height=32, width=32, backbone="vgg16", motion=True), RATE_HZ)
