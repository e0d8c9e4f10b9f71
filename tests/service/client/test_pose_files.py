from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.client.errors import ClientError
from inkling.service.client.people import pack_people
from inkling.service.client.pose_files import gather_folder, guess_skeleton, read_frames


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_an_npz_is_played_by_its_own_times_due_from_its_first_frame(tmp_path: Path) -> None:
    keypoints = np.random.default_rng(0).normal(size=(3, 17, 3)).astype(np.float32)
    path = npz(tmp_path / "clip.npz", keypoints=keypoints, pts_s=np.array([2.0, 2.5, 4.0]))
    frames = list(read_frames(path))
    assert [(due, pts) for due, (pts, _) in frames] == [(0.0, 2.0), (0.5, 2.5), (2.0, 4.0)]
    np.testing.assert_array_equal([people for _, (_, people) in frames], keypoints)


def test_a_file_without_times_has_those_of_its_rate(tmp_path: Path) -> None:
    path = npz(tmp_path / "clip.npz", keypoints=np.ones((3, 13, 2)))
    assert [pts for _, (pts, _) in read_frames(path, fps=10)] == pytest.approx([0, 0.1, 0.2])


def test_a_file_that_says_its_rate_and_skeleton_is_believed(tmp_path: Path) -> None:
    path = npz(tmp_path / "clip.npz", keypoints=np.ones((3, 13, 2)), fps=4, skeleton="penn13")
    assert [pts for _, (pts, _) in read_frames(path)] == [0, 0.25, 0.5]
    assert guess_skeleton(path) == "penn13"


def test_a_jsonl_has_a_frame_a_line_with_people_by_track_and_null_joints_missing(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    lines = [
        {"type": "pose", "seq": 4, "pts_s": 1.0, "people": [{"track": 3, "keypoints": [[1, 2, 1], None]}]},
        {"pts_s": 1.5, "people": []},
    ]
    path.write_text("\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    (first_due, (first_pts, first)), (due, (pts, second)) = read_frames(path)
    assert (first_due, first_pts, due, pts) == (0.0, 1.0, 0.5, 1.5)
    tracks, keypoints = pack_people(first)
    assert tracks == [3]
    np.testing.assert_array_equal(keypoints[0], [[1, 2, 1], [0, 0, 0]])
    assert second == {}


@pytest.mark.parametrize(
    ("shape", "name"),
    [((2, 17, 3), "coco17"), ((2, 33, 2), "blazepose33"), ((2, 25, 4), "kinect25"), ((2, 9, 3), None)],
)
def test_the_usual_skeleton_follows_from_the_number_of_joints(
    tmp_path: Path, shape: tuple[int, ...], name: str | None
) -> None:
    assert guess_skeleton(npz(tmp_path / "clip.npz", keypoints=np.ones(shape))) == name


def test_the_skeleton_of_a_jsonl_is_that_of_its_first_person(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    person = {"track": 0, "keypoints": [[0, 0, 1]] * 17}
    path.write_text('{"people": []}\n' + json.dumps({"people": [person]}), encoding="utf-8")
    assert guess_skeleton(path) == "coco17"
    path.write_text('{"people": []}\n', encoding="utf-8")
    assert guess_skeleton(path) is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"poses": np.ones((2, 17, 3))}, "no array 'keypoints'"),
        ({"keypoints": np.ones((17, 3))}, "frames, joints"),
        ({"keypoints": np.array([[["x"]]])}, "must be numbers"),
        ({"keypoints": np.array([[[None]]], dtype=object)}, "cannot be read"),
        ({"keypoints": np.ones((2, 17, 3)), "pts_s": np.ones(3)}, "as many pts_s"),
    ],
)
def test_an_npz_that_holds_no_poses_is_refused_by_name(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = npz(tmp_path / "clip.npz", **arrays)
    with pytest.raises(ClientError, match=rf"clip\.npz: .*{words}"):
        list(read_frames(path))


@pytest.mark.parametrize("line", ["{", "[]", '{"people": 3}', '{"people": [{"track": 1, "keypoints": [[1,2,3],[1]]}]}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "poses.jsonl"
    path.write_text('{"people": []}\n' + line, encoding="utf-8")
    with pytest.raises(ClientError, match=r"poses\.jsonl:2: "):
        list(read_frames(path))


@pytest.mark.parametrize(
    ("name", "words"), [("gone.npz", "No such file"), ("gone.jsonl", "No such file"), ("a.mp4", "only")]
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ClientError, match=words):
        list(read_frames(tmp_path / name))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_poses_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    for suffix in (".npz", ".jsonl"):
        path = tmp_path_factory.mktemp("any") / f"poses{suffix}"
        path.write_bytes(content)
        try:
            frames = list(read_frames(path))
        except ClientError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
        else:
            assert suffix == ".jsonl"
            assert not any(people for _, (_, people) in frames)


def test_an_array_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    with path.open("wb") as file:
        np.save(file, np.ones((2, 17, 3)))
    with pytest.raises(ClientError, match="without a name"):
        list(read_frames(path))


def test_a_broken_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    np.savez_compressed(path, keypoints=np.ones((50, 17, 3)))
    whole = path.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(ClientError, match="cannot be read"):
            list(read_frames(path))
    path.write_bytes(whole[:60] + bytes(40) + whole[100:])
    with pytest.raises(ClientError, match="cannot be read"):
        list(read_frames(path))


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="--fps"):
        list(read_frames(tmp_path / "clip.npz", fps=0))


def test_a_folder_is_gathered_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        frame = {"version": 1.3, "people": [{"person_id": [number], "pose_keypoints_2d": [1, 2, 3]}]}
        (tmp_path / f"a_{number}_keypoints.json").write_text(json.dumps(frame), encoding="utf-8")
    (tmp_path / "a.txt").write_text("something else", encoding="utf-8")
    frames = json.loads(gather_folder(tmp_path))
    assert [frame["people"][0]["person_id"] for frame in frames] == [[9], [10], [100]]


@pytest.mark.parametrize(("content", "words"), [("{", "no JSON"), ("[]", "'people'"), ('{"people": 3}', "'people'")])
def test_a_file_of_a_folder_that_is_no_frame_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "1.json").write_text('{"people": []}', encoding="utf-8")
    (tmp_path / "2.json").write_text(content, encoding="utf-8")
    with pytest.raises(ClientError, match=rf"2\.json: .*{words}"):
        gather_folder(tmp_path)


def test_a_folder_without_frames_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"no \.json files"):
        gather_folder(tmp_path)
    with pytest.raises(ClientError, match="cannot be read"):
        gather_folder(tmp_path / "gone")


def test_tracks_without_a_time_for_each_row_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", keypoints=np.ones((3, 17, 3), np.float32), tracks=[1, 1, 2])
    with pytest.raises(ClientError, match="needs its track and its time"):
        list(read_frames(tmp_path / "p.npz"))
