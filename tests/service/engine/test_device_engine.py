"""The device engine on the CPU: everything of it but the recording of CUDA graphs."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, Registry, load, zoo_directory
from inkling.models.errors import BundleDisagrees, BundleInvalid
from inkling.service.engine import device_engine, onnx_engine
from inkling.service.engine.device_engine import DeviceEngine, DevicePool, buckets, choose_graphs, engine_for
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.onnx_engine import session as engine_session
from inkling.service.engine.state_pool import HostPool, Slot, StatePool
from inkling.training.export.row_graph import rows_onnx
from tests.service.rig import FaultyDevice, body, tiny
from tests.support import TinyReference, make_older_bundle

ATOL = 1e-4
ZOO = {found.path.parent.name: found.path for found in Registry([zoo_directory()]).scan("step")}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny(tmp_path)


@pytest.fixture
def engine(bundle: Bundle) -> DeviceEngine:
    return DeviceEngine(bundle, 1, "cpu")


def rows(*slots: Slot) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([slot.index for slot in slots]), np.array([slot.generation for slot in slots])


def epochs(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def bodies(*seeds: int) -> Array:
    return np.stack([body(seed) for seed in seeds])


# -- parity -----------------------------------------------------------------------------------------------------------
class Tenants:
    """Random life in two pools that must stay alike: who joins, leaves, is reset."""

    def __init__(self, *pools: StatePool) -> None:
        self.pools = pools
        self.rng = np.random.default_rng(1)
        self.epochs: dict[Slot, int] = {}

    def live(self) -> None:
        if self.rng.random() < 0.3 and len(self.epochs) < self.pools[0].slots:
            slot, same = (pool.acquire() for pool in self.pools)
            assert slot == same
            self.epochs[slot] = 0
        if self.rng.random() < 0.1 and self.epochs:
            slot = list(self.epochs)[self.rng.integers(len(self.epochs))]
            del self.epochs[slot]
            for pool in self.pools:
                pool.release(slot)
        for slot in self.epochs:
            self.epochs[slot] += self.rng.random() < 0.02

    def batch(self, most: int) -> list[Slot]:
        count = min(len(self.epochs), int(self.rng.integers(1, most + 1)))
        slots = list(self.epochs)
        return [slots[i] for i in self.rng.permutation(len(slots))[:count]]


def inputs(bundle: Bundle, rng: np.random.Generator, batch: int) -> Array:
    """Poses with missing joints, or noise as frames."""
    shape = (batch, *bundle.spec.input.shape)
    if bundle.spec.input.kind == "frame":
        return rng.integers(0, 256, shape).astype(np.uint8)
    x = rng.uniform(50, 400, shape).astype(np.float32)
    return np.where(rng.random((*shape[:-1], 1)) < 0.1, 0, x).astype(np.float32)


@pytest.mark.parametrize("name", ["tiny", *ZOO])
def test_both_engines_agree_over_500_steps_of_joins_leaves_resets_and_failures(tmp_path: Path, name: str) -> None:
    bundle = tiny(tmp_path) if name == "tiny" else load(ZOO[name])
    plain, device = Engine(bundle, 1), FaultyDevice(bundle, 1)
    host, slabs = plain.pool(6, 5), device.pool(6, 5)
    tenants, compared = Tenants(host, slabs), 0
    for _ in range(500):
        tenants.live()
        if not (slots := tenants.batch(5)):
            continue
        where, when = rows(*slots), epochs(*(tenants.epochs[slot] for slot in slots))
        x = inputs(bundle, tenants.rng, len(slots))
        if tenants.rng.random() < 0.1:
            device.failing = True
            with pytest.raises(RuntimeError, match="on request"):
                device.advance(slabs, *where, when, x)
            device.failing = False
            continue
        expected, _ = plain.advance(host, *where, when, x)
        found, finite = device.advance(slabs, *where, when, x)
        assert finite is None
        np.testing.assert_allclose(found, expected, atol=ATOL)
        compared += len(slots)
    assert compared > 500


# -- what must not change a state -------------------------------------------------------------------------------------
@pytest.fixture
def pool(engine: DeviceEngine) -> DevicePool:
    return engine.pool(4, 4)


def test_a_row_that_is_not_finite_is_told_and_keeps_its_state(engine: DeviceEngine, pool: DevicePool) -> None:
    a, b = pool.acquire(), pool.acquire()
    engine.advance(pool, *rows(a, b), epochs(0, 0), bodies(1, 2))
    broken = bodies(3, 4)
    broken[0] = np.nan
    logits, finite = engine.advance(pool, *rows(a, b), epochs(0, 0), broken)
    assert finite is not None
    assert finite.tolist() == [False, True]
    other = engine.pool(4, 4)
    c, d = other.acquire(), other.acquire()
    engine.advance(other, *rows(c, d), epochs(0, 0), bodies(1, 2))
    expected, _ = engine.advance(other, *rows(d), epochs(0), bodies(4))
    np.testing.assert_allclose(logits[1], expected[0], atol=ATOL)
    after, _ = engine.advance(pool, *rows(a), epochs(0), bodies(5))
    np.testing.assert_allclose(after, engine.advance(other, *rows(c), epochs(0), bodies(5))[0], atol=ATOL)


def test_a_number_too_large_in_a_state_alone_is_told(bundle: Bundle) -> None:
    """The logits of such a step are finite: tanh bounds them."""
    engine = DeviceEngine(bundle, 1, "cpu")
    pool = engine.pool(1, 1)
    slot, x = pool.acquire(), bodies(1)
    x[0, 0, 0] = np.inf  # the state `previous` is the pose
    logits, finite = engine.advance(pool, *rows(slot), epochs(0), x)
    assert np.isfinite(logits).all()
    assert finite is not None
    assert not finite.any()


def test_the_next_tenant_of_a_row_starts_from_its_initial_values(engine: DeviceEngine) -> None:
    pool = engine.pool(1, 1)
    first = pool.acquire()
    fresh, _ = engine.advance(pool, *rows(first), epochs(0), bodies(1))
    engine.advance(pool, *rows(first), epochs(0), bodies(2))
    pool.release(first)
    second = pool.acquire()
    again, _ = engine.advance(pool, *rows(second), epochs(0), bodies(1))
    np.testing.assert_array_equal(again, fresh)


def test_a_late_step_does_not_overwrite_the_next_tenant(engine: DeviceEngine) -> None:
    pool, twin = engine.pool(1, 1), engine.pool(1, 1)
    first = pool.acquire()
    pool.release(first)
    second, alone = pool.acquire(), twin.acquire()
    engine.advance(pool, *rows(second), epochs(0), bodies(1))
    engine.advance(pool, *rows(first), epochs(0), bodies(2))
    engine.advance(twin, *rows(alone), epochs(0), bodies(1))
    found, expected = (
        engine.advance(p, *rows(slot), epochs(0), bodies(3))[0] for p, slot in ((pool, second), (twin, alone))
    )
    np.testing.assert_array_equal(found, expected)


def test_a_run_moves_the_rows_of_its_batch_and_no_others(bundle: Bundle) -> None:
    engine = FaultyDevice(bundle, 1)
    pool = engine.pool(3, 4)
    a, b, _ = (pool.acquire() for _ in range(3))
    engine.advance(pool, *rows(a, b), epochs(0, 0), bodies(1, 2))
    slab = pool.slabs["h"]
    address, before = slab.data_ptr(), slab.numpy().copy()
    engine.advance(pool, *rows(b), epochs(0), bodies(3))
    after = slab.numpy()
    assert pool.slabs["h"].data_ptr() == address
    changed = np.flatnonzero((before != after).any(axis=1)).tolist()
    assert changed == [2 * b.index], "its other row, for the first step wrote the odd one"


def test_a_pool_of_another_engine_is_refused(bundle: Bundle, engine: DeviceEngine) -> None:
    slot = Slot(0, 0)
    with pytest.raises(TypeError, match="another engine"):
        engine.advance(HostPool(bundle.spec.state, 1, 1), *rows(slot), epochs(0), bodies(1))
    with pytest.raises(TypeError, match="another engine"):
        Engine(bundle, 1).advance(engine.pool(1, 1), *rows(slot), epochs(0), bodies(1))


# -- batch sizes ------------------------------------------------------------------------------------------------------
def test_batch_sizes_are_powers_of_two_and_the_largest() -> None:
    assert buckets(1) == [1]
    assert buckets(8) == [1, 2, 4, 8]
    assert buckets(11) == [1, 2, 4, 8, 11]


def test_a_batch_takes_the_smallest_bucket_that_holds_it(engine: DeviceEngine) -> None:
    pool = engine.pool(1, 11)
    assert [pool.bucket(batch).size for batch in (1, 2, 3, 8, 9, 11)] == [1, 2, 4, 8, 11, 11]


def test_what_fills_up_a_batch_touches_nobody(engine: DeviceEngine) -> None:
    pool = engine.pool(4, 4)
    slots = [pool.acquire() for _ in range(4)]
    engine.advance(pool, *rows(*slots), epochs(0, 0, 0, 0), bodies(1, 2, 3, 4))
    before = {name: slab.numpy().copy() for name, slab in pool.slabs.items()}
    engine.advance(pool, *rows(*slots[:3]), epochs(0, 0, 0), bodies(5, 6, 7))
    for name, slab in pool.slabs.items():
        last = slice(2 * slots[3].index, 2 * slots[3].index + 2)
        np.testing.assert_array_equal(slab.numpy()[last], before[name][last])
        np.testing.assert_array_equal(slab.numpy()[-2], before[name][-2], "the initial row")


# -- CUDA graphs, as far as they go without CUDA ----------------------------------------------------------------------
@pytest.fixture
def watched(engine: DeviceEngine) -> list[device_engine.Bucket]:
    return engine.pool(2, 4).buckets()


def test_settling_changes_no_state(engine: DeviceEngine, pool: DevicePool) -> None:
    initial = {name: slab.numpy()[:-1].copy() for name, slab in pool.slabs.items()}
    engine.prepare_thread()
    for name, slab in pool.slabs.items():
        np.testing.assert_array_equal(slab.numpy()[:-1], initial[name])


def test_a_graph_is_used_where_it_is_faster(
    watched: list[device_engine.Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(bucket: device_engine.Bucket, *, replay: bool) -> float:
        return {1: 0.5, 2: 0.99, 4: 2.0}[bucket.size] if replay else 1.0

    monkeypatch.setattr(device_engine, "_seconds", seconds)
    choose_graphs(watched)
    assert [bucket.replays for bucket in watched] == [True, False, False]


def test_graphs_that_replay_other_numbers_are_not_used(
    watched: list[device_engine.Bucket], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = device_engine.Bucket.run

    def stale(bucket: device_engine.Bucket) -> NDArray[np.float32]:
        return run(bucket) + (1.0 if bucket.replays and bucket.size == 2 else 0.0)

    monkeypatch.setattr(device_engine.Bucket, "run", stale)
    choose_graphs(watched)
    assert not any(bucket.replays for bucket in watched)
    assert "a replay at batch 2 gave other numbers" in caplog.text


def test_graphs_that_cannot_be_recorded_are_not_used(
    engine: DeviceEngine, pool: DevicePool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = device_engine.Bucket.run

    def fails(bucket: device_engine.Bucket) -> NDArray[np.float32]:
        if bucket.replays:
            raise RuntimeError("capture is not allowed")
        return run(bucket)

    monkeypatch.setattr(device_engine.Bucket, "run", fails)
    engine.prepare_thread()
    assert "CUDA graphs are not used: capture is not allowed" in caplog.text
    engine.advance(pool, *rows(pool.acquire()), epochs(0), bodies(1))


def test_a_session_that_refuses_graphs_is_made_without(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*args: object, graphs: bool = False) -> object:
        if graphs:
            raise BundleInvalid(bundle.path, "control flow")
        return engine_session(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(device_engine, "session", refuses)
    with caplog.at_level(logging.WARNING):
        engine = DeviceEngine(bundle, 1, "cpu")
    assert "control flow" in caplog.text
    engine.prepare_thread()
    assert not any(bucket.replays for bucket in engine.pool(1, 2).buckets())


# -- which engine, and which bundle -----------------------------------------------------------------------------------
def test_the_cpu_has_the_plain_engine(bundle: Bundle) -> None:
    assert type(engine_for(bundle, 1, "cpu", graphs=True)) is Engine


def test_without_rows_no_state_can_stay_on_a_device(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"it has no rows\.onnx, without which state cannot stay on a device"):
        DeviceEngine(load(make_older_bundle(tmp_path)), 1, "cpu")


def test_a_device_gives_an_older_bundle_the_plain_engine_and_says_what_that_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No device but the CPU is here: the session is made on that, whatever is asked for."""
    monkeypatch.setattr(
        onnx_engine, "session", lambda bundle, model, threads, _: engine_session(bundle, model, 1, "cpu")
    )
    engine = engine_for(load(make_older_bundle(tmp_path)), 1, "cuda", graphs=True)
    assert type(engine) is Engine
    assert (
        "tiny/1 has no rows.onnx: the state of its tracks travels to the device and back at every step" in caplog.text
    )
    pool = engine.pool(1, 1)
    logits, _ = engine.advance(pool, *rows(pool.acquire()), epochs(0), bodies(1))
    np.testing.assert_allclose(logits, TinyReference().run(bodies(1)[np.newaxis])[0], atol=ATOL)


def test_rows_of_another_model_are_refused(bundle: Bundle) -> None:
    other = TinyReference(seed=1)
    tampered = replace(bundle, rows=rows_onnx(other.onnx("tiny", "1"), "logits", other.state_tensors))
    with pytest.raises(BundleDisagrees, match=r"rows\.onnx is off step\.onnx"):
        DeviceEngine(tampered, 1, "cpu")


def test_rows_that_onnxruntime_cannot_load_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleInvalid, match="onnxruntime cannot load the graph"):
        DeviceEngine(replace(bundle, rows=bundle.step[:-100]), 1, "cpu")
