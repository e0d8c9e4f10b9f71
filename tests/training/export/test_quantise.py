from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.training.export.quantise import BLOCK, TOLERANCE, quantised
from tests.support import OrtGraph

WIDTH, CLASSES = 2 * BLOCK, 5
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(0, 1 / np.sqrt(WIDTH), (WIDTH, CLASSES)).astype(np.float32)
ROWS = (RNG.normal(0, 1, (6, WIDTH)) * np.logspace(-1, 1, 6)[:, np.newaxis]).astype(np.float32)
"""Of very different sizes: a scale that rows shared would drown the small ones."""


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["logits"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return quantised(plain.SerializeToString())


def answers(model: onnx.ModelProto, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(OrtGraph(model.SerializeToString()).run({"x": rows})["logits"])


def test_every_product_by_weights_is_in_eight_bits(model: onnx.ModelProto) -> None:
    assert [node.op_type for node in model.graph.node] == ["MatMulNBits"]


def test_a_row_does_not_see_its_neighbours(model: onnx.ModelProto) -> None:
    together = answers(model, ROWS)
    alone = np.concatenate([answers(model, row[np.newaxis]) for row in ROWS])
    np.testing.assert_array_equal(together, alone)


def test_logits_stay_within_the_tolerance(model: onnx.ModelProto) -> None:
    exact = ROWS @ WEIGHTS
    difference = np.abs(answers(model, ROWS) - exact)
    assert difference.max() < TOLERANCE
    assert (difference.max(axis=1) < 0.05 * np.abs(ROWS).max(axis=1)).all(), "small rows are as exact as large ones"
    assert difference.max() > 0, "else nothing was rounded"
