from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inkling.models.bundle import BundleSpec
from inkling.models.bundle.loader import read_spec
from inkling.models.bundle.schema import FrameInput, PoseInput, Provenance, StateTensor, Temperature, TimedTemperature
from inkling.models.skeletons import BODY13
from tests.support import make_bundle


@pytest.fixture
def spec(tmp_path: Path) -> BundleSpec:
    return read_spec(make_bundle(tmp_path))


def changed(spec: BundleSpec, **changes: Any) -> BundleSpec:
    return BundleSpec.model_validate(spec.model_dump() | changes)


def test_a_spec_survives_json(spec: BundleSpec) -> None:
    assert BundleSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_pose_input_counts_a_confidence_beside_the_coordinates(spec: BundleSpec) -> None:
    assert (spec.input.shape, spec.input.dtype) == ((13, 3), "float32")


def test_a_frame_input_is_an_rgb_image(spec: BundleSpec) -> None:
    frames = changed(spec, input={"kind": "frame", "height": 120, "width": 160})
    assert isinstance(frames.input, FrameInput)
    assert (frames.input.shape, frames.input.dtype) == ((120, 160, 3), "uint8")


def test_tensors_must_all_have_names_of_their_own(spec: BundleSpec) -> None:
    for clash in ("pose", "logits", "previous", "h"):
        states = (StateTensor(input="h", output=clash, shape=(8,)), spec.state[1])
        with pytest.raises(ValidationError, match="must all have different names"):
            changed(spec, state=[state.model_dump() for state in states])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "../up"}, "name"),
        ({"name": ""}, "name"),
        ({"version": "1.2.3.4"}, "version"),
        ({"version": "-1"}, "version"),
        ({"rate_hz": float("inf")}, "rate_hz"),
        ({"task": "guess"}, "task"),
        ({"input": {"kind": "sound"}}, "input"),
        ({"gaps": {"policy": "invent"}}, "policy"),
        ({"gaps": {"max_gap_s": 0}}, "max_gap_s"),
        ({"calibration": {"temperature": 0}}, "temperature"),
        ({"decision": {"on": 0.3, "off": 0.5}}, r"off \(0.5\) must not exceed on \(0.3\)"),
        ({"decision": {"min_steps": 0}}, "min_steps"),
        ({"state": [{"input": "h", "output": "g", "shape": [0]}]}, "shape"),
        ({"files": {"step.onnx": "abc"}}, "files"),
    ],
)
def test_values_outside_the_contract_are_refused(spec: BundleSpec, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        changed(spec, **changes)


def test_a_loaded_spec_does_not_change(spec: BundleSpec) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec.rate_hz = 30.0


def test_every_field_says_what_it_is() -> None:
    """The reference page of the bundle is made of these."""
    schema = BundleSpec.model_json_schema()
    parts = {"BundleSpec": schema, **schema["$defs"]}
    assert {"PoseInput", "FrameInput", "StateTensor", "Provenance", "Skeleton"} <= set(parts)
    silent = [
        f"{part}.{name}"
        for part, fields in parts.items()
        for name, field in fields["properties"].items()
        if not field.get("description")
    ]
    assert silent == []
    assert [part for part, fields in parts.items() if not fields.get("description")] == []


names = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
states = st.builds(
    StateTensor,
    input=names.map("in_{}".format),
    output=names.map("out_{}".format),
    shape=st.lists(st.integers(1, 64), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "int64"]),
    initial=st.floats(-1e6, 1e6),
)


@given(
    state=st.lists(states, max_size=4, unique_by=(lambda s: s.input, lambda s: s.output)),
    labels=st.lists(st.text(min_size=1), min_size=2, unique=True),
    rate_hz=st.floats(1e-3, 1e3),
    rows=st.booleans(),
)
def test_whatever_a_spec_says_survives_json(
    state: list[StateTensor], labels: list[str], rate_hz: float, rows: bool
) -> None:
    files = dict.fromkeys(("step.onnx", "vector.npz", "card.md", *(["rows.onnx"] if rows else [])), "0" * 64)
    spec = BundleSpec(
        schema_version=2,
        name="tiny",
        version="1",
        task="recognition",
        labels=tuple(labels),
        input=PoseInput(kind="pose", skeleton=BODY13),
        rate_hz=rate_hz,
        state=tuple(state),
        opset=20,
        quality={},
        provenance=Provenance(data=(), recipe="", seed=0, git_commit="", created="", libraries={}),
        files=files,
    )
    assert BundleSpec.model_validate_json(spec.model_dump_json()) == spec
    assert BundleSpec.model_validate(json.loads(json.dumps(spec.model_dump()))) == spec
    assert spec.has_rows == rows


def test_a_bundle_says_how_far_ahead_it_looks_or_that_it_does_not(spec: BundleSpec) -> None:
    ahead = changed(spec, task="anticipation", lead_s=0.5)
    assert BundleSpec.model_validate_json(ahead.model_dump_json()) == ahead
    for wrong in ({"task": "anticipation"}, {"lead_s": 0.5}, {"task": "anticipation", "lead_s": 0.0}):
        with pytest.raises(ValidationError, match="lead_s"):
            changed(spec, **wrong)


@pytest.mark.parametrize(
    ("unknown", "sentence"),
    [
        ({"labels": ["x"]}, "unknown names 'x', which is not one of the labels"),
        ({"urgent": ["x"]}, "unknown names 'x'"),
        ({"labels": ["c"]}, "the background 'c' is something known"),
        ({"threshold": 1.5}, "less than or equal to 1"),
    ],
)
def test_a_score_of_the_unknown_is_of_the_bundle_s_own_labels(
    spec: BundleSpec, unknown: dict[str, Any], sentence: str
) -> None:
    fields = {"threshold": 0.5, "lost": 0.01, "events": 9}
    assert changed(spec, unknown=fields | {"labels": ["b"], "urgent": ["a"]}).unknown is not None
    with pytest.raises(ValidationError, match=sentence):
        changed(spec, background="c", unknown=fields | unknown)


def test_a_score_of_the_unknown_leaves_something_known(spec: BundleSpec) -> None:
    with pytest.raises(ValidationError, match="leaves no label that is known"):
        changed(spec, unknown={"labels": ["a", "b", "c"], "threshold": 0.5, "lost": 0.0, "events": 0})


def test_a_calibration_without_a_kind_is_one_temperature(spec: BundleSpec) -> None:
    assert changed(spec, calibration={"temperature": 2.0}).calibration == Temperature(temperature=2.0)


def test_a_timed_calibration_survives_json(spec: BundleSpec) -> None:
    timed = changed(spec, calibration={"kind": "timed_temperature", "first": 1.1, "later": 0.8, "settle_s": 1.5})
    assert timed.calibration == TimedTemperature(first=1.1, later=0.8, settle_s=1.5)
    assert BundleSpec.model_validate_json(timed.model_dump_json()) == timed
    assert "settle_s" in str(BundleSpec.model_json_schema())
