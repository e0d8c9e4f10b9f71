from __future__ import annotations

import csv
from math import inf
from pathlib import Path

import pytest

from inkling.training.data.pose_dataset import read
from inkling.training.errors import DataError
from inkling.training.prepare import urfall
from inkling.training.prepare.film_people import PeopleFinder
from inkling.training.prepare.urfall_people import films, prepare, spans_of
from tests.people_bundle import make_people_bundle
from tests.training.prepare.films_of_people import walkers_film

TABLE = "video,first_frame_label0_falling,first_frame_label1_lying\nfall-01-cam0,31,61\nfall-02-cam0,16,46\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two falls, the first seen by both cameras, in the second of which somebody comes late; and a daily activity."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("fall/fall-01-cam0", "fall/fall-01-cam1", "adl/adl-02-cam0"):
        walkers_film(folder / "videos" / f"{name}.mp4.mkv", 3.0).rename(folder / "videos" / f"{name}.mp4")
    late = walkers_film(folder / "videos" / "fall" / "late.mkv", 4.0, begins_s=1.2)
    late.rename(folder / "videos" / "fall" / "fall-02-cam0.mp4")
    (folder / urfall.LABELS_FILE).write_text(TABLE)
    return folder


def test_a_fall_is_one_from_the_loss_of_balance_to_just_after_lying() -> None:
    spans = spans_of((1.0, 2.0), 0.0)
    assert [(span.label, span.start_s, span.end_s) for span in spans] == [
        ("!fall", -inf, 1.0),
        ("fall", 1.3, pytest.approx(2.3)),
        ("idle", pytest.approx(2.8), inf),
    ]


def test_a_track_that_begins_in_a_fall_is_a_fall_if_it_sees_most_of_it() -> None:
    assert [span.label for span in spans_of((1.0, 2.0), 1.4)] == ["!fall", "fall", "idle"]
    assert [span.label for span in spans_of((1.0, 2.0), 1.6)] == ["idle"]


def test_in_daily_life_all_that_is_known_is_that_nobody_falls() -> None:
    assert [(span.label, span.start_s, span.end_s) for span in spans_of(None, 7.0)] == [("!fall", -inf, inf)]


def test_all_is_written_to_train_on_and_each_event_is_tested_in_one_fold(source: Path, tmp_path: Path) -> None:
    finder = PeopleFinder.of(make_people_bundle(tmp_path), 15.0)
    written = list(prepare(source, tmp_path / "out", finder, workers=1))
    assert [folder.relative_to(tmp_path / "out").as_posix() for folder, _ in written] == [
        "urfall-people",
        *(f"urfall-people-folds/{k}/urfall-people" for k in range(1, 6)),
        *(f"urfall-people-kinds/{k}/urfall-people" for k in (1, 2)),
    ]  # fmt: skip
    assert [done.films.made for _, done in written] == [4, *[0] * 7], "films are looked at once"
    whole = read(tmp_path / "out" / "urfall-people")
    assert {clip.split for clip in whole.clips} == {"train"}
    assert [len(clip.spans) for clip in whole.clips] == [3, 3, 1, 1]
    assert whole.clips[2].spans[0].label == "idle", "the late one"
    assert whole.clips[3].spans[0].label == "!fall"
    tested: dict[str, int] = {}
    for fold in range(1, 6):
        table = tmp_path / "out" / "urfall-people-folds" / str(fold) / "urfall-people" / "clips.csv"
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 4
        for row in rows:
            if row["split"] == "test":
                assert tested.setdefault(row["group"], fold) == fold
    assert tested == {"fall-01": 1, "fall-02": 2, "adl-02": 2}
    for kind, events in ((1, {"fall-01"}), (2, {"fall-02", "adl-02"})):
        dataset = read(tmp_path / "out" / "urfall-people-kinds" / str(kind) / "urfall-people")
        assert {clip.group for clip in dataset.clips if clip.split == "test"} == events


def test_a_fall_without_times_and_a_folder_without_films_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / urfall.LABELS_FILE).write_text(TABLE)
    with pytest.raises(DataError, match="has no videos/fall"):
        films(tmp_path)
    (tmp_path / "videos" / "fall").mkdir(parents=True)
    (tmp_path / "videos" / "fall" / "fall-09-cam0.mp4").touch()
    with pytest.raises(DataError, match="says nothing of fall-09"):
        films(tmp_path)
