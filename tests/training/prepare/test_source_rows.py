from __future__ import annotations

from pathlib import Path

import pytest

from inkling.training.errors import DataError
from inkling.training.prepare.source_rows import find_rows

ENDINGS = {".mp4"}


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_folders_are_labels_and_may_lie_in_folders_of_a_split(tmp_path: Path) -> None:
    touch(tmp_path, "wave/a.MP4", "train/nod/b.mp4", "test/nod/c.mp4", "wave/deep/d.mp4", "readme.mp4", "wave/e.txt")
    found = [(row.path, row.label, row.split) for row in find_rows(tmp_path, ENDINGS)]
    assert sorted(found) == [
        ("test/nod/c.mp4", "nod", "test"),
        ("train/nod/b.mp4", "nod", "train"),
        ("wave/a.MP4", "wave", "train"),
        ("wave/deep/d.mp4", "wave", "train"),
    ]


def test_hidden_files_are_no_clips(tmp_path: Path) -> None:
    touch(tmp_path, "wave/a.mp4", "wave/._a.mp4", ".trash/wave/b.mp4")
    assert [row.path for row in find_rows(tmp_path, ENDINGS)] == ["wave/a.mp4"]


@pytest.mark.parametrize(
    ("folder", "reason"), [(".", "neither clips.csv nor index.csv nor class folders"), ("none", "no such folder")]
)
def test_a_folder_without_clips_is_refused(tmp_path: Path, folder: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        find_rows(tmp_path / folder, ENDINGS)


def test_a_table_that_names_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("path,label\nno.mp4,a\n")
    with pytest.raises(DataError, match=r"clips\.csv:2: no\.mp4"):
        find_rows(tmp_path, ENDINGS)


def test_an_index_may_have_more_columns_than_are_wanted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "index.csv").write_text("fps,path,label,split,group\n30,a.mp4,wave,test,x\n25,b.mp4,nod,,y\n")
    found = [(row.path, row.label, row.split, row.group) for row in find_rows(tmp_path, ENDINGS)]
    assert found == [("a.mp4", "wave", "test", "x"), ("b.mp4", "nod", "train", "y")]


def test_an_index_without_any_split_is_for_training(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_text("path,label\na.mp4,wave\n")
    assert [row.split for row in find_rows(tmp_path, ENDINGS)] == ["train"]


@pytest.mark.parametrize(
    ("text", "split", "reason"),
    [
        ("label,split\nwave,test\n", "", r"index\.csv:1: no column path"),
        ("path,label,split1\na.mp4,wave,test\n", "3", "no column split3; there are split1"),
        ("path,label\na.mp4,wave\n", "1", "no column split1; there are no splits"),
        ("path,label,split\na.mp4,wave,exam\n", "", r"index\.csv:2: split: .*'train', 'val' or 'test'"),
        ("path,label,split\n../a.mp4,wave,test\n", "", r"index\.csv:2: a path must lie inside"),
        ("path,label,split\nb.mp4,wave,test\n", "", r"index\.csv:2: b\.mp4: no such file"),
    ],
)
def test_a_bad_index_is_refused_with_its_line(tmp_path: Path, text: str, split: str, reason: str) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(DataError, match=reason):
        find_rows(tmp_path, ENDINGS, split=split)


def test_a_split_is_asked_of_an_index_only(tmp_path: Path) -> None:
    touch(tmp_path, "wave/a.mp4")
    with pytest.raises(DataError, match="split '1' is one of this table"):
        find_rows(tmp_path, ENDINGS, split="1")
