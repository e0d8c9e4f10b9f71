from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from inkling.models.bundle import Bundle, Registry, load, zoo_directory
from inkling.models.bundle.onnx_header import read_header
from inkling.service.engine.row_graph import RESULT, ROWS, next_slab, row_graph, slab
from tests.service.rig import tiny
from tests.support import make_frame_bundle

ZOO = [found.path for found in Registry([zoo_directory()]).scan()]


def every_kind(root: Path) -> list[Bundle]:
    return [tiny(root), load(make_frame_bundle(root)), *(load(path) for path in ZOO)]


def test_it_is_a_model_that_onnx_itself_finds_right(tmp_path: Path) -> None:
    for bundle in every_kind(tmp_path):
        model = onnx.load_model_from_string(row_graph(bundle.step, bundle.spec))
        onnx.checker.check_model(model, full_check=True)
        states = bundle.spec.state
        assert [value.name for value in model.graph.input] == [bundle.spec.input.name, ROWS, *map(slab, states)]
        assert [value.name for value in model.graph.output] == [RESULT, *map(next_slab, states)]


def test_the_bundles_own_nodes_and_weights_stay_as_they_are(tmp_path: Path) -> None:
    for bundle in every_kind(tmp_path):
        before = onnx.load_model_from_string(bundle.step).graph
        after = onnx.load_model_from_string(row_graph(bundle.step, bundle.spec)).graph
        nodes = [node.SerializeToString() for node in after.node]
        first = nodes.index(before.node[0].SerializeToString())
        assert nodes[first : first + len(before.node)] == [node.SerializeToString() for node in before.node]
        weights = {tensor.name: tensor.SerializeToString() for tensor in after.initializer}
        for tensor in before.initializer:
            assert weights[tensor.name] == tensor.SerializeToString()


def test_opset_and_metadata_stay(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, opset=18)
    assert read_header(row_graph(bundle.step, bundle.spec)) == read_header(bundle.step)


@pytest.mark.parametrize("step", [b"", b"\x08\x0a", b"\x38\x05"])
def test_what_has_no_graph_is_refused(tmp_path: Path, step: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX model"):
        row_graph(step, tiny(tmp_path).spec)
