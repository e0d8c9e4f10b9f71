"""The motion gate, on made-up rooms with noise, changing light and somebody who walks through."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.models.people.motion import MotionConfig, MotionGate, Reason

CONFIG = MotionConfig()
RATE_HZ = 10
Grey = NDArray[np.uint8]


def room(seed: int = 0) -> NDArray[np.float64]:
    """(48, 64): a few flat pieces of furniture before a wall."""
    rng = np.random.default_rng(seed)
    picture = np.full((48, 64), 150.0)
    for _ in range(12):
        top, left = rng.integers(0, 40), rng.integers(0, 56)
        picture[top : top + rng.integers(3, 20), left : left + rng.integers(3, 20)] = rng.integers(20, 230)
    return picture


def shot(picture: NDArray[np.float64], rng: np.random.Generator, noise: float = 1.0) -> Grey:
    return np.clip(np.rint(picture + rng.normal(0, noise, picture.shape)), 0, 255).astype(np.uint8)


def with_somebody(picture: NDArray[np.float64], left: float, height: int = 12, contrast: float = 40.0) -> np.ndarray:
    """Somebody a quarter as wide as high, darker than what is behind, whose left side is at `left` cells."""
    picture = picture.copy()
    width = height // 4
    for column in range(64):
        covered = min(max(min(column + 1, left + width) - max(column, left), 0), 1)
        picture[40 - height : 40, column] -= contrast * covered
    return picture


def watch(gate: MotionGate, pictures: list[np.ndarray], begin_s: float = 0.0, noise: float = 1.0) -> list[Reason]:
    """What the gate says of these pictures, if nobody is ever tracked."""
    rng = np.random.default_rng(1)
    return [
        gate.decide(shot(picture, rng, noise), begin_s + i / RATE_HZ, tracked=False).reason
        for i, picture in enumerate(pictures)
    ]


def looks(reasons: list[Reason]) -> float:
    return 1 - Counter(reasons)[Reason.STILL] / len(reasons)


MINUTE = range(60 * RATE_HZ)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_a_still_room_is_looked_at_now_and_then_only_however_noisy_the_camera(noise: float) -> None:
    reasons = watch(MotionGate(CONFIG), [room()] * len(MINUTE), noise=noise)
    assert looks(reasons[10 * RATE_HZ :]) <= 0.02, "once the noise is known"
    assert looks(reasons) <= (0.05 if noise <= 2 else 0.15)


def test_a_slow_change_of_the_light_is_no_motion() -> None:
    day = [room() * (1 + 0.3 * np.sin(i / len(MINUTE) * 3)) for i in MINUTE]
    lamp = [room() * (1 + 0.2 * np.linspace(0, 1, 64) * np.sin(i / len(MINUTE) * 6)) for i in MINUTE]
    for pictures in (day, lamp):
        assert looks(watch(MotionGate(CONFIG), pictures)) <= 0.05


def test_a_camera_that_sets_its_exposure_costs_a_look_or_two() -> None:
    pictures = [room() * (0.8 if i // 100 % 2 else 1) for i in MINUTE]
    assert looks(watch(MotionGate(CONFIG), pictures)) <= 0.05


@pytest.mark.parametrize("left", [-1.5, 20.0, 61.0])
def test_somebody_who_comes_in_is_seen_in_the_first_picture(left: float) -> None:
    gate = MotionGate(CONFIG)
    watch(gate, [room()] * 95)
    assert watch(gate, [with_somebody(room(), left)], begin_s=9.5) == [Reason.MOTION]


def test_somebody_who_creeps_is_seen_as_well() -> None:
    gate = MotionGate(CONFIG)
    watch(gate, [with_somebody(room(), 20)] * 95)
    creeping = watch(gate, [with_somebody(room(), 20 + i / 20) for i in range(60)], begin_s=9.5)  # half a cell a second
    assert Reason.MOTION in creeping[:30]


def test_somebody_who_enters_while_the_light_is_switched_on_is_seen() -> None:
    gate = MotionGate(CONFIG)
    watch(gate, [room() * 0.6] * 95)
    reasons = watch(gate, [with_somebody(room(), left) for left in range(20)], begin_s=9.5)
    assert Reason.STILL not in reasons


def test_a_room_with_a_screen_is_still_again_once_its_flicker_is_known() -> None:
    rng = np.random.default_rng(2)
    pictures = []
    for _ in MINUTE:
        picture = room()
        picture[10:16, 10:18] += rng.normal(0, 4)
        pictures.append(picture)
    gate = MotionGate(CONFIG)
    reasons = watch(gate, pictures)
    assert looks(reasons[:30]) > 0.2, "else the screen does not flicker"
    assert looks(reasons[300:]) <= 0.06
    assert watch(gate, [with_somebody(pictures[-1], 30)], begin_s=60) == [Reason.MOTION]


def test_the_gate_is_open_while_somebody_is_tracked_and_a_while_after() -> None:
    gate = MotionGate(CONFIG)
    rng = np.random.default_rng(3)
    said = [gate.decide(shot(room(), rng), i / RATE_HZ, tracked=50 <= i < 250).reason for i in range(400)]
    assert set(said[50:250]) == {Reason.TRACKED}
    assert set(said[250:279]) == {Reason.LINGER}
    assert said[281] == Reason.STILL
    assert looks(said[281:]) <= 0.02


def test_there_is_a_look_at_least_so_often() -> None:
    said = watch(MotionGate(CONFIG), [room()] * 500)
    at = [i for i, reason in enumerate(said) if reason is not Reason.STILL]
    assert max(np.diff(at)) <= CONFIG.perceive_every_s * RATE_HZ
    assert Counter(said)[Reason.DUE] >= 4


def test_a_jump_in_time_another_size_and_a_reset_are_a_new_camera() -> None:
    gate = MotionGate(CONFIG)
    rng = np.random.default_rng(4)

    def first(pts_s: float, picture: np.ndarray) -> bool:
        return gate.decide(shot(picture, rng), pts_s, tracked=False).reason is Reason.FIRST

    assert first(0, room())
    assert not first(0.1, room())
    assert not first(0.1, room())
    assert first(0.05, room())
    assert first(20, room())
    assert not first(20.1, room())
    assert first(20.2, room().T)
    assert not first(20.3, room().T)
    gate.reset()
    assert first(20.4, room().T)


def test_what_is_no_picture_is_refused() -> None:
    gate = MotionGate(CONFIG)
    for picture in (np.zeros((0, 0), np.uint8), np.zeros((4, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="shape"):
            gate.decide(picture, 0, tracked=False)
    with pytest.raises(ValueError, match="finite"):
        gate.decide(np.zeros((4, 4), np.uint8), float("inf"), tracked=False)
    with pytest.raises(ValueError, match="positive"):
        MotionConfig(noise_s=0)


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.lists(st.tuples(st.floats(-2, 12), st.booleans(), st.sampled_from([0, 128, 255, None])), max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_it_never_closes_on_somebody_nor_for_too_long(
    shape: tuple[int, int], steps: list[tuple[float, bool, int | None]]
) -> None:
    gate = MotionGate(CONFIG)
    rng = np.random.default_rng(0)
    pts_s, looked_s, tracked_s = 0.0, -np.inf, -np.inf
    for passed_s, tracked, level in steps:
        pts_s += passed_s
        picture = rng.integers(0, 256, shape) if level is None else np.full(shape, level)
        glance = gate.decide(picture.astype(np.uint8), pts_s, tracked)
        tracked_s = pts_s if tracked else -np.inf if passed_s < 0 else tracked_s
        assert glance.open or not tracked
        assert glance.open or pts_s - tracked_s > CONFIG.linger_s
        assert glance.open or 0 <= pts_s - looked_s < CONFIG.perceive_every_s
        looked_s = pts_s if glance.open else looked_s
