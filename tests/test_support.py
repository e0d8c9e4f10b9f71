from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load, run_vector, verify_graph
from inkling.models.skeletons import get
from tests.support import OrtGraph, TinyReference, make_bundle, poses, skip_unless


def test_the_tiny_bundle_is_its_numpy_reference_over_500_steps(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path, labels=("x", "y"), joints=5, seed=3))
    graph = OrtGraph(bundle.step)
    verify_graph(bundle, graph)
    inputs = poses(500, 2, get("body13"))[:, :, :5]
    expected = TinyReference(("x", "y"), 5, seed=3).run(inputs)
    np.testing.assert_allclose(run_vector(bundle.spec, graph, inputs), expected, atol=1e-5)
    assert expected.std(axis=0).min() > 0.1  # it does depend on what it sees


def test_the_tiny_bundle_remembers_both_of_its_states() -> None:
    tiny = TinyReference()
    x = poses(1, 1)[0]
    state = tiny.initial(1)
    fresh, _ = tiny.step(x, state)
    for name in state:
        other, _ = tiny.step(x, state | {name: state[name] + 1})
        assert np.abs(other - fresh).max() > 0.01


def test_a_tiny_bundle_can_have_three_dimensions(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path, skeleton=get("kinect20")))
    assert bundle.spec.input.shape == (20, 4)
    verify_graph(bundle, OrtGraph(bundle.step))


def test_a_condition_that_fails_skips_a_developer_and_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_unless(True, "never")
    monkeypatch.delenv("INKLING_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no camera"):
        skip_unless(False, "no camera")
    monkeypatch.setenv("INKLING_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="must not be skipped on the build machine: no camera"):
        skip_unless(False, "no camera")
