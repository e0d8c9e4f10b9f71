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
    ("folder", "reason"), [(".", "neither clips.csv nor class folders"), ("none", "no such folder")]
)
def test_a_folder_without_clips_is_refused(tmp_path: Path, folder: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        find_rows(tmp_path / folder, ENDINGS)


def test_a_table_that_names_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("path,label\nno.mp4,a\n")
    with pytest.raises(DataError, match=r"clips\.csv:2: no\.mp4"):
        find_rows(tmp_path, ENDINGS)
