from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from inkling.models.bundle import load, run_vector, verify_graph
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from tests.support import TinyReference, make_bundle, poses


def test_a_bundle_is_verified_through_it(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path))
    graph = OnnxGraph(bundle.step)
    verify_graph(bundle, graph)
    assert graph.inputs["pose"] == ("float32", (None, 13, 3))
    assert graph.outputs["h_next"][1] == graph.inputs["h"][1]


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
