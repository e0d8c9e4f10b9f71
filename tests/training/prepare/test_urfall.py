from __future__ import annotations

import csv
from math import inf
from pathlib import Path

import pytest

from inkling.training.data.frame_dataset import read
from inkling.training.data.pose_dataset import CLIPS_FILE
from inkling.training.errors import DataError
from inkling.training.prepare import urfall
from inkling.training.prepare.decode import Plan
from tests.training.videos import write_video

TABLE = """video,first_frame_label0_falling,first_frame_label1_lying
fall-01-cam0,11,21
fall-02-cam0,4,21
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two falls, the first seen by both cameras, the second from its beginning on, and a daily activity."""
    folder = tmp_path / "source"
    for name in ("fall/fall-01-cam0", "fall/fall-01-cam1", "fall/fall-02-cam0", "adl/adl-02-cam0"):
        path = folder / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, "drop")
    (folder / urfall.LABELS_FILE).write_text(TABLE)
    return folder


def test_a_fall_is_daily_until_it_begins_and_lying_once_the_person_lies(source: Path) -> None:
    rows = [row for row in urfall.find_rows(source) if row.group == "fall-01"]
    assert [(row.path, row.label) for row in rows] == [
        (f"fall/fall-01-cam{camera}.mp4", label) for camera in (0, 1) for label in ("daily", "falling", "lying")
    ]
    assert [row.start_s for row in rows] == pytest.approx([0, 10 / 30, 20 / 30] * 2)
    assert [row.end_s for row in rows] == pytest.approx([10 / 30, 20 / 30, inf] * 2)


def test_before_a_fall_that_begins_at_once_there_is_no_clip(source: Path) -> None:
    assert [row.label for row in urfall.find_rows(source) if row.group == "fall-02"] == ["falling", "lying"]


def test_a_daily_activity_is_one_clip(source: Path) -> None:
    (row,) = [row for row in urfall.find_rows(source) if row.group == "adl-02"]
    assert (row.path, row.label, row.end_s) == ("adl/adl-02-cam0.mp4", "daily", inf)


def test_each_event_is_tested_in_one_fold_and_all_are_trained_on_in_the_whole(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    urfall.prepare(source, out, Plan(32, 40, "letterbox", 10.0), workers=1)
    whole = clips(out / "urfall")
    assert {clip["split"] for clip in whole} == {"train"}
    tested = {}
    for fold in range(1, urfall.FOLDS + 1):
        part = clips(out / "urfall-folds" / str(fold) / "urfall")
        assert len(part) == len(whole)
        tested[fold] = {clip["group"] for clip in part if clip["split"] == "test"}
    assert tested == {1: {"fall-01"}, 2: {"fall-02", "adl-02"}, 3: set(), 4: set(), 5: set()}


def clips(folder: Path) -> list[dict[str, str]]:
    """The clips of a data set folder, which can be read as one."""
    read(folder)
    with (folder / CLIPS_FILE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("table", "says"),
    [(None, "cannot be read"), ("video\n", "fall-01"), (TABLE.replace("fall-02", "fall-03"), "says nothing of fall-02"),
     (TABLE.replace("11", "soon"), "cannot be read")],
)  # fmt: skip
def test_a_table_that_lacks_something_is_named(source: Path, table: str | None, says: str) -> None:
    path = source / urfall.LABELS_FILE
    path.unlink()
    if table is not None:
        path.write_text(table)
    with pytest.raises(DataError, match=says) as caught:
        urfall.find_rows(source)
    assert urfall.LABELS_FILE in str(caught.value)


def test_a_folder_without_recordings_says_what_it_should_have(tmp_path: Path) -> None:
    (tmp_path / urfall.LABELS_FILE).write_text(TABLE)
    with pytest.raises(DataError, match=r"videos/fall/fall-\*\.mp4"):
        urfall.find_rows(tmp_path)
