"""A graph of convolutions that finds people, in eight bits: weights by channel, activations by fixed ranges.

The ranges are those that frames of films reach, on average over the frames (quantise-dequantise nodes around each
operator, from which onnxruntime makes eight-bit kernels). A convolution that alone, in eight bits, would change one of
the graph's answers by more than `LIMIT` of its variance stays in float32: a few have channels of very different size,
and all answers go through them. What eight bits change on average, channel by channel, is taken out of the biases.

Fixed ranges keep the rows of a batch apart. On processors with AVX512-VNNI or AVX-VNNI such a graph takes half the
time; on others it need not be faster.

B. Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018;
for the biases M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from inkling.models.arrays import Array
from inkling.training.evaluate.onnx_graph import OnnxGraph

LIMIT = 0.05
"""Mean square of what a convolution in eight bits changes of an answer, over the answer's variance."""
PROBED, CORRECTED = 8, 24
"""Pictures with which that is measured, and by which the biases are corrected."""
_OPERATORS = ["Conv", "Add", "Clip", "Relu", "Resize"]
_ACTIVATIONS = ("Clip", "Relu")
_ARITHMETIC = ("Add", "Sub", "Mul")

Pictures = Sequence[NDArray[np.uint8]]


def quantised_people(graph: bytes, pictures: Pictures) -> tuple[onnx.ModelProto, list[str]]:
    """The same graph in eight bits, and the convolutions that stay as they are.

    pictures: (H, W, 3) RGB as the graph takes them, of any sizes that it takes; some dozens, from films unlike each
    other.
    """
    plain = widened(onnx.load_model_from_string(graph))
    ranges = _ranges(plain, pictures)
    kept = _sensitive(plain, ranges, _some(pictures, PROBED))
    corrected = _corrected(plain, ranges, kept, _some(pictures, CORRECTED))
    return _quantised(corrected, ranges, without=kept), kept


def _some(pictures: Pictures, most: int) -> Pictures:
    """So many of them, from everywhere."""
    return pictures[:: max(1, len(pictures) // most)][:most]


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in float32 throughout, with names for all nodes, and one number where all channels have the same."""
    model = copy.deepcopy(model)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Cast" and node.input[0] in stored:
            wide = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(wide, node.output[0]))
            graph.node.remove(node)
        elif node.op_type == "Identity" and node.output[0] in {output.name for output in graph.output}:
            _renamed(graph, node.input[0], node.output[0])
            graph.node.remove(node)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for place, name in enumerate(node.input if node.op_type in _ARITHMETIC else ()):
            value = constants.get(name)
            if value is not None and value.size > 1 and (value == value.flat[0]).all():
                node.input[place] = f"{node.name}_{place}"
                graph.initializer.append(numpy_helper.from_array(value.reshape(-1)[0], node.input[place]))
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    return shape_inference.infer_shapes(model)


def _renamed(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old and node.op_type != "Identity" else name for name in node.input]


def _ranges(model: onnx.ModelProto, pictures: Pictures) -> Any:
    """Least and greatest value of each tensor, on average over the pictures."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = iter([{name: picture[None]} for picture in pictures])

        def get_next(self) -> dict[str, Array] | None:
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "plain.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            _OPERATORS,
            augmented_model_path=str(path.with_name("augmented.onnx")),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"moving_average": True},
        )
        calibrator.collect_data(Reader())
        return calibrator.compute_data()


def _quantised(
    model: onnx.ModelProto, ranges: Any, *, only: Sequence[str] = (), without: Sequence[str] = ()
) -> onnx.ModelProto:
    """Those of the nodes in eight bits; `only`: no others."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    with _quiet():
        quantiser = QDQQuantizer(
            copy.deepcopy(model), True, False, QuantType.QInt8, QuantType.QUInt8, ranges, list(only), list(without),
            _OPERATORS, {"WeightSymmetric": True},
        )  # fmt: skip
        quantiser.quantize_model()
    made: onnx.ModelProto = quantiser.model.model
    return made


def _sensitive(model: onnx.ModelProto, ranges: Any, pictures: Pictures) -> list[str]:
    """Names of the convolutions, and of the activations behind them, that alone change an answer by too much."""
    plain = _answers(model, pictures)
    varies = {name: float(np.mean([answer.var() for answer in found])) for name, found in plain.items()}
    kept: list[str] = []
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        behind = _activations(model, node)
        alone = _answers(_quantised(model, ranges, only=[node.name, *behind]), pictures)
        changes = (
            float(np.mean([np.square(a - b).mean() for a, b in zip(alone[name], plain[name], strict=True)])) / variance
            for name, variance in varies.items()
            if variance
        )
        if max(changes, default=0.0) > LIMIT:
            kept += [node.name, *behind]
    return kept


def _corrected(model: onnx.ModelProto, ranges: Any, kept: Sequence[str], pictures: Pictures) -> onnx.ModelProto:
    """The same in float32 with other biases: in eight bits each convolution then gives what it should, on average.

    One after the other, for what is mended in one need not be in the next. Those whose activation becomes part of them
    are left out: what they give before it cannot be seen.
    """
    corrected = copy.deepcopy(model)
    stored = {tensor.name: tensor for tensor in corrected.graph.initializer}
    wanted = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and len(node.input) == 3 and set(_activations(model, node)) <= set(kept)
    ]
    right = _channels(model, [node.output[0] for node in wanted], pictures)
    for node in wanted:
        (found,) = _channels(_quantised(corrected, ranges, without=kept), [node.output[0]], pictures).values()
        bias = stored[node.input[2]]
        mended = numpy_helper.to_array(bias) + right[node.output[0]] - found
        bias.CopyFrom(numpy_helper.from_array(mended.astype(np.float32), bias.name))
    return corrected


def _activations(model: onnx.ModelProto, node: onnx.NodeProto) -> list[str]:
    """Names of what comes right behind a convolution."""
    after = (other for other in model.graph.node if other.op_type in _ACTIVATIONS)
    return [other.name for other in after if other.input[0] == node.output[0]]


def _channels(model: onnx.ModelProto, tensors: Sequence[str], pictures: Pictures) -> dict[str, Array]:
    """The mean of each channel of tensors (B, C, R, C) inside the graph, over the pictures."""
    model = copy.deepcopy(model)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors)
    found = _answers(model, pictures)
    return {name: np.mean([answer.mean((0, 2, 3)) for answer in found[name]], axis=0) for name in tensors}


def _answers(model: onnx.ModelProto, pictures: Pictures) -> dict[str, list[Array]]:
    """By output, the graph's answers to each picture."""
    graph = OnnxGraph(bytes(model.SerializeToString()))
    (name,) = graph.inputs
    found = [graph.run({name: picture[None]}) for picture in pictures]
    return {output: [answer[output] for answer in found] for output in graph.outputs}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's hints: it advises what `widened` has done."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)
