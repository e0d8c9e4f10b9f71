from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydantic import ValidationError

from inkling.models.errors import SkeletonError
from inkling.models.skeletons import BODY13, SKELETONS, Mapping, Skeleton, get, mapping, without_origin

Floats = NDArray[np.float32]
FLAT = sorted(name for name, skeleton in SKELETONS.items() if skeleton.dimensions == 2)


def can_be_mapped(source: str, target: str) -> bool:
    """Whether the source has enough of the target's joints."""
    try:
        mapping(get(source), get(target))
    except SkeletonError:
        return False
    return True


MAPPED = [(source, target) for source in FLAT for target in FLAT if can_be_mapped(source, target)]


def ramp(skeleton: Skeleton) -> Floats:
    """One pose whose joint i lies at (i, 100 + i, ...) with confidence 0.5 + i / 100."""
    i = np.arange(len(skeleton.joints), dtype=np.float32)
    return np.stack([*(i, 100 + i, 200 + i)[: skeleton.dimensions], 0.5 + i / 100], axis=-1)


def joint(poses: Floats, skeleton: Skeleton, name: str) -> list[float]:
    return [round(float(value), 4) for value in poses[..., skeleton.joints.index(name), :]]


def without(poses: Floats, skeleton: Skeleton, *names: str) -> Floats:
    poses = poses.copy()
    poses[..., [skeleton.joints.index(name) for name in names], :] = 0
    return poses


# -- tables --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "joints", "spot"),
    [
        ("body13", 13, {0: "head", 6: "right_wrist", 7: "left_hip", 12: "right_ankle"}),
        ("coco17", 17, {0: "nose", 3: "left_ear", 5: "left_shoulder", 10: "right_wrist", 16: "right_ankle"}),
        ("blazepose33", 33, {0: "nose", 8: "right_ear", 11: "left_shoulder", 24: "right_hip", 32: "right_toe"}),
        ("openpose18", 18, {1: "neck", 2: "right_shoulder", 7: "left_wrist", 8: "right_hip", 17: "left_ear"}),
        ("openpose25", 25, {1: "neck", 8: "hip_center", 9: "right_hip", 14: "left_ankle", 24: "right_heel"}),
        ("penn13", 13, {0: "head", 1: "left_shoulder", 12: "right_ankle"}),
        ("jhmdb15", 15, {0: "neck", 2: "face", 3: "right_shoulder", 12: "left_wrist", 14: "left_ankle"}),
        ("kinect20", 20, {0: "hip_center", 3: "head", 4: "left_shoulder", 12: "left_hip", 19: "right_foot"}),
        ("kinect25", 25, {0: "hip_center", 2: "neck", 11: "right_hand", 20: "spine_shoulder", 24: "right_thumb"}),
    ],
)
def test_a_table_has_its_sources_joints_in_its_sources_order(name: str, joints: int, spot: dict[int, str]) -> None:
    skeleton = get(name)
    assert len(skeleton.joints) == joints
    assert {i: skeleton.joints[i] for i in spot} == spot


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_pairs_are_left_and_right_of_the_same_part(skeleton: Skeleton) -> None:
    sides = sum(name.startswith(("left_", "right_")) for name in skeleton.joints)
    assert 2 * len(skeleton.pairs) == sides
    for left, right in skeleton.pairs:
        assert skeleton.joints[left].removeprefix("left_") == skeleton.joints[right].removeprefix("right_")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_bones_leave_no_joint_loose(skeleton: Skeleton) -> None:
    touched = {i for bone in skeleton.bones for i in bone}
    assert [name for i, name in enumerate(skeleton.joints) if i not in touched] == []
    assert len(set(skeleton.bones)) == len(skeleton.bones)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_bones_and_roots_are_the_same_on_both_sides(skeleton: Skeleton) -> None:
    mirror = {i: i for i in range(len(skeleton.joints))}
    mirror |= {a: b for pair in skeleton.pairs for a, b in (pair, pair[::-1])}
    bones = {frozenset(bone) for bone in skeleton.bones}
    assert {frozenset(mirror[i] for i in bone) for bone in bones} == bones
    assert {mirror[i] for i in skeleton.root} == set(skeleton.root)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SkeletonError, match=r"unknown skeleton 'coco18'; known are .*body13.*coco17"):
        get("coco18")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"joints": ("a", "a"), "root": (0,)}, "unique"),
        ({"joints": ("a", "b"), "root": (2,)}, "joint index 2 does not exist"),
        ({"joints": ("a", "b"), "root": (0,), "bones": ((0, 5),)}, "joint index 5 does not exist"),
        ({"joints": ("a", "b"), "root": ()}, "root"),
        ({"joints": ("a", "b"), "root": (0,), "dimensions": 4}, "dimensions"),
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Skeleton.model_validate({"name": "own", **fields})


# -- mapping -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FLAT)
def test_every_flat_skeleton_gives_a_whole_canonical_body(name: str) -> None:
    source = get(name)
    body = mapping(source, BODY13).apply(ramp(source))
    assert body.shape == (13, 3)
    assert body.dtype == np.float32
    assert (body[:, -1] > 0).all()
    for part in BODY13.joints[1:]:  # all but the head are joints that every source names
        assert joint(body, BODY13, part) == joint(ramp(source), source, part)


def test_kinect_metres_map_onto_a_body_of_three_dimensions() -> None:
    deep = BODY13.model_copy(update={"name": "body13-3d", "dimensions": 3})
    source = get("kinect25")
    body = mapping(source, deep).apply(ramp(source))
    assert joint(body, deep, "left_knee") == joint(ramp(source), source, "left_knee")
    assert (body[:, -1] > 0).all()


def test_the_head_is_the_mean_of_the_ears_with_the_lesser_confidence() -> None:
    coco = get("coco17")
    assert joint(mapping(coco, BODY13).apply(ramp(coco)), BODY13, "head") == [3.5, 103.5, 0.53]


def test_the_head_is_the_nose_when_an_ear_is_hidden_and_the_eyes_when_that_is_too() -> None:
    coco = get("coco17")
    to_body = mapping(coco, BODY13)
    assert joint(to_body.apply(without(ramp(coco), coco, "left_ear")), BODY13, "head") == [0, 100, 0.5]
    assert joint(to_body.apply(without(ramp(coco), coco, "left_ear", "nose")), BODY13, "head") == [1.5, 101.5, 0.51]


def test_a_joint_with_nothing_to_stand_for_it_is_missing_not_invented() -> None:
    coco, jhmdb = get("coco17"), get("jhmdb15")
    body = mapping(coco, BODY13).apply(without(ramp(coco), coco, "left_ear", "nose", "right_eye", "left_knee"))
    assert joint(body, BODY13, "head") == [0, 0, 0]
    assert joint(body, BODY13, "left_knee") == [0, 0, 0]
    assert joint(mapping(coco, jhmdb).apply(ramp(coco)), jhmdb, "belly") == [0, 0, 0]


def test_each_frame_chooses_its_own_stand_in() -> None:
    coco = get("coco17")
    clip = np.stack([ramp(coco), without(ramp(coco), coco, "left_ear")])[:, None]  # (2, 1, 17, 3)
    heads = mapping(coco, BODY13).apply(clip)[:, 0, 0, 0]
    assert heads.tolist() == [3.5, 0.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_coordinate_that_is_not_finite_means_missing(value: float) -> None:
    pose = ramp(BODY13)
    pose[3, 1] = value
    mapped = mapping(BODY13, BODY13).apply(pose)
    assert np.array_equal(mapped, without(ramp(BODY13), BODY13, "left_elbow"))


def test_equal_joints_map_onto_themselves_whatever_the_names() -> None:
    own = BODY13.model_copy(update={"name": "own"})
    for source, target in ((own, BODY13), (get("penn13"), BODY13), (BODY13, BODY13)):
        pose = ramp(source)
        mapped = mapping(source, target).apply(pose)
        assert np.array_equal(mapped, pose)
        mapped[:] = 7  # a copy: the caller's poses are never written to
        assert np.array_equal(pose, ramp(source))


def test_a_skeleton_of_ones_own_matches_by_joint_name() -> None:
    joints = (*reversed(BODY13.joints[5:]), "tail")
    own = Skeleton(name="own", joints=joints, root=(0,))
    body = mapping(own, BODY13).apply(ramp(own))
    assert joint(body, BODY13, "left_hip") == joint(ramp(own), own, "left_hip")
    assert joint(body, BODY13, "head") == [0, 0, 0]


def test_less_than_half_of_the_joints_is_refused_naming_what_is_lacking() -> None:
    legs = Skeleton(name="legs", joints=BODY13.joints[7:], root=(0, 1))
    with pytest.raises(
        SkeletonError, match=r"legs has only 6 of the 13 joints of body13; it lacks head, left_sh.*more"
    ):
        mapping(legs, BODY13)


def test_metres_in_space_are_no_pixels_and_the_sentence_says_what_to_send() -> None:
    with pytest.raises(SkeletonError, match=r"3 coordinates, body13 needs 2; send kinect25-2d, its joints as pixels"):
        mapping(get("kinect25"), BODY13)
    with pytest.raises(SkeletonError, match=r"coco17 poses have 2 coordinates, kinect20 needs 3$"):
        mapping(get("coco17"), get("kinect20"))


def test_poses_of_another_shape_are_refused_naming_both() -> None:
    with pytest.raises(SkeletonError, match=r"coco17 poses are \(\.\.\., 17, 3\), not \(2, 13, 3\)"):
        mapping(get("coco17"), BODY13).apply(np.zeros((2, 13, 3), np.float32))


def by_hand(to: Mapping, pose: Floats) -> Floats:
    """The definition, joint by joint: the first group that is there, or nothing."""
    out = np.zeros((len(to.target.joints), pose.shape[-1]), np.float32)
    for i, groups in enumerate(to.groups):
        for group in groups:
            members = pose[list(group)]
            if (members[:, -1] > 0).all():
                out[i, :-1] = members[:, :-1].mean(axis=0)
                out[i, -1] = members[:, -1].min()
                break
    return out


@given(st.sampled_from(MAPPED), st.data())
def test_mapping_a_clip_equals_the_definition_pose_by_pose(pair: tuple[str, str], data: st.DataObject) -> None:
    to = mapping(get(pair[0]), get(pair[1]))
    frames, joints = data.draw(st.integers(0, 3)), len(to.source.joints)
    there = data.draw(hnp.arrays(np.bool_, (frames, joints, 1)))
    clip = np.broadcast_to(ramp(to.source), (frames, joints, 3)) * there
    mapped = to.apply(clip)
    assert mapped.shape == (frames, len(to.target.joints), 3)
    if to.source.joints == to.target.joints:
        assert np.array_equal(mapped, clip)
    for got, pose in zip(mapped, clip, strict=True):
        np.testing.assert_allclose(got, by_hand(to, pose), rtol=1e-6)


def test_the_origin_is_a_missing_joint_in_a_picture_and_a_place_in_space() -> None:
    poses = np.array([[[0, 0, 0.5], [0, 3, 1], [4, 0, 1]]], np.float32)
    assert without_origin(poses, BODY13).tolist() == [[[0, 0, 0], [0, 3, 1], [4, 0, 1]]]
    assert poses[0, 0, 2] == 0.5
    space = np.array([[[0, 0, 0, 1]]], np.float32)
    assert without_origin(space, get("kinect20")) is space
