from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.skeletons import BODY13
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile, read
from inkling.training.errors import DataError, Problem
from tests.training.support import ACTIONS, STICK, read_rows, stick_clip, write_rows, write_stick_set


@pytest.fixture
def sticks(tmp_path: Path) -> Path:
    return write_stick_set(tmp_path / "sticks", train=2, test=1)


def problems(directory: Path) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read(directory)
    return list(caught.value.problems)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    poses = stick_clip("nod", 9, 0)
    times = np.arange(9) / 7
    clips = [
        NewClip("one", poses, "nod", "train", "anna", times),
        NewClip("two", poses, "", "train"),
        NewClip("three", poses, "nod", "test", "bert"),
    ]
    assert write(tmp_path, STICK, clips) == 3
    found = read(tmp_path)
    assert found.skeleton == STICK.body()
    assert (found.fps, found.about, found.terms) == (20, STICK.about, STICK.terms)
    assert [(c.path, c.row, c.label, c.split, c.group) for c in found.clips] == [
        ("poses/one.npz", 2, "nod", "train", "anna"),
        ("poses/two.npz", 3, None, "train", "poses/two.npz"),
        ("poses/three.npz", 4, "nod", "test", "bert"),
    ]
    np.testing.assert_array_equal(found.clips[0].keypoints, poses)
    np.testing.assert_array_equal(found.clips[0].pts_s, times)
    np.testing.assert_array_equal(found.clips[1].pts_s, np.arange(9) / 20)


def test_joints_are_given_by_name(sticks: Path) -> None:
    body = read(sticks).skeleton
    assert body.joints == ("hip", "left_hand", "right_hand", "head")
    assert body.root == (0,)
    assert body.pairs == ((1, 2),)
    assert body.bones == ((0, 3), (3, 1), (3, 2))


def test_a_known_skeleton_needs_its_name_only() -> None:
    assert DatasetFile(skeleton="body13", fps=30).body() == BODY13


def test_spans_cut_clips_out_of_one_recording(sticks: Path) -> None:
    np.savez(sticks / "long.npz", keypoints=stick_clip("nod", 100, 0))
    write_rows(
        sticks,
        [
            {"path": "long.npz", "label": "nod", "split": "train", "start_s": "0.5", "end_s": "2", "group": ""},
            {"path": "long.npz", "label": "raise", "split": "train", "start_s": "4", "end_s": "", "group": ""},
        ],
    )
    first, second = read(sticks).clips
    np.testing.assert_allclose(first.pts_s, np.arange(10, 40) / 20)
    np.testing.assert_array_equal(first.keypoints, stick_clip("nod", 100, 0)[10:40])
    assert len(second.pts_s) == 20
    assert first.group == second.group == "long.npz"


def test_a_finished_data_set_is_not_overwritten(sticks: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        write(sticks, STICK, [])


def test_an_unfinished_one_is(sticks: Path) -> None:
    (sticks / "clips.csv").unlink()
    assert write(sticks, STICK, [NewClip("a", stick_clip("nod", 5, 0), "nod", "train")]) == 1
    assert len(read(sticks).clips) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": "poses/none.npz"}, "poses/none.npz: no such file"),
        ({"path": "../secret.npz"}, "inside the data set's folder"),
        ({"path": "/etc/passwd"}, "inside the data set's folder"),
        ({"path": ""}, "inside the data set's folder"),
        ({"split": "trian"}, "split 'trian' is not one of train, val, test"),
        ({"split": "test", "label": ""}, "a clip of the test split needs a label"),
        ({"start_s": "now"}, "start_s 'now'"),
        ({"start_s": "nan"}, "start_s 'nan'"),
        ({"start_s": "2", "end_s": "1"}, "start_s '2' and end_s '1' are no span"),
        ({"start_s": "0.1", "end_s": "0.14"}, "1 frames, a clip has at least two"),
        ({"start_s": "900"}, "0 frames"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(sticks: Path, change: dict[str, str], reason: str) -> None:
    rows = read_rows(sticks)
    write_rows(sticks, [*rows[:3], rows[3] | change, *rows[4:]])
    (problem,) = problems(sticks)
    assert (problem.file, problem.row) == (sticks / "clips.csv", 5)
    assert reason in problem.reason


def test_a_clip_of_one_frame_is_refused(sticks: Path) -> None:
    np.savez(sticks / read_rows(sticks)[0]["path"], keypoints=stick_clip("nod", 1, 0))
    (problem,) = problems(sticks)
    assert problem.row == 2
    assert "1 frames" in problem.reason


def test_nan_that_is_no_missing_joint_is_refused_with_frame_and_joint(sticks: Path) -> None:
    poses = stick_clip("nod", 8, 0)
    poses[3, 2, 0] = np.nan
    np.savez(sticks / read_rows(sticks)[1]["path"], keypoints=poses)
    (problem,) = problems(sticks)
    assert problem.row == 3
    assert "frame 3, joint right_hand: not finite" in problem.reason


def test_all_problems_are_found_at_once(sticks: Path) -> None:
    rows = read_rows(sticks)
    rows[0]["split"] = "none"
    rows[2]["path"] = "poses/none.npz"
    rows[4]["split"], rows[4]["path"] = "none", "poses/none2.npz"
    write_rows(sticks, rows)
    assert [problem.row for problem in problems(sticks)] == [2, 4, 6, 6]


def test_a_broken_file_is_reported_for_its_first_row_only(sticks: Path) -> None:
    (sticks / "broken.npz").write_bytes(b"PK\x03\x04 no zip")
    rows = [{"path": "broken.npz", "label": "nod", "split": "train"} for _ in range(3)]
    write_rows(sticks, rows)
    assert [problem.row for problem in problems(sticks)] == [2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column path"),
        ("path,label\na.npz,x\n", "no column split"),
        ("path,label,split,speed\n", "column 'speed' is not known"),
        ("path,label,split,label\n", "is not known"),
        ("path,label,split\n", "has no clips"),
        ("path,label,split\na.npz,nod\n", "not as many fields"),
        ("path,label,split\na.npz,nod,train,more\n", "not as many fields"),
    ],
)
def test_a_bad_table_is_refused(sticks: Path, text: str, reason: str) -> None:
    (sticks / "clips.csv").write_text(text)
    (problem,) = problems(sticks)
    assert problem.file == sticks / "clips.csv"
    assert reason in problem.reason


def test_a_table_saved_by_a_spreadsheet_is_read(sticks: Path) -> None:
    text = (sticks / "clips.csv").read_text()
    (sticks / "clips.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(read(sticks).clips) == 3 * len(ACTIONS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fps = ", "Invalid value"),
        ("skeleton = 'body13'\n", "fps: Field required"),
        ("skeleton = 'body13'\nfps = 0\n", "fps: Input should be greater than 0"),
        ("skeleton = 'body13'\nfps = 30\nspeed = 1\n", "speed: Extra inputs"),
        ("skeleton = 'body99'\nfps = 30\n", "body99"),
        ("skeleton = 'body13'\nfps = 30\ndimensions = 3\n", "has 2 dimensions, not 3"),
        ("skeleton = 'body13'\nfps = 30\nroot = ['head']\n", "belong to joints"),
        ("skeleton = 'mine'\nfps = 30\njoints = ['a', 'b']\nroot = ['c']\n", "c: not among joints"),
        ("skeleton = 'mine'\nfps = 30\njoints = ['a', 'b']\n", "root"),
        ("skeleton = 'mine'\nfps = 30\njoints = ['a', 'a']\nroot = ['a']\n", "unique"),
    ],
)
def test_a_bad_description_is_refused(sticks: Path, text: str, reason: str) -> None:
    (sticks / "dataset.toml").write_text(text)
    (problem,) = problems(sticks)
    assert problem.file == sticks / "dataset.toml"
    assert reason in problem.reason


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "nowhere")
    assert problem.reason == "no such file"


@pytest.fixture(scope="module")
def shared_sticks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stick_set(tmp_path_factory.mktemp("sticks") / "sticks", train=1, test=1)


@given(text=st.text(alphabet='path,lbesrin_\n\r".0123456789/é\0', max_size=80), header=st.booleans())
def test_any_table_is_read_or_refused_by_a_data_error(shared_sticks: Path, text: str, header: bool) -> None:
    table = "path,label,split,start_s,end_s,group\n" + text if header else text
    (shared_sticks / "clips.csv").write_text(table, encoding="utf-8", newline="")
    with contextlib.suppress(DataError):
        assert read(shared_sticks).clips
