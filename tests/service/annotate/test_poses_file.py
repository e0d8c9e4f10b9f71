from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.client import Client
from inkling.models.skeletons import get
from inkling.service.annotate.film_record import FilmRecord
from inkling.service.annotate.poses_file import NobodySeen, by_track, pose_arrays, save
from inkling.service.annotate.watch_film import watch_film
from inkling.service.client.pose_files import guess_skeleton, read_frames
from inkling.training.data import pose_file
from tests.service.annotate.test_film_record import LABELS, seen
from tests.service.conftest import Running


@pytest.fixture
def record() -> FilmRecord:
    record = FilmRecord(LABELS)
    record.saw(seen(0.0, {1: 5.0}))
    record.saw(seen(0.1, {1: 7.0, 3: 90.0}))
    record.saw(seen(0.2, {3: 95.0}))
    return record


def test_there_is_a_row_for_each_person_in_each_frame(record: FilmRecord) -> None:
    arrays = pose_arrays(record, (640, 480), "coco17")
    np.testing.assert_array_equal(arrays["pts_s"], [0.0, 0.1, 0.1, 0.2])
    np.testing.assert_array_equal(arrays["tracks"], [1, 1, 3, 3])
    np.testing.assert_array_equal(arrays["keypoints"][:, 0, 0], [5, 7, 90, 95])
    assert (int(arrays["width"]), int(arrays["height"]), str(arrays["skeleton"])) == (640, 480, "coco17")


def test_a_film_without_anybody_has_no_poses() -> None:
    with pytest.raises(NobodySeen, match="nobody was seen"):
        pose_arrays(FilmRecord(LABELS), (640, 480), "coco17")


def test_the_client_plays_the_file_with_everybody_in_it(record: FilmRecord, tmp_path: Path) -> None:
    save(tmp_path / "all.npz", pose_arrays(record, (640, 480), "coco17"))
    assert guess_skeleton(tmp_path / "all.npz") == "coco17"
    frames = []
    for _, (pts_s, people) in read_frames(tmp_path / "all.npz"):
        assert isinstance(people, dict)
        frames.append((pts_s, sorted(people)))
    assert frames == [(0.0, [1]), (0.1, [1, 3]), (0.2, [3])]


def test_a_data_set_takes_the_file_of_one_track_and_refuses_that_of_several(record: FilmRecord, tmp_path: Path) -> None:
    arrays = pose_arrays(record, (640, 480), "coco17")
    for track, rows in by_track(arrays).items():
        save(tmp_path / f"{track}.npz", rows)
    poses, times = pose_file.load(tmp_path / "3.npz", get("coco17"), 15.0)
    assert poses.shape == (2, 17, 3)
    np.testing.assert_array_equal(times, [0.1, 0.2])
    save(tmp_path / "all.npz", arrays)
    with pytest.raises(ValueError, match="several people"):
        pose_file.load(tmp_path / "all.npz", get("coco17"), 15.0)


def test_scoring_the_poses_of_a_film_is_scoring_the_film(eyes: Running, three_people: Path, tmp_path: Path) -> None:
    client = Client(eyes.url)
    watched = watch_film(client, three_people, "tiny")
    save(tmp_path / "poses.npz", pose_arrays(watched.record, watched.size, watched.figure.name))
    film, poses = client.score(three_people, "tiny"), client.score(tmp_path / "poses.npz", "tiny")
    assert film.tracks == poses.tracks == [1, 2, 3]
    for track in film.tracks:
        np.testing.assert_allclose(film.of(track)[0], poses.of(track)[0], atol=1e-9)
        # Places are told to a tenth of a pixel.
        np.testing.assert_allclose(film.of(track)[1], poses.of(track)[1], atol=0.01)
