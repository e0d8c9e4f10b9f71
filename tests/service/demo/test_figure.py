from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.service.demo.figure import ACTIONS, FOREARM, HEIGHT, SHANK, THIGH, UPPER_ARM, pose

NOSE, SHOULDERS, ELBOWS, WRISTS = 0, [5, 6], [7, 8], [9, 10]
HIPS, KNEES, ANKLES = [11, 12], [13, 14], [15, 16]


def cycle(action: str, yaw: float | None = None) -> NDArray[np.float32]:
    """(48, 17, 3): one cycle of an action without noise, one pixel a thousandth of the body's height."""
    times = np.linspace(0, ACTIONS[action].period_s, 48, endpoint=False)
    return pose(action, times, height=1000.0, centre=(0.0, 0.0), noise=0.0, yaw=yaw)


def middle(body: NDArray[np.float32], joints: list[int]) -> NDArray[np.float32]:
    centre: NDArray[np.float32] = body[:, joints, :2].mean(axis=1)
    return centre


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_finite_certain_and_moves_without_jumps(action: str) -> None:
    body = pose(action, np.arange(0, 2 * ACTIONS[action].period_s, 1 / 30), height=1000.0)
    assert body.shape[1:] == (17, 3)
    assert body.dtype == np.float32
    assert np.isfinite(body).all()
    assert (body[..., 2] > 0.5).all()
    assert (body[..., 2] <= 1).all()
    steps = np.linalg.norm(np.diff(body[..., :2], axis=0), axis=-1)
    assert steps.max() < 200  # a fifth of the body's height in a thirtieth of a second: a jumping jack's hands


@pytest.mark.parametrize("action", ACTIONS)
def test_no_limb_is_longer_than_its_bone_and_none_collapses(action: str) -> None:
    unit = 1000 / HEIGHT
    turned = np.stack([cycle(action, yaw=yaw) for yaw in (0.0, 45.0, 90.0)])[..., :2]
    for start, end, bone in (
        (SHOULDERS, ELBOWS, UPPER_ARM),
        (ELBOWS, WRISTS, FOREARM),
        (HIPS, KNEES, THIGH),
        (KNEES, ANKLES, SHANK),
    ):
        seen = np.linalg.norm(turned[..., start, :] - turned[..., end, :], axis=-1)
        assert seen.max() <= bone * unit * 1.06  # the camera looks down a little
        assert (seen.max(axis=0) > 0.5 * bone * unit).all()  # from one of three sides it is seen at length


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_repeats_after_its_period(action: str) -> None:
    times = np.linspace(0, 1, 7)
    later = pose(action, times + 3 * ACTIONS[action].period_s, noise=0.0)
    np.testing.assert_allclose(later, pose(action, times, noise=0.0), atol=0.05)


def test_the_same_moment_is_the_same_pose_alone_or_among_others() -> None:
    times = np.array([[0.1, 0.5], [0.9, 1.3]])
    together = pose("golf_swing", times, seed=3)
    assert together.shape == (2, 2, 17, 3)
    alone = pose("golf_swing", 0.9, seed=3)
    assert alone.shape == (17, 3)
    np.testing.assert_allclose(together[1, 0, :, 1], alone[:, 1], atol=1e-3)


def test_noise_has_the_asked_size_and_a_seed_of_its_own() -> None:
    times = np.linspace(0, 20, 600)
    clean = pose("idle", times, height=1000.0, noise=0.0)[..., :2]
    noise = pose("idle", times, height=1000.0, noise=0.01)[..., :2] - clean
    assert np.sqrt((noise**2).mean()) == pytest.approx(10, rel=0.2)
    assert not np.allclose(noise, pose("idle", times, height=1000.0, noise=0.01, seed=1)[..., :2] - clean)


def test_a_body_that_faces_the_camera_has_its_left_at_the_right_of_the_image() -> None:
    body = cycle("jumping_jacks")
    for left, right in (SHOULDERS, WRISTS, HIPS, ANKLES):
        assert (body[:, left, 0] > body[:, right, 0]).all()


def test_turned_to_the_right_the_nose_points_there() -> None:
    body = pose("idle", 0.0, yaw=90.0, noise=0.0)
    assert body[NOSE, 0] > body[[3, 4], 0].mean() + 5


def test_size_and_place_are_what_was_asked() -> None:
    small, large = (pose("squat", 0.7, height=h, centre=c, noise=0.0) for h, c in ((100, (0, 0)), (300, (50, 80))))
    np.testing.assert_allclose(large[:, :2], small[:, :2] * 3 + [50, 80], atol=1e-3)
    standing = pose("idle", 0.0, height=1000.0, centre=(0.0, 0.0), noise=0.0)
    assert 850 < np.ptp(standing[:, 1]) < 1000


def test_a_jumping_jack_takes_a_second_and_opens_and_closes_arms_and_legs_with_two_hops() -> None:
    body = cycle("jumping_jacks")
    assert 0.8 <= ACTIONS["jumping_jacks"].period_s <= 1.3
    assert (body[0, WRISTS, 1] > body[0, ELBOWS, 1]).all()  # hands down
    assert (body[24, WRISTS, 1] < body[24, NOSE, 1]).all()  # and up
    spread = body[:, ANKLES[0], 0] - body[:, ANKLES[1], 0]
    assert spread[24] > 3 * spread[0]
    hips = middle(body, HIPS)[:, 1]
    assert hips[12] < hips[0] - 40
    assert hips[36] < hips[24] - 40


def test_a_squat_lowers_the_hips_and_keeps_the_feet() -> None:
    body = cycle("squat")
    hips = middle(body, HIPS)[:, 1]
    assert hips.max() - hips.min() > 200
    assert hips.argmax() == pytest.approx(24, abs=3)
    assert np.ptp(body[:, ANKLES, :2], axis=0).max() < 5


def test_a_push_up_is_level_and_only_bends_the_arms() -> None:
    body = cycle("pushup")
    ends = np.abs(middle(body, SHOULDERS) - middle(body, ANKLES))
    assert (ends[:, 0] > 2 * ends[:, 1]).all()
    assert np.ptp(middle(body, SHOULDERS)[:, 1]) > 100
    assert np.ptp(body[:, WRISTS, :2], axis=0).max() < 5
    assert np.ptp(body[:, ANKLES, :2], axis=0).max() < 5


def test_a_sit_up_raises_the_trunk_from_lying_to_sitting() -> None:
    body = cycle("situp")
    rise = middle(body, HIPS)[:, 1] - middle(body, SHOULDERS)[:, 1]
    assert rise[0] < 60
    assert rise[24] > 250
    assert np.ptp(body[:, ANKLES, :2], axis=0).max() < 5


def test_a_pull_up_hangs_from_a_bar_that_stays() -> None:
    body = cycle("pullup")
    assert np.ptp(body[:, WRISTS, :2], axis=0).max() < 5
    assert (body[:, WRISTS, 1].max(axis=1) < middle(body, SHOULDERS)[:, 1]).all()
    assert np.ptp(middle(body, HIPS)[:, 1]) > 200


def test_rope_jumping_is_quick_and_leaves_the_ground() -> None:
    assert ACTIONS["jump_rope"].period_s < 0.7
    body = cycle("jump_rope")
    assert np.ptp(body[:, ANKLES, 1], axis=0).min() > 20
    assert (np.abs(body[:, WRISTS, 0]) > np.abs(body[:, SHOULDERS, 0])).all()


def test_a_golfer_swings_both_hands_from_the_right_to_the_left() -> None:
    body = cycle("golf_swing")
    apart = np.linalg.norm(body[:, WRISTS[0], :2] - body[:, WRISTS[1], :2], axis=-1)
    assert apart.max() < 120
    hands = middle(body, WRISTS)
    top, finish = 15, 30
    assert hands[top, 0] < hands[0, 0] - 80
    assert hands[finish, 0] > hands[0, 0] + 20
    assert hands[top, 1] < hands[0, 1] - 200
    assert hands[finish, 1] < hands[0, 1] - 200


def test_a_wave_moves_one_hand_and_idling_moves_nothing_much() -> None:
    travel = np.ptp(cycle("wave")[..., :2], axis=0).max(axis=-1)
    assert travel[WRISTS[1]] > 4 * travel[WRISTS[0]]
    assert np.ptp(cycle("idle")[..., :2], axis=0).max() < 40


def test_an_unknown_action_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        pose("sleep", 0.0)
