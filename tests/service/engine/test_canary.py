from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import Bundle
from inkling.service.engine.canary import Canary
from inkling.service.engine.device_engine import DeviceEngine
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.state_pool import Slot
from tests.service.rig import body, tiny


class Leaky(Engine):
    """A row of its batches sees its neighbour."""

    leak = 0.0

    def step(self, x: Any, state: Any) -> tuple[NDArray[np.float32], dict[str, Any]]:
        logits, outputs = super().step(x, state)
        return logits + self.leak * (len(x) - 1), outputs


class Bench:
    """Tracks in a pool behind a canary."""

    def __init__(self, bundle: Bundle, every: int = 1, engine: Engine | None = None) -> None:
        self.engine = engine or Leaky(bundle, 1)
        self.canary = Canary(self.engine, every, 8)
        self.pool = self.engine.pool(8, 8)
        self.poses = 0

    def advance(self, *slots: Slot, epoch: int = 0, x: Any = None) -> Any:
        rows = np.array([slot.index for slot in slots])
        generations = np.array([slot.generation for slot in slots])
        if x is None:
            x = np.stack([body(self.poses + i) for i in range(len(slots))])
        self.poses += len(slots)
        return self.canary.advance(self.pool, rows, generations, np.full(len(slots), epoch), x)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path)


@pytest.mark.parametrize("device", [False, True])
def test_a_sound_engine_shows_no_difference(bundle: Bundle, device: bool) -> None:
    bench = Bench(bundle, engine=DeviceEngine(bundle, 1, "cpu") if device else None)
    slots = [bench.pool.acquire() for _ in range(5)]
    for step in range(20):
        bench.advance(*slots[step % 3 :], epoch=step // 8)
    assert bench.canary.steps == sum(5 - step % 3 for step in range(20))
    assert bench.canary.difference < 1e-5


def test_a_row_that_its_neighbours_change_shows(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(bundle)
    a, b = bench.pool.acquire(), bench.pool.acquire()
    bench.engine.leak = 0.25  # type: ignore[attr-defined]
    bench.advance(a)
    assert bench.canary.difference < 1e-5
    bench.advance(a, b)
    assert bench.canary.difference == pytest.approx(0.25, abs=1e-4)
    assert "a batch gave a track other logits than it gets alone, off by 0.25" in caplog.text


def test_a_state_that_was_mixed_up_shows_later(bundle: Bundle) -> None:
    bench = Bench(bundle)
    a, b = bench.pool.acquire(), bench.pool.acquire()
    bench.advance(a, b)
    state = bench.pool._rows["h"]  # type: ignore[attr-defined]
    state[[a.index, b.index]] = state[[b.index, a.index]]
    bench.advance(a, b)
    assert bench.canary.difference > 1e-3


def test_one_tenant_in_so_many_is_watched_and_the_first_is(bundle: Bundle) -> None:
    bench = Bench(bundle, every=3)
    slots = [bench.pool.acquire() for _ in range(7)]
    bench.advance(*slots)
    assert bench.canary.steps == 3
    for slot in slots:
        bench.pool.release(slot)
    bench.advance(*(bench.pool.acquire() for _ in range(7)))
    assert bench.canary.steps == 5, "of tenants 7 to 13 the canary takes 9 and 12"


def test_what_failed_in_the_batch_is_not_stepped_alone_either(bundle: Bundle) -> None:
    bench = Bench(bundle)
    slot = bench.pool.acquire()
    bench.advance(slot)
    _, finite = bench.advance(slot, x=np.full((1, 13, 3), np.nan, np.float32))
    assert finite is not None
    assert bench.canary.steps == 1
    bench.advance(slot)
    assert bench.canary.difference < 1e-5


def test_a_step_alone_that_fails_fails_nothing_else(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(bundle, engine=DeviceEngine(bundle, 1, "cpu"))
    slot = bench.pool.acquire()

    def fails(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Engine, "step", fails)
    logits, finite = bench.advance(slot)
    assert (logits.shape, finite) == ((1, 3), None)
    bench.advance(slot)
    assert caplog.text.count("its track is watched no more") == 1


def test_numbers_that_are_none_count_as_the_largest_difference(bundle: Bundle) -> None:
    bench = Bench(bundle)
    slot = bench.pool.acquire()
    bench.advance(slot)
    bench.canary._alone[slot.index].state["h"][:] = np.nan
    bench.advance(slot)
    assert math.isinf(bench.canary.difference)
