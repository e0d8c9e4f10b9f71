from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inkling.models.bundle import load, run_vector, verify_graph
from inkling.models.errors import BundleDisagrees
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor, verified_graph
from inkling.training.export.row_graph import rows_onnx
from tests.support import TinyReference, make_bundle, poses


def test_a_bundle_is_verified_through_it(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path))
    graph = OnnxGraph(bundle.step)
    verify_graph(bundle, graph)
    assert graph.inputs["pose"] == ("float32", (None, 13, 3))
    assert graph.outputs["h_next"][1] == graph.inputs["h"][1]


def test_both_graphs_of_a_bundle_are_verified(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path))
    other = TinyReference(seed=1)
    assert verified_graph(bundle).inputs["pose"] == ("float32", (None, 13, 3))
    verified_graph(replace(bundle, rows=None))
    with pytest.raises(BundleDisagrees, match=r"rows\.onnx is off step\.onnx"):
        verified_graph(replace(bundle, rows=rows_onnx(other.onnx("tiny", "1"), "logits", other.state_tensors)))
    with pytest.raises(BundleDisagrees, match="the test vector together is off"):
        verified_graph(replace(bundle, step=other.onnx("tiny", "1")))


def test_a_predictor_steps_each_clip_from_the_initial_state(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path))
    inputs = poses(7, 3)
    predict = bundle_predictor(bundle, OnnxGraph(bundle.step))
    found = predict(torch.from_numpy(inputs).transpose(0, 1))
    assert found.shape == (3, 7, 3)
    np.testing.assert_allclose(found.transpose(0, 1).numpy(), TinyReference().run(inputs), atol=1e-5)
    np.testing.assert_array_equal(
        found.transpose(0, 1).numpy(), run_vector(bundle.spec, OnnxGraph(bundle.step), inputs)
    )
