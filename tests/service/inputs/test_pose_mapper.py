from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle.schema import BundleSpec
from inkling.models.skeletons import BODY13, get, mapping
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.protocol.codec import PackedPose, Start, decode
from inkling.service.protocol.errors import BadPose, UnsupportedInput
from tests.service.rig import Floats, body, tiny


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> BundleSpec:
    return tiny(tmp_path_factory.mktemp("bundles")).spec


def frame(keypoints: Floats) -> PackedPose:
    return PackedPose(5, 0.0, list(range(len(keypoints))), keypoints)


def test_without_a_skeleton_the_bundles_own_is_taken(spec: BundleSpec) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny"))
    people = np.stack([body(1), body(2)])
    assert np.array_equal(mapper.prepare(mapper.accept(frame(people))), people)


def test_another_skeleton_is_mapped(spec: BundleSpec) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny", skeleton="coco17"))
    people = np.stack([body(1, joints=17)])
    expected = mapping(get("coco17"), BODY13).apply(people)
    assert np.array_equal(mapper.prepare(mapper.accept(frame(people))), expected)


def test_without_confidences_every_joint_is_seen(spec: BundleSpec) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny"))
    people = body(1)[np.newaxis]
    assert np.array_equal(mapper.prepare(mapper.accept(frame(people[:, :, :2]))), people)


def test_missing_joints_are_zero_and_confidence_is_at_most_one(spec: BundleSpec) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny"))
    pose = body(1)
    pose[0, 2] = 0
    pose[1, 2] = -3
    pose[2] = np.nan
    pose[3, 2] = 7
    prepared = mapper.prepare(mapper.accept(frame(pose[np.newaxis])))[0]
    assert not prepared[:3].any()
    assert prepared[3].tolist() == [*pose[3, :2], 1]
    assert np.array_equal(prepared[4:], pose[4:])


@pytest.mark.parametrize("width", [2, 3])
def test_nulls_are_missing_whether_or_not_confidences_are_sent(spec: BundleSpec, width: int) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny"))
    joint = str([1.0] * width)
    for joints in (f"null,{','.join([joint] * 12)}", ",".join(["null"] * 13)):
        message = decode(f'{{"type":"pose","seq":0,"people":[{{"track":0,"keypoints":[{joints}]}}]}}')
        assert isinstance(message, PackedPose)
        prepared = mapper.prepare(mapper.accept(message))[0]
        assert not prepared[0].any()
        assert bool(prepared[1:].any()) == (joints.count("null") == 1)


def test_a_frame_without_people_has_no_rows(spec: BundleSpec) -> None:
    mapper = PoseMapper(spec, Start(bundle="tiny"))
    assert len(mapper.accept(frame(np.zeros((0, 0, 0), np.float32)))) == 0
    assert len(mapper.accept(frame(np.zeros((0, 17, 3), np.float32)))) == 0


@pytest.mark.parametrize(
    ("shape", "what"),
    [((1, 12, 3), "body13 has 13 joints, 12 were sent"), ((1, 13, 4), "2 coordinates and a confidence, 4 numbers")],
)
def test_another_number_of_joints_or_numbers_is_refused(
    spec: BundleSpec, shape: tuple[int, int, int], what: str
) -> None:
    with pytest.raises(BadPose, match=what) as refused:
        PoseMapper(spec, Start(bundle="tiny")).accept(frame(np.ones(shape, np.float32)))
    assert refused.value.seq == 5


@pytest.mark.parametrize("skeleton", ["horse4", "kinect25", ""])
def test_skeletons_that_cannot_be_mapped_are_refused(spec: BundleSpec, skeleton: str) -> None:
    with pytest.raises(UnsupportedInput):
        PoseMapper(spec, Start(bundle="tiny", skeleton=skeleton))


def test_frames_for_a_bundle_of_poses_are_refused(spec: BundleSpec) -> None:
    with pytest.raises(UnsupportedInput, match="takes input 'pose', not 'frame'"):
        PoseMapper(spec, Start(bundle="tiny", input="frame"))


def test_a_bundles_own_skeleton_is_known_by_its_name(tmp_path: Path) -> None:
    spec = tiny(tmp_path, joints=5).spec
    mapper = PoseMapper(spec, Start(bundle="tiny", skeleton="stick5"))
    assert mapper.prepare(mapper.accept(frame(body(0, joints=5)[np.newaxis]))).shape == (1, 5, 3)


def test_joints_at_the_origin_are_missing_whatever_their_confidence(spec: BundleSpec) -> None:
    """As YOLO and OpenPose write those that they did not find; in JSON, packed, and without confidences."""
    mapper = PoseMapper(spec, Start(bundle="tiny", skeleton="coco17"))
    pose = body(1, joints=17)
    pose[[3, 9], 2] = 0  # an ear and a wrist
    expected = mapper.prepare(mapper.accept(frame(pose[np.newaxis])))
    for confidence in (0.003, 1.0):
        pose[[3, 9]] = 0, 0, confidence
        assert np.array_equal(mapper.prepare(mapper.accept(frame(pose[np.newaxis]))), expected)
    pose[:, 2] = 1
    pose[3, 2] = pose[9, 2] = 0
    expected = mapper.prepare(mapper.accept(frame(pose[np.newaxis])))
    assert np.array_equal(mapper.prepare(mapper.accept(frame(pose[np.newaxis, :, :2]))), expected)
