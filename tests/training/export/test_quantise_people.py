"""A graph of convolutions in eight bits answers nearly as before, and what would not stays as it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.quantise_people import quantised_people, widened

CHANNELS = 8


def convolutions(uneven: float = 1.0) -> bytes:
    """`image` (B, H, W, 3) uint8 -> `answer` (B, 2, H, W): three convolutions with weights in float16.

    uneven: how much larger one channel behind the second of them is than the others, which the third makes up for.
    """
    rng = np.random.default_rng(0)
    scale = np.ones(CHANNELS)
    scale[0] = uneven
    kernels = {
        "first": rng.normal(0, 0.3, (CHANNELS, 3, 3, 3)),
        "second": rng.normal(0, 0.2, (CHANNELS, CHANNELS, 1, 1)) * scale.reshape(-1, 1, 1, 1),
        "third": rng.normal(0, 0.2, (2, CHANNELS, 3, 3)) / scale.reshape(1, -1, 1, 1),
    }
    kernels["third"][:, 0] /= uneven  # the large channel hardly counts
    stored = [numpy_helper.from_array(kernel.astype(np.float16), f"{name}_half") for name, kernel in kernels.items()]
    stored += [numpy_helper.from_array(np.zeros(len(kernels[name]), np.float32), f"{name}_bias") for name in kernels]
    stored.append(numpy_helper.from_array(np.full((3, 1, 1), 1 / 255, np.float32), "scale"))
    nodes = [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in kernels]
    nodes += [
        helper.make_node("Transpose", ["image"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["channels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "first", "first_bias"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second", "second_bias"], ["c"]),
        helper.make_node("Conv", ["c", "third", "third_bias"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Identity", ["d"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", 2, "rows", "columns"])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (16, 16 + 8 * (number % 2), 3), dtype=np.uint8) for number in range(10)]


def answers(graph: bytes) -> list[NDArray[np.float32]]:
    run = OnnxGraph(graph, 1)
    return [run.run({"image": picture[None]})["answer"] for picture in pictures()]


def difference(graph: bytes, made: onnx.ModelProto) -> float:
    """Mean square over the variance of the answers."""
    before, after = answers(graph), answers(bytes(made.SerializeToString()))
    return float(
        np.mean([np.square(a - b).mean() / b.var() for a, b in zip(after, before, strict=True)]),
    )


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_a_widened_graph_is_the_same_without_conversions_and_with_one_number_for_all_channels() -> None:
    plain = widened(onnx.load_model_from_string(convolutions()))
    assert operators(plain) == ["Transpose", "Cast", "Mul", "Conv", "Relu", "Conv", "Conv"]
    (factor,) = (tensor for tensor in plain.graph.initializer if tensor.name in plain.graph.node[2].input)
    assert list(factor.dims) == []
    assert difference(convolutions(), plain) < 1e-10


def test_eight_bits_answer_nearly_the_same_and_nothing_stays_in_float() -> None:
    made, kept = quantised_people(convolutions(), pictures())
    assert kept == []
    assert "QuantizeLinear" in operators(made)
    assert len(bytes(made.SerializeToString())) < 30_000
    assert 0 < difference(convolutions(), made) < 0.01


def test_a_convolution_whose_channels_are_too_unlike_stays_in_float() -> None:
    graph = convolutions(uneven=300.0)
    made, kept = quantised_people(graph, pictures())
    assert kept, "its small channels would be nothing but zeros"
    assert difference(graph, made) < 0.05


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    made, _ = quantised_people(convolutions(), pictures())
    run = OnnxGraph(bytes(made.SerializeToString()), 1)
    alike = [picture for picture in pictures() if picture.shape == (16, 16, 3)]
    together = run.run({"image": np.stack(alike)})["answer"]
    for row, picture in enumerate(alike):
        assert together[row] == pytest.approx(run.run({"image": picture[None]})["answer"][0], abs=1e-6)
