from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.training.data.pose_dataset import read
from inkling.training.data.spans import Span
from inkling.training.errors import DataError
from inkling.training.prepare.film_people import PeopleFinder
from inkling.training.prepare.people import Films, prepare, summary
from tests.people_bundle import make_people_bundle
from tests.training.prepare.films_of_people import walkers_film

TWO = {0: (10, 10, 50, 90), 1: (70, 40, 90, 90)}


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> PeopleFinder:
    return PeopleFinder.of(make_people_bundle(tmp_path_factory.mktemp("bundles")), 10.0)


def test_class_folders_become_a_data_set_of_the_person_who_is_seen_most(tmp_path: Path, finder: PeopleFinder) -> None:
    for name in ("train/wave/a.mkv", "test/wave/b.mkv", "train/nod/c.mkv"):
        walkers_film(tmp_path / "in" / name, 1.0, TWO)
    walkers_film(tmp_path / "in" / "train/nod/nobody.mkv", 1.0, begins_s=9.0)
    done = prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, workers=1)
    assert (done.clips, done.films.made, done.empty, done.split) == (3, 4, ("train/nod/nobody.mkv",), "")
    assert summary(done, tmp_path / "out").endswith("of 4 films, 4 of them new, nobody in 1 of them")
    dataset = read(tmp_path / "out")
    assert (dataset.skeleton.name, dataset.fps) == ("coco17", 10)
    assert "colours/1" in dataset.about
    assert sorted((clip.label, clip.split, clip.group) for clip in dataset.clips) == [
        ("nod", "train", "train/nod/c.mkv"), ("wave", "test", "test/wave/b.mkv"), ("wave", "train", "train/wave/a.mkv"),
    ]  # fmt: skip
    clip = dataset.clips[0]
    np.testing.assert_allclose(clip.pts_s, np.arange(10) / 10, atol=1e-3)
    assert np.ptp(clip.keypoints[0, :, 1]) == pytest.approx(80 * 0.98, abs=2), "the tall one"


def test_everybody_may_become_a_clip_and_long_tracks_several(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "wave" / "a.mkv", 1.5, TWO)
    prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, who="all", test_share=0, workers=1)
    assert [clip.path for clip in read(tmp_path / "out").clips] == [
        "poses/00000-wave-a-1.npz", "poses/00000-wave-a-2.npz",
    ]  # fmt: skip


def test_an_index_has_groups_and_one_of_several_splits(tmp_path: Path, finder: PeopleFinder) -> None:
    for name in ("a.mkv", "b.mkv"):
        walkers_film(tmp_path / "in" / name, 1.0)
    (tmp_path / "in" / "index.csv").write_text(
        "path,label,split1,split2,group,fps\na.mkv,wave,train,test,anna,30\nb.mkv,!wave,,train,ben,30\n"
    )
    with pytest.raises(DataError, match="no column split; there are split1, split2"):
        Films.of(tmp_path / "in")
    prepare(Films.of(tmp_path / "in", "2"), tmp_path / "out", finder, workers=1)
    one, two = read(tmp_path / "out").clips
    assert (one.label, one.split, one.group) == ("wave", "test", "anna")
    assert (two.label, two.split, two.spans[0].label) == (None, "train", "!wave")
    assert [row.split for row in Films.of(tmp_path / "in", "1").rows] == ["train", "train"]


def test_spans_of_films_become_spans_of_the_tracks_that_are_seen_then(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "late.mkv", 3.0, begins_s=1.5)
    walkers_film(tmp_path / "in" / "never.mkv", 3.0, begins_s=2.2)
    (tmp_path / "in" / "clips.csv").write_text("path,label,split,group\nlate.mkv,,train,a\nnever.mkv,,test,b\n")
    (tmp_path / "in" / "spans.csv").write_text(
        "path,label,start_s,end_s\nlate.mkv,!fall,,1\nlate.mkv,fall,1,2\nlate.mkv,idle,2.5,\nnever.mkv,fall,0,1\n"
    )
    done = prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, workers=1)
    (clip,) = read(tmp_path / "out").clips
    assert clip.pts_s[0] == pytest.approx(1.5, abs=0.01), "times are those of the film"
    assert [(span.label, span.start_s, span.end_s) for span in clip.spans] == [("fall", 1, 2), ("idle", 2.5, np.inf)]
    assert done.empty == ("never.mkv",), "a test clip without any label is none"


def test_rows_of_parts_of_a_film_become_clips_of_those_parts(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "a.mkv", 3.0)
    (tmp_path / "in" / "clips.csv").write_text("path,label,start_s,end_s\na.mkv,wave,,1\na.mkv,nod,1,\n")
    prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1)
    one, two = read(tmp_path / "out").clips
    assert (one.label, len(one.pts_s), two.label, len(two.pts_s)) == ("wave", 10, "nod", 20)


def test_labels_may_depend_on_the_track(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "wave" / "a.mkv", 1.0)
    prepare(
        Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1,
        labels=lambda row, track: ("", (Span(f"!{row.label}", float(track.pts_s[0]), 0.5),)),
    )  # fmt: skip
    assert [span.label for span in read(tmp_path / "out").clips[0].spans] == ["!wave"]


def test_a_killed_preparation_continues_and_a_finished_one_is_kept(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "wave" / "a.mkv", 1.0)
    prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1)
    with pytest.raises(DataError, match="exists already"):
        prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1)
    (tmp_path / "out" / "clips.csv").unlink()
    walkers_film(tmp_path / "in" / "wave" / "b.mkv", 1.2)
    done = prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1)
    assert (done.films.made, done.clips) == (1, 2)


def test_spans_of_a_film_that_is_not_there_are_refused(tmp_path: Path) -> None:
    walkers_film(tmp_path / "wave" / "a.mkv", 0.5)
    (tmp_path / "spans.csv").write_text("path,label,start_s,end_s\nb.mkv,fall,1,2\n")
    with pytest.raises(DataError, match=r"spans\.csv:2: b\.mkv: no such film"):
        Films.of(tmp_path)
    (tmp_path / "spans.csv").write_text("path,label,start_s,end_s\nwave/a.mkv,fall,3,2\n")
    with pytest.raises(DataError, match="are no span"):
        Films.of(tmp_path)


def test_a_folder_without_people_is_refused(tmp_path: Path, finder: PeopleFinder) -> None:
    walkers_film(tmp_path / "in" / "wave" / "a.mkv", 0.5, begins_s=9.0)
    with pytest.raises(DataError, match="nobody was tracked in any film"):
        prepare(Films.of(tmp_path / "in"), tmp_path / "out", finder, test_share=0, workers=1)
