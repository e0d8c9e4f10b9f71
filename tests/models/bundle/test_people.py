from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from inkling.models import skeletons
from inkling.models.bundle import PeopleSpec, load_people
from inkling.models.bundle.people import MultiposeHeads
from tests.people_bundle import make_people_bundle


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Those of a good bundle."""
    return load_people(make_people_bundle(tmp_path_factory.mktemp("bundles"))).spec.model_dump()


def test_what_is_written_reads_as_it_was(tmp_path: Path) -> None:
    spec = load_people(make_people_bundle(tmp_path)).spec
    assert spec == PeopleSpec.model_validate(spec.model_dump())
    assert (spec.kind, spec.full_name) == ("people", "colours/1")
    assert spec.outputs == {"scores": (None,), "boxes": (None, 4), "keypoints": (None, 17, 3)}


def test_the_heads_have_a_channel_or_two_for_each_joint() -> None:
    shapes = MultiposeHeads().outputs(17)
    assert {name: shape[0] for name, shape in shapes.items()} == {
        "center": 1, "heatmap": 17, "regress": 34, "offset": 34, "box_scale": 2, "box_offset": 2,
    }  # fmt: skip
    assert all(shape[1:] == (None, None) for shape in shapes.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input": {"height": 100, "width": 128}}, "multiples of multiple_of"),
        ({"decoder": {"kind": "detections", "boxes": "scores"}}, "different names"),
        ({"decoder": {"kind": "heatmaps"}}, "multipose_heads"),
        ({"decoder": {"kind": "multipose_heads", "stride": 5}}, "must be one of stride"),
        ({"thresholds": {"begin": 0.1, "keep": 0.2}}, "must not exceed begin"),
        ({"max_people": 0}, "greater than or equal to 1"),
        ({"skeleton": skeletons.get("kinect20").model_dump()}, "must have 2 dimensions"),
        ({"files": {}}, "no sha256 of people.onnx"),
        ({"labels": ["a", "b"]}, "Extra inputs"),
        ({"kind": "step"}, "people"),
        ({"schema_version": 1}, "2"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        PeopleSpec.model_validate(fields | changes)


def test_no_file_of_a_bundle_lies_outside_of_it(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="only plain names"):
        PeopleSpec.model_validate(fields | {"files": fields["files"] | {"../x": "0" * 64}})
