from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from inkling.models.networks import PoseConfig, PoseFeatures
from inkling.models.skeletons import BODY13, SKELETONS, Skeleton

FEATURES = PoseFeatures(BODY13, 15.0)


def walk(steps: int = 20, batch: int = 2, joints: int = 13, dimensions: int = 2, seed: int = 0) -> Tensor:
    """(B, T, J, D + 1): bodies of about 200 pixels whose joints wander."""
    random = torch.Generator().manual_seed(seed)
    start = 200 * torch.randn(batch, 1, joints, dimensions, generator=random)
    moves = 5 * torch.randn(batch, steps, joints, dimensions, generator=random)
    place = 500 + start + moves.cumsum(1)
    return torch.cat([place, torch.ones(batch, steps, joints, 1)], dim=-1)


def without(x: Tensor, lost: Tensor) -> Tensor:
    """The same with the joints where `lost` (B, T, J) holds marked as missing."""
    return x.masked_fill(lost.unsqueeze(-1), 0.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 20), st.floats(-2000, 2000), st.floats(-2000, 2000), st.integers(0, 10), st.floats(0, 0.6))
def test_features_do_not_depend_on_where_in_the_picture_or_how_large_the_body_is(
    scale: float, right: float, down: float, seed: int, share: float
) -> None:
    x = walk(seed=seed)
    lost = torch.rand(x.shape[:3], generator=torch.Generator().manual_seed(seed)) < share
    moved = torch.cat([x[..., :2] * scale + torch.tensor([right, down]), x[..., 2:]], dim=-1)
    torch.testing.assert_close(FEATURES(without(moved, lost)), FEATURES(without(x, lost)), rtol=1e-2, atol=5e-3)


def test_a_future_frame_changes_no_past_feature() -> None:
    x = walk()
    other = x.clone()
    other[:, 12:] = walk(8, seed=9)
    torch.testing.assert_close(FEATURES(other)[:, :12], FEATURES(x)[:, :12], rtol=0, atol=0)
    assert not torch.equal(FEATURES(other)[:, 12:], FEATURES(x)[:, 12:])


@settings(max_examples=40, deadline=None)
@example(4851, 0.9375)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_missing_joints_in_any_pattern_give_finite_features_of_bounded_size(seed: int, share: float) -> None:
    x = walk(seed=seed)
    lost = torch.rand(x.shape[:3], generator=torch.Generator().manual_seed(seed)) < share
    features = FEATURES(without(x, lost))
    assert torch.isfinite(features).all()
    assert features.abs().max() < 150


def test_no_joint_from_the_first_frame_on_gives_finite_features_and_a_body_may_still_appear() -> None:
    x = walk()
    nobody = torch.zeros_like(x)
    assert torch.isfinite(FEATURES(nobody)).all()
    late = torch.cat([nobody, x], dim=1)
    assert torch.isfinite(FEATURES(late)).all()
    # nothing was learned from the empty frames: only the running ranges' clock had nothing to leak
    torch.testing.assert_close(FEATURES(late)[:, x.shape[1] :], FEATURES(x))


def test_a_body_of_a_single_joint_has_no_size_and_no_speed_until_another_appears() -> None:
    x = walk(8, batch=1)
    lost = torch.ones(1, 8, 13, dtype=torch.bool)
    lost[0, :, 5] = False
    lost[0, 5:, 6] = False
    features = FEATURES(without(x, lost))
    mask = slice(4 * 13, 5 * 13)
    assert features[0, :5, : 4 * 13].abs().max() == 0
    assert (features[0, :, mask][:, 5] == 1).all()
    assert 0 < features[0, 5:, : 4 * 13].abs().max() < 10


def test_a_missing_joint_stays_masked_and_moves_along_with_the_body() -> None:
    x = walk(2, batch=1)
    x[:, 1] = x[:, 0]
    x[:, 1, :, 0] += 30.0  # the whole body slides to the right
    lost = torch.zeros(1, 2, 13, dtype=torch.bool)
    lost[0, 1, 5] = True
    features = FEATURES(without(x, lost))
    mask = slice(4 * 13, 5 * 13)
    assert features[0, 1, mask].tolist() == [0.0 if joint == 5 else 1.0 for joint in range(13)]
    torch.testing.assert_close(features[0, 1, : 2 * 13], features[0, 0, : 2 * 13])


def test_a_range_of_motion_is_remembered_and_fades() -> None:
    x = walk(1, batch=1).expand(1, 900, 13, 3).clone()
    x[0, 5, 5, 0] += 300.0  # one jerk of the left wrist, then stillness for a minute
    width = 13 * 2
    begin = width * 2 + 13 + 78 + 2 * len(BODY13.bones)
    to_high = FEATURES(x)[0, :, begin : begin + width].view(-1, 13, 2)[:, 5, 0]
    assert to_high[4] == 0
    assert to_high[6] > 0.5
    assert to_high[100] < to_high[6]
    assert to_high[-1] < 1e-3


def test_a_span_tells_how_far_each_joint_has_come_since_then() -> None:
    features = PoseFeatures(BODY13, 10.0, PoseConfig(spans_s=(0.2, 0.5), speeds=False))
    x = walk(1, batch=1).expand(1, 12, 13, 3).clone()
    x[0, 8:, 5, 1] += 40.0  # the left wrist sinks
    lost = torch.zeros(1, 12, 13, dtype=torch.bool)
    lost[0, :9, 6] = True
    found = features(without(x, lost))[0]
    short, long = found[:, -52:-26].view(12, 13, 2), found[:, -26:].view(12, 13, 2)
    assert (short[:8] == 0).all()
    assert (short[8:10, 5, 1] > 0.05).all()
    assert short[10:, 5].abs().max() < 0.05
    assert (long[8:, 5, 1] > 0.03).all()
    assert (long[:, 6] == 0).all()  # five steps before, the right wrist had not been seen yet


def test_ways_begin_at_the_first_pose_however_late_it_comes() -> None:
    x = walk()
    late = torch.cat([torch.zeros(2, 9, 13, 3), x], dim=1)
    torch.testing.assert_close(FEATURES(late)[:, 9:], FEATURES(x))
    assert FEATURES(x)[:, 0, -52 - 39 :].abs().max() <= 1e-3


def test_a_speed_is_the_same_whichever_way_a_joint_moves() -> None:
    x = walk(2, batch=1).expand(4, 2, 13, 3).clone()
    x[:, 1] = x[:, 0]
    for row, (right, down) in enumerate([(9.0, 0.0), (0.0, -9.0), (-5.4, 7.2)]):
        x[row, 1, 5, :2] += torch.tensor([right, down])
    wrist = FEATURES(x)[:, 1, -39:].view(4, 3, 13)[..., 5]
    assert (wrist[:3] > 0.01).all()
    torch.testing.assert_close(wrist[:3], wrist[:1].expand(3, 3), rtol=0.1, atol=0)
    assert (wrist[3] <= 1e-3).all()


def test_the_way_of_the_centre_is_the_body_s_however_its_limbs_move_and_whichever_joints_are_seen() -> None:
    features = PoseFeatures(BODY13, 10.0, PoseConfig(centre_spans_s=(0.2, 0.5)))
    x = walk(1, batch=1).expand(1, 20, 13, 3).clone()
    x[0, 8:, :, 1] += 60.0  # the body drops
    x[0, 12:, 5, 1] -= 39.0  # a hand is raised: a thirteenth of that is the body's way
    lost = torch.zeros(1, 20, 13, dtype=torch.bool)
    lost[0, :3, 7:9] = True  # hips that are seen late move no centre
    lost[0, 8:, 3] = True
    short, long = features(without(x, lost))[0, :, -4:].view(20, 2, 2).unbind(1)
    assert long[:8].abs().max() < 1e-4
    assert (short[8:10, 1] > 0.1).all()
    assert (short[10:12, 1] == 0).all()
    assert (long[8:12, 1] > 0.05).all()
    torch.testing.assert_close(long[12, 1] - long[8, 1], -0.05 * long[8, 1], rtol=0.2, atol=0)
    assert long[:, 0].abs().max() < 1e-4


def test_a_body_can_be_described_without_spans_and_speeds() -> None:
    features = PoseFeatures(BODY13, 15.0, PoseConfig(spans_s=(), speeds=False))
    assert [tensor.input for tensor in features.state_tensors()] == ["joint_memory", "body_memory"]
    assert torch.equal(features(walk()), FEATURES(walk())[..., : features.dim])


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("config", [PoseConfig(), PoseConfig(spans_s=(), centre_spans_s=(0.1, 0.6))])
def test_features_of_a_step_are_those_of_the_sequence(share: float, config: PoseConfig) -> None:
    features_of = PoseFeatures(BODY13, 15.0, config)
    x = walk(40)
    lost = torch.rand(x.shape[:3], generator=torch.Generator().manual_seed(3)) < share
    lost[:, :3] = True
    x = without(x, lost)
    state = [torch.zeros(2, *tensor.shape) for tensor in features_of.state_tensors()]
    steps = []
    for t in range(40):
        features, *state = features_of.step(x[:, t], *state)
        steps.append(features)
    torch.testing.assert_close(torch.stack(steps, 1), features_of(x), rtol=1e-4, atol=1e-5)


def test_memory_stays_bounded_over_a_long_stream() -> None:
    state = [torch.zeros(1, *tensor.shape) for tensor in FEATURES.state_tensors()]
    x = walk(3000, batch=1)
    x[..., :2] = 500 + 100 * torch.sin(x[..., :2] / 50)
    for t in range(x.shape[1]):
        _, *state = FEATURES.step(x[:, t], *state)
    assert float(state[1][0, 0]) <= FEATURES.size_steps
    assert all(tensor.abs().max() < 1e4 for tensor in state)


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_known_skeleton_has_features_in_two_or_three_dimensions(name: str) -> None:
    skeleton = SKELETONS[name]
    features = PoseFeatures(skeleton, 30.0)
    x = walk(4, joints=len(skeleton.joints), dimensions=skeleton.dimensions)
    assert features(x).shape == (2, 4, features.dim)


def test_a_skeleton_without_bones_works() -> None:
    bare = Skeleton(name="hand", joints=("wrist", "thumb", "index"), dimensions=3, root=(0,))
    features = PoseFeatures(bare, 10.0)
    assert features(walk(4, joints=3, dimensions=3)).shape == (2, 4, features.dim)
