"""`rows.onnx` against `step.onnx`: the same numbers, and every way in which it can be another model is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, load_model_from_string, numpy_helper

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, TensorInfo, load, verify_rows
from inkling.models.bundle.rows import RESULT
from inkling.models.errors import BundleDisagrees, BundleInvalid
from inkling.training.export.row_graph import rows_onnx
from tests.support import OrtGraph, TinyReference, make_bundle, make_frame_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load(make_bundle(tmp_path))


@pytest.fixture
def step(bundle: Bundle) -> OrtGraph:
    return OrtGraph(bundle.step)


def rows(bundle: Bundle) -> bytes:
    assert bundle.rows is not None
    return bundle.rows


@dataclass
class Altered:
    """The real graph with one thing changed on its way out."""

    graph: OrtGraph
    alter: str

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        return self.graph.inputs

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        return self.graph.outputs

    def run(self, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        outputs = self.graph.run(feeds)
        if self.alter == "raise":
            raise RuntimeError("out of memory")
        if self.alter == "silent":
            outputs[RESULT][:, -1] = 0
        if self.alter == "alarmed":
            outputs[RESULT][1, -1] = np.nan
        if self.alter == "stray":
            outputs["inkling.next.h"][-1] += 1
        if self.alter == "forget":
            outputs["inkling.next.h"] = feeds["inkling.slab.h"]
        if self.alter == "shape":
            outputs["inkling.next.h"] = outputs["inkling.next.h"][:-1]
        return outputs


@pytest.mark.parametrize("make", [make_bundle, make_frame_bundle])
def test_the_rows_of_a_good_bundle_are_its_step(tmp_path: Path, make: object) -> None:
    assert callable(make)
    bundle = load(make(tmp_path))
    verify_rows(bundle, OrtGraph(rows(bundle)), OrtGraph(bundle.step))


def test_a_wide_tolerance_of_the_vector_is_none_between_the_graphs(bundle: Bundle, step: OrtGraph) -> None:
    wide = replace(bundle, spec=bundle.spec.model_copy(update={"tolerance": 1.0}))
    other = TinyReference(seed=1)
    with pytest.raises(BundleDisagrees, match=r"rows\.onnx is off step\.onnx by .* in step 0"):
        verify_rows(wide, OrtGraph(rows_onnx(other.onnx("tiny", "1"), "logits", other.state_tensors)), step)


def tampered(bundle: Bundle, weight: str, by: float) -> ModelProto:
    """The bundle's rows with every number of a weight moved a little."""
    model = load_model_from_string(rows(bundle))
    for tensor in model.graph.initializer:
        if tensor.name == weight:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(by), weight))
    return model


@pytest.mark.parametrize("weight", ["w_pose", "w_change", "w_h", "w_out"])
def test_weights_that_were_tampered_with_are_noticed(bundle: Bundle, step: OrtGraph, weight: str) -> None:
    graph = OrtGraph(bytes(tampered(bundle, weight, 0.01).SerializeToString()))
    with pytest.raises(BundleDisagrees, match=r"rows\.onnx is off step\.onnx by"):
        verify_rows(bundle, graph, step)


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [
        ("silent", "does not tell which rows are not finite"),
        ("alarmed", "calls a row not finite that is, in step 0"),
        ("stray", "changes rows of the state 'h' that it was not told to write"),
        ("shape", "changes rows of the state 'h' that it was not told to write"),
        ("forget", "is off step.onnx by .* in step 1"),
    ],
)
def test_rows_that_do_something_else_disagree(bundle: Bundle, step: OrtGraph, alter: str, sentence: str) -> None:
    with pytest.raises(BundleDisagrees, match=f"rows.onnx {sentence}"):
        verify_rows(bundle, Altered(OrtGraph(rows(bundle)), alter), step)


def test_rows_that_cannot_run_are_invalid(bundle: Bundle, step: OrtGraph) -> None:
    with pytest.raises(BundleInvalid, match=r"rows\.onnx fails on the test vector: out of memory"):
        verify_rows(bundle, Altered(OrtGraph(rows(bundle)), "raise"), step)


def test_a_step_in_the_place_of_the_rows_is_invalid(bundle: Bundle, step: OrtGraph) -> None:
    with pytest.raises(BundleInvalid, match=r"rows 'inkling\.rows' is missing from rows\.onnx's inputs"):
        verify_rows(bundle, step, step)


def test_rows_of_another_shape_are_invalid_naming_both(bundle: Bundle, step: OrtGraph) -> None:
    h, previous = bundle.spec.state
    wider = bundle.spec.model_copy(update={"state": (h.model_copy(update={"shape": (9,)}), previous)})
    with pytest.raises(
        BundleInvalid, match=r"slab 'inkling\.slab\.h' must be float32 \(rows, 9\).*is float32 \(rows, 8\)"
    ):
        verify_rows(replace(bundle, spec=wider), OrtGraph(rows(bundle)), step)
