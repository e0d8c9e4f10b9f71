from __future__ import annotations

import numpy as np
import pytest

from inkling.models.bundle.schema import BundleSpec
from inkling.service.inputs.pose_doubts import CONFIDENCES, LOOK, SHARES, UPSIDE_DOWN, StreamPoses
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.protocol.codec import PackedPose, Start
from tests.service.rig import Floats, body, tiny


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> BundleSpec:
    return tiny(tmp_path_factory.mktemp("bundles")).spec


UPRIGHT = np.array(
    [[50, 10], [60, 30], [40, 30], [65, 50], [35, 50], [66, 70], [34, 70], [57, 75], [43, 75], [57, 110], [43, 110],
     [57, 150], [43, 150]], np.float32,
)  # fmt: skip


def upright(confidence: float = 1.0) -> Floats:
    return np.concatenate([UPRIGHT, np.full((13, 1), confidence, np.float32)], axis=1)[np.newaxis]


def shown(
    spec: BundleSpec, poses: list[Floats], width: int | None = None, height: int | None = None
) -> tuple[list[Floats], list[str]]:
    """What the model gets of each frame, and what was said."""
    stream = StreamPoses(PoseMapper(spec, Start(bundle="tiny")), Start(bundle="tiny", width=width, height=height))
    seen, said = [], []
    for seq, keypoints in enumerate(poses):
        frame = PackedPose(seq, seq / 15, [0], keypoints)
        seen.append(stream.prepare(stream.accept(frame)))
        said += [] if frame.doubt is None else [frame.doubt]
    return seen, said


class Counted(StreamPoses):
    """How often poses were looked at for what is doubtful about them."""

    looks = 0

    def _first(self, frame: PackedPose) -> Floats:
        self.looks += 1
        return super()._first(frame)


def test_only_the_first_frames_are_looked_at_also_by_who_keeps_the_way_in(spec: BundleSpec) -> None:
    """Looking takes longer than all else that becomes of a frame."""
    stream = Counted(PoseMapper(spec, Start(bundle="tiny")), Start(bundle="tiny"))
    accept = stream.accept
    for seq in range(3 * LOOK):
        accept(PackedPose(seq, seq / 15, [0], upright()))
    assert stream.looks == LOOK


def test_shares_of_a_picture_become_pixels_where_its_size_is_said(spec: BundleSpec) -> None:
    pixels = [np.concatenate([body(seed)[:, :2], np.ones((13, 1), np.float32)], 1)[None] for seed in range(40)]
    size = np.array([1280, 720, 1], np.float32)
    shares = [np.asarray(frame / size, np.float32) for frame in pixels]
    seen, said = shown(spec, shares, width=1280, height=720)
    for ours, theirs in zip(seen, pixels, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert said == []


def test_pixels_are_left_alone_whatever_size_is_said(spec: BundleSpec) -> None:
    late = upright()
    late[0, :, :2] /= 1000  # a tracker's odd frame among pixels is no share
    frames = [upright(), late, *[upright()] * 40]
    seen, said = shown(spec, frames, width=1280, height=720)
    for ours, theirs in zip(seen, frames, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert said == []


def test_shares_without_a_size_are_said_once_and_taken_as_they_are(spec: BundleSpec) -> None:
    shares: Floats = np.asarray(upright() / np.array([100, 160, 1], np.float32), np.float32)
    seen, said = shown(spec, [shares] * 100)
    np.testing.assert_array_equal(seen[-1], shares)
    assert said == [SHARES]


@pytest.mark.parametrize("z", [-0.3, 45.0])
def test_a_z_in_place_of_a_confidence_is_said_once(spec: BundleSpec, z: float) -> None:
    frame = upright()
    frame[0, ::2, 2] = z
    assert shown(spec, [frame] * 100)[1] == [CONFIDENCES]


def test_confidences_in_use_are_not_doubted(spec: BundleSpec) -> None:
    for confidence in (0.001, 1.0001, 2.0):
        assert shown(spec, [upright(confidence)] * 100)[1] == []


def test_everybody_on_their_heads_all_the_time_is_said_once(spec: BundleSpec) -> None:
    frame = upright()
    frame[..., 1] = 200 - frame[..., 1]
    assert shown(spec, [frame] * 100)[1] == [UPSIDE_DOWN]
    assert shown(spec, [frame] * 5 + [upright()] + [frame] * 100)[1] == [], "a handstand"
    lying = frame.copy()
    lying[..., 0], lying[..., 1] = frame[..., 1], frame[..., 0] / 5
    assert shown(spec, [lying] * 100)[1] == []
