from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, load_model_from_string

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, TensorInfo, TestVector, initial_state, load, run_vector, verify_graph
from inkling.models.errors import BundleDisagrees, BundleInvalid
from tests.support import HIDDEN_AT_START, OrtGraph, TinyReference, make_bundle, poses


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load(make_bundle(tmp_path))


def model(bundle: Bundle) -> ModelProto:
    return load_model_from_string(bundle.step)


def rewritten(bundle: Bundle, model: ModelProto) -> OrtGraph:
    return OrtGraph(bytes(model.SerializeToString()))


@dataclass
class Altered:
    """A real graph with one thing changed on its way out."""

    graph: OrtGraph
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    alter: str = ""

    def run(self, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        outputs = dict(self.graph.run(feeds))
        if self.alter == "nan":
            outputs["h_next"] = outputs["h_next"] * np.nan
        elif self.alter == "mix":  # rows see each other
            outputs["h_next"] = outputs["h_next"][::-1]
        elif self.alter == "neighbours":
            outputs["logits"] = outputs["logits"] + np.float32(0.1 * (len(outputs["logits"]) - 1))
        elif self.alter == "shape":
            outputs["logits"] = outputs["logits"][:1]
        elif self.alter == "state":
            outputs["previous_next"] = outputs["previous_next"][..., :2]
        elif self.alter == "raise":
            raise RuntimeError("out of memory")
        return outputs


def altered(bundle: Bundle, alter: str) -> Altered:
    graph = OrtGraph(bundle.step)
    return Altered(graph, graph.inputs, graph.outputs, alter)


def test_a_good_graph_passes(bundle: Bundle) -> None:
    verify_graph(bundle, OrtGraph(bundle.step))


def test_the_initial_state_has_the_values_of_the_spec(bundle: Bundle) -> None:
    state = initial_state(bundle.spec, 3)
    assert {name: (array.shape, array.dtype.name) for name, array in state.items()} == {
        "h": ((3, 8), "float32"),
        "previous": ((3, 13, 3), "float32"),
    }
    assert (state["h"] == HIDDEN_AT_START).all()
    assert (state["previous"] == 0).all()


def test_running_a_vector_carries_the_state_by_name(bundle: Bundle) -> None:
    inputs = poses(50, 3, seed=9)
    logits = run_vector(bundle.spec, OrtGraph(bundle.step), inputs)
    assert logits.shape == (50, 3, 3)
    np.testing.assert_allclose(logits, TinyReference().run(inputs), atol=1e-5)


# -- the tensors ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rename", "sentence"),
    [
        (("pose", "joints"), "input 'pose' is missing from the graph's inputs"),
        (("h", "hidden"), "state 'h' is missing from the graph's inputs"),
        (("h_next", "hidden"), "state 'h_next' is missing from the graph's outputs"),
        (("logits", "scores"), "logits is missing from the graph's outputs"),
    ],
)
def test_a_tensor_missing_from_the_graph_is_named(bundle: Bundle, rename: tuple[str, str], sentence: str) -> None:
    old, new = rename
    changed = model(bundle)
    for value in (*changed.graph.input, *changed.graph.output):
        value.name = new if value.name == old else value.name
    for node in changed.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    with pytest.raises(BundleInvalid) as caught:
        verify_graph(bundle, rewritten(bundle, changed))
    assert caught.value.reason == sentence


def test_a_fixed_batch_axis_is_refused(bundle: Bundle) -> None:
    for name in ("pose", "h", "previous", "logits", "h_next", "previous_next"):
        changed = model(bundle)
        for value in (*changed.graph.input, *changed.graph.output):
            if value.name == name:
                value.type.tensor_type.shape.dim[0].dim_value = 2
        graph = OrtGraph(bundle.step)
        fixed = OrtGraph(bytes(changed.SerializeToString()))
        # What the file declares for this one tensor, and nothing else: runtimes infer the others from it.
        inputs = dict(graph.inputs) | ({name: fixed.inputs[name]} if name in graph.inputs else {})
        outputs = dict(graph.outputs) | ({name: fixed.outputs[name]} if name in graph.outputs else {})
        with pytest.raises(BundleInvalid, match=rf"{name}'? must be float32 \(batch, .* it is float32 \(2, "):
            verify_graph(bundle, Altered(graph, inputs, outputs))


def test_another_size_or_dtype_is_refused_naming_both(bundle: Bundle) -> None:
    graph = OrtGraph(bundle.step)
    for wrong in (("float32", (None, 9)), ("float16", (None, 8)), ("float32", (None, 8, 1)), ("float32", (None, None))):
        inputs: dict[str, TensorInfo] = {**graph.inputs, "h": wrong}
        with pytest.raises(
            BundleInvalid, match=rf"state 'h' must be float32 \(batch, 8\).* it is {wrong[0]} \(batch, "
        ):
            verify_graph(bundle, Altered(graph, inputs, graph.outputs))


def test_a_tensor_that_the_spec_does_not_name_is_refused(bundle: Bundle) -> None:
    spec = bundle.spec.model_copy(update={"state": bundle.spec.state[:1]})
    with pytest.raises(BundleInvalid, match="the graph's inputs have 'previous', which the spec does not name"):
        verify_graph(replace(bundle, spec=spec), OrtGraph(bundle.step))


# -- the numbers ---------------------------------------------------------------------------------------------------
def test_a_graph_with_other_weights_disagrees(bundle: Bundle) -> None:
    other = TinyReference(seed=1).onnx("tiny", "1")
    with pytest.raises(BundleDisagrees, match=r"the test vector together is off by .*; 0\.0001 is allowed"):
        verify_graph(bundle, OrtGraph(other))


@pytest.mark.parametrize(("shift", "passes"), [(0.5e-4, True), (2e-4, False)])
def test_the_tolerance_lies_at_a_ten_thousandth(bundle: Bundle, shift: float, passes: bool) -> None:
    logits = bundle.vector.logits.copy()
    logits[-1, -1, -1] += shift
    shifted = replace(bundle, vector=TestVector(bundle.vector.inputs, logits))
    if passes:
        verify_graph(shifted, OrtGraph(bundle.step))
    else:
        with pytest.raises(BundleDisagrees):
            verify_graph(shifted, OrtGraph(bundle.step))


def test_another_initial_state_disagrees(bundle: Bundle) -> None:
    h, previous = bundle.spec.state
    spec = bundle.spec.model_copy(update={"state": (h.model_copy(update={"initial": 0.0}), previous)})
    with pytest.raises(BundleDisagrees):
        verify_graph(replace(bundle, spec=spec), OrtGraph(bundle.step))


def test_numbers_that_are_not_finite_disagree(bundle: Bundle) -> None:
    with pytest.raises(BundleDisagrees, match="not finite"):
        verify_graph(bundle, altered(bundle, "nan"))


def test_rows_that_see_each_other_are_noticed_even_when_the_vector_was_made_so(bundle: Bundle) -> None:
    graph = altered(bundle, "mix")
    inputs = bundle.vector.inputs
    mixed = replace(bundle, vector=TestVector(inputs, run_vector(bundle.spec, graph, inputs)))
    with pytest.raises(BundleDisagrees, match="in row 0 alone"):
        verify_graph(mixed, graph)


def test_a_wider_tolerance_lets_numbers_differ_and_no_row_see_another(bundle: Bundle) -> None:
    wide = replace(bundle, spec=bundle.spec.model_copy(update={"tolerance": 1.0}))
    logits = bundle.vector.logits + np.float32(0.5)
    verify_graph(replace(wide, vector=TestVector(bundle.vector.inputs, logits)), OrtGraph(bundle.step))
    with pytest.raises(BundleDisagrees, match=r"in row 0 alone is off by 0\.1 from all rows together"):
        verify_graph(wide, altered(bundle, "neighbours"))


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [("raise", "out of memory"), ("shape", r"logits are \(1, 3\), not \(2, 3\)"), ("state", "")],
)
def test_a_graph_that_cannot_run_its_vector_is_invalid(bundle: Bundle, alter: str, sentence: str) -> None:
    with pytest.raises(BundleInvalid, match=f"the graph fails on its test vector together: .*{sentence}"):
        verify_graph(bundle, altered(bundle, alter))
