from __future__ import annotations

import json
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import Bundle, TestVector, load, run_vector, verify_graph, verify_rows
from inkling.models.bundle.inputs import each, leading, named
from inkling.models.bundle.schema import SPEC_FILE, FrameInput, PoseInput
from inkling.models.errors import BundleDisagrees, BundleInvalid
from inkling.models.skeletons import BODY13
from tests.joints_and_picture import TinyBothReference, make_both_bundle, rough_inputs
from tests.support import OrtGraph, edit_spec, make_bundle


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(make_both_bundle(tmp_path_factory.mktemp("bundles")))


def test_one_array_is_taken_by_the_name_of_the_only_input(tmp_path: Path) -> None:
    spec, x = load(make_bundle(tmp_path)).spec, np.zeros((3, 2))
    assert named(spec, x)["pose"] is x
    assert leading(x) == (3, 2)
    assert each(x, itemgetter(0)) is not x


def test_several_arrays_keep_their_names_and_change_alike(both: Bundle) -> None:
    inputs = both.vector.given(both.spec)
    assert isinstance(inputs, dict)
    assert named(both.spec, inputs) is inputs
    assert leading(inputs)[:2] == (4, 2)
    second = each(inputs, itemgetter((slice(None), slice(1, 2))))
    assert leading(second)[:2] == (4, 1)
    assert isinstance(second, dict)
    assert np.array_equal(second["frame"][:, 0], inputs["frame"][:, 1])


def test_a_bundle_of_several_inputs_is_written_loaded_and_verified(both: Bundle) -> None:
    assert [given.name for given in both.spec.inputs] == ["pose", "frame"]
    assert isinstance(both.spec.pose, PoseInput)
    assert isinstance(both.spec.frame, FrameInput)
    graph = OrtGraph(both.step)
    verify_graph(both, graph)
    assert both.rows is not None
    verify_rows(both, OrtGraph(both.rows), graph)
    tiny = TinyBothReference()
    inputs = rough_inputs(tiny, 9, 3, seed=5)
    np.testing.assert_allclose(run_vector(both.spec, graph, inputs), tiny.run(inputs), atol=1e-5)


def test_a_graph_is_not_verified_that_gives_other_numbers_for_another_picture(both: Bundle) -> None:
    darker = both.vector.further["frame"] // 2
    other = replace(both, vector=replace(both.vector, further={"frame": darker}))
    with pytest.raises(BundleDisagrees, match="the test vector together is off by"):
        verify_graph(other, OrtGraph(both.step))


def test_a_graph_without_the_second_input_is_refused(both: Bundle, tmp_path: Path) -> None:
    poses_only = load(make_bundle(tmp_path, labels=("a", "b", "c")))
    with pytest.raises(BundleInvalid, match="input 'frame' is missing from the graph's inputs"):
        verify_graph(both, OrtGraph(poses_only.step))


def test_a_vector_without_the_second_input_is_refused(both: Bundle, tmp_path: Path) -> None:
    path = make_both_bundle(tmp_path)
    bare = TestVector(both.vector.inputs, both.vector.logits)
    with pytest.raises(ValueError, match=r"needs the array 'input\.frame'"):
        bare.check(both.spec)
    with pytest.raises(ValueError, match=r"needs the arrays 'input' and 'logits' and 'input\.frame'"):
        TestVector.from_npz(bare.to_npz(), ["frame"])
    edit_spec(path, further_inputs=[{"kind": "frame", "height": 25, "width": 32}])
    with pytest.raises(BundleInvalid, match=r"'input\.frame' must be uint8 \(4, 2, 25, 32, 3\)"):
        load(path)


@pytest.mark.parametrize("name", ["pose", "frame"])
def test_two_inputs_are_of_two_kinds_and_two_names(tmp_path: Path, name: str) -> None:
    path = make_both_bundle(tmp_path)
    again = {"kind": "pose", "name": name, "skeleton": BODY13.model_dump()}
    edit_spec(path, further_inputs=[again])
    with pytest.raises(BundleInvalid, match="further_inputs must be of another kind than input"):
        load(path)
    edit_spec(path, further_inputs=[{"kind": "frame", "name": "pose", "height": 24, "width": 32}])
    with pytest.raises(BundleInvalid, match="must all have different names"):
        load(path)


def test_a_bundle_of_one_input_is_written_as_before(tmp_path: Path, both: Bundle) -> None:
    fields = json.loads((make_bundle(tmp_path) / SPEC_FILE).read_text())
    assert "further_inputs" not in fields
    assert fields["input"]["kind"] == "pose"
    assert "further_inputs" in json.loads((both.path / SPEC_FILE).read_text())
