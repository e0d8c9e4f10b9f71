from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import Bundle, load
from inkling.service.engine.device_engine import DeviceEngine
from inkling.service.engine.gather import gather_for, one_input
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.scheduler import Lane, Step
from tests.joints_and_picture import TinyBothReference, make_both_bundle, rough_inputs
from tests.support import HIDDEN, HIDDEN_AT_START, make_bundle


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(make_both_bundle(tmp_path_factory.mktemp("bundles")))


def test_the_rows_of_one_input_are_stacked_and_prepared_once_for_all_lanes_alike(tmp_path: Path) -> None:
    calls: list[int] = []

    def doubled(rows: np.ndarray) -> np.ndarray:
        calls.append(len(rows))
        return 2 * rows

    spec = load(make_bundle(tmp_path)).spec
    lanes = [Lane(0, 0, doubled), Lane(1, 0, doubled), Lane(2, 0, lambda rows: rows)]
    steps = [Step(lane, np.full((2, 3), number), 0, 0, 0.0) for number, lane in enumerate(lanes)]
    assert gather_for(spec) is one_input
    assert one_input(steps[:2]).tolist() == [[[0] * 3] * 2, [[2] * 3] * 2]
    assert calls == [2]
    assert one_input(steps)[:, 0, 0].tolist() == [0, 2, 2]


def test_joints_are_prepared_and_pictures_are_not(both: Bundle) -> None:
    picture = np.full((24, 32, 3), 7, np.uint8)
    lanes = [Lane(number, 0, lambda rows: 2 * rows) for number in range(2)]
    steps = [
        Step(lane, (np.full((13, 3), number, np.float32), picture), 0, 0, 0.0) for number, lane in enumerate(lanes)
    ]
    gathered = gather_for(both.spec)(steps)
    assert isinstance(gathered, dict)
    assert gathered["pose"][:, 0, 0].tolist() == [0, 2]
    assert gathered["frame"].shape == (2, 24, 32, 3)
    assert gathered["frame"].dtype == np.uint8


def test_a_step_that_repeats_is_given_the_joints_and_the_picture_that_are_held(both: Bundle) -> None:
    lane = Lane(0, 0, lambda rows: rows)
    held = np.ones((13, 3), np.float32), np.ones((24, 32, 3), np.uint8)
    lane.held = held  # type: ignore[assignment]
    gathered = gather_for(both.spec)([Step(lane, None, 0, 1, 0.0)])
    assert isinstance(gathered, dict)
    assert np.array_equal(gathered["pose"][0], held[0])
    assert np.array_equal(gathered["frame"][0], held[1])


@pytest.mark.parametrize("kind", [Engine, DeviceEngine])
def test_an_engine_steps_several_inputs_by_name(both: Bundle, kind: type[Engine]) -> None:
    engine = kind(both, 1, "cpu")
    engine.warm([1, 2])
    pool = engine.pool(4, 4)
    tiny = TinyBothReference()
    inputs = rough_inputs(tiny, 5, 3, seed=2)
    slots = [pool.acquire() for _ in range(3)]
    rows = np.array([slot.index for slot in slots])
    zeros = np.zeros(3, np.int64)
    h = np.full((3, HIDDEN), HIDDEN_AT_START, np.float32)
    for pose, frame in zip(inputs["pose"], inputs["frame"], strict=True):
        expected, h = tiny.step(pose, frame, h)
        logits, finite = engine.advance(pool, rows, zeros, zeros, {"frame": frame, "pose": pose})
        assert finite is None
        np.testing.assert_allclose(logits, expected, atol=1e-4)
