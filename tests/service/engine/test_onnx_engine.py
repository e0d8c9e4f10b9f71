from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import initial_state, run_vector
from inkling.models.errors import BundleDisagrees, BundleInvalid
from inkling.service.engine.onnx_engine import Engine
from tests.service.rig import tiny
from tests.support import TinyReference, poses


def test_a_step_is_that_of_the_reference(tmp_path: Path) -> None:
    engine, reference = Engine(tiny(tmp_path), threads=1), TinyReference()
    x = poses(1, 5)[0]
    logits, outputs = engine.step(x, initial_state(engine.spec, 5))
    expected, state = reference.step(x, reference.initial(5))
    assert np.allclose(logits, expected, atol=1e-5)
    assert set(outputs) == {"h_next", "previous_next"}
    assert np.allclose(outputs["h_next"], state["h"], atol=1e-5)
    assert np.array_equal(outputs["previous_next"], x)


def test_it_knows_its_tensors_by_name(tmp_path: Path) -> None:
    engine = Engine(tiny(tmp_path))
    assert engine.inputs == {
        "pose": ("float32", (None, 13, 3)),
        "h": ("float32", (None, 8)),
        "previous": ("float32", (None, 13, 3)),
    }
    assert engine.outputs["logits"] == ("float32", (None, 3))


def test_a_batch_equals_its_rows_alone(tmp_path: Path) -> None:
    engine = Engine(tiny(tmp_path), threads=1)
    inputs = poses(6, 7, seed=3)
    together = run_vector(engine.spec, engine, inputs)
    alone = np.concatenate([run_vector(engine.spec, engine, inputs[:, i : i + 1]) for i in range(7)], axis=1)
    assert np.allclose(together, alone, atol=1e-5)


def test_it_does_not_keep_or_change_what_it_is_given(tmp_path: Path) -> None:
    engine = Engine(tiny(tmp_path), threads=1)
    engine.warm([1, 4])
    x, state = poses(1, 4)[0], initial_state(engine.spec, 4)
    before = {name: array.copy() for name, array in state.items()}
    first = engine.step(x, state)[0]
    assert all(np.array_equal(state[name], before[name]) for name in state)
    assert np.array_equal(engine.step(x, state)[0], first)


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="onnxruntime cannot load the graph"):
        Engine(replace(tiny(tmp_path), step=b"\x08\x0a not a graph"))


def test_a_graph_with_other_numbers_than_its_vector_is_refused(tmp_path: Path) -> None:
    one, other = tiny(tmp_path / "one"), tiny(tmp_path / "other", seed=1)
    with pytest.raises(BundleDisagrees):
        Engine(replace(one, step=other.step))


def test_a_graph_of_another_spec_is_refused(tmp_path: Path) -> None:
    one, other = tiny(tmp_path / "one"), tiny(tmp_path / "other", joints=5)
    with pytest.raises(BundleInvalid, match="input"):
        Engine(replace(one, step=other.step))


def test_it_runs_inside_a_cpuset_of_one_core(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        engine = Engine(tiny(tmp_path))
        assert engine.step(poses(1, 2)[0], initial_state(engine.spec, 2))[0].shape == (2, 3)
    finally:
        os.sched_setaffinity(0, before)
