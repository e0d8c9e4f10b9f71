from __future__ import annotations

from pathlib import Path

import onnx

from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.step_graph import step_onnx
from tests.training.export.networks import TAKES, student


def test_the_file_carries_nothing_of_this_machine_and_names_every_tensor() -> None:
    network = student()
    step = step_onnx(network, [TAKES], "sticks", "2")
    assert b".py" not in step
    assert str(Path.home()).encode() not in step
    model = onnx.load_from_string(step)
    assert {prop.key: prop.value for prop in model.metadata_props} == {"name": "sticks", "version": "2"}
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input} == {"batch"}
    graph = OnnxGraph(step)
    assert list(graph.inputs) == ["pose", *(s.input for s in network.state_tensors())]
    assert list(graph.outputs) == ["logits", *(s.output for s in network.state_tensors())]
