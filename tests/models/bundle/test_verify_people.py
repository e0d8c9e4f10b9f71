"""A graph that is not what its people bundle says is refused with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from inkling.models.arrays import Array
from inkling.models.bundle import PeopleBundle, load_people, verify_people
from inkling.models.errors import BundleDisagrees, BundleError, BundleInvalid
from tests.people_bundle import graph, make_people_bundle
from tests.support import OrtGraph


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PeopleBundle:
    return load_people(make_people_bundle(tmp_path_factory.mktemp("bundles")))


def changed(change: Callable[[onnx.ModelProto], Any]) -> OrtGraph:
    model = onnx.load_model_from_string(graph())
    change(model)
    return OrtGraph(model.SerializeToString())


def refusal(kind: type[BundleError], bundle: PeopleBundle, found: Any) -> str:
    with pytest.raises(BundleError) as caught:
        verify_people(bundle, found)
    assert type(caught.value) is kind
    return caught.value.reason


def test_the_graph_that_it_was_written_with_verifies(bundle: PeopleBundle) -> None:
    verify_people(bundle, OrtGraph(bundle.graph))


def test_a_head_that_is_missing_is_named(bundle: PeopleBundle) -> None:
    without = changed(lambda model: model.graph.output.pop())
    assert refusal(BundleInvalid, bundle, without) == "output 'keypoints' is missing from the graph's outputs"


def test_a_head_of_another_shape_is_named_with_both_shapes(bundle: PeopleBundle) -> None:
    def fewer(model: onnx.ModelProto) -> None:
        model.graph.node.append(onnx.helper.make_node("Slice", ["keypoints", "from", "to", "axis"], ["poses"]))
        for name, value in (("from", 0), ("to", 13), ("axis", 2)):
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([value]), name))
        model.graph.output.pop()
        model.graph.output.append(onnx.helper.make_tensor_value_info("poses", 1, ["batch", 3, 13, 3]))

    spec = bundle.spec.model_copy(update={"decoder": bundle.spec.decoder.model_copy(update={"keypoints": "poses"})})
    assert refusal(BundleInvalid, replace(bundle, spec=spec), changed(fewer)) == (
        "output 'poses' must be float32 (batch, ?, 17, 3) in the graph's outputs, it is float32 (batch, 3, 13, 3)"
    )


def test_a_head_that_nobody_named_is_named(bundle: PeopleBundle) -> None:
    def more(model: onnx.ModelProto) -> None:
        model.graph.output.append(onnx.helper.make_tensor_value_info("size", 1, ["batch", 3, 2]))

    assert "'size', which the spec does not name" in refusal(BundleInvalid, bundle, changed(more))


def test_a_graph_for_one_picture_at_a_time_is_refused(bundle: PeopleBundle) -> None:
    def one(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    assert "input 'image' must be uint8 (batch, ?, ?, 3)" in refusal(BundleInvalid, bundle, changed(one))


def test_a_graph_of_one_size_must_say_so(bundle: PeopleBundle, tmp_path: Path) -> None:
    small = OrtGraph(graph(side=(64, 96)))
    assert "give it free sides, or say fixed" in refusal(BundleInvalid, bundle, small)
    fixed = load_people(make_people_bundle(tmp_path, input={"height": 64, "width": 96, "fixed": True}))
    verify_people(fixed, OrtGraph(fixed.graph))
    assert "must be uint8 (batch, 64, 96, 3)" in refusal(BundleInvalid, fixed, OrtGraph(graph()))


class Off:
    """A graph of which one output is another than it should be, of some pictures."""

    def __init__(self, bundle: PeopleBundle, change: Callable[[dict[str, Array]], Any], least: int = 0) -> None:
        self._graph = OrtGraph(bundle.graph)
        self.inputs, self.outputs = self._graph.inputs, self._graph.outputs
        self._change, self._least = change, least

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        outputs = self._graph.run(feeds)
        if len(feeds["image"]) >= self._least:
            self._change(outputs)
        return outputs


def test_other_numbers_than_the_stored_ones_are_refused(bundle: PeopleBundle) -> None:
    def off(outputs: dict[str, Array]) -> None:
        outputs["boxes"] += 0.5

    assert refusal(BundleDisagrees, bundle, Off(bundle, off)) == (
        "the test vector together is off by 0.5 in 'boxes'; 0.01 is allowed"
    )


def test_a_picture_that_sees_its_neighbours_is_refused(bundle: PeopleBundle) -> None:
    def mixed(outputs: dict[str, Array]) -> None:
        outputs["scores"][:] = outputs["scores"].mean(0)

    assert "together is off" in refusal(BundleDisagrees, bundle, Off(bundle, mixed, 2))


def test_numbers_that_are_not_finite_are_refused(bundle: PeopleBundle) -> None:
    def broken(outputs: dict[str, Array]) -> None:
        outputs["keypoints"][0, 0, 0, 0] = np.nan

    assert "off by nan in 'keypoints'" in refusal(BundleDisagrees, bundle, Off(bundle, broken))


def test_a_graph_that_fails_is_refused_with_why(bundle: PeopleBundle) -> None:
    def fails(outputs: dict[str, Array]) -> None:
        raise RuntimeError("out of memory")

    assert "fails on its test vector together: out of memory" in refusal(BundleInvalid, bundle, Off(bundle, fails))


def test_other_rows_than_the_stored_ones_are_refused(bundle: PeopleBundle) -> None:
    def fewer(outputs: dict[str, Array]) -> None:
        outputs["scores"] = outputs["scores"][:, :2]

    assert "gives 'scores' (2, 2), not (2, 3)" in refusal(BundleInvalid, bundle, Off(bundle, fewer))
