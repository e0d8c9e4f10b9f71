"""Films -> poses of the people in them, found and tracked as the service does it: a data set folder of poses.

The source is a folder of class folders (`LABEL/*.mp4`, or `train|val|test/LABEL/*.mp4`), or has a table: `clips.csv`,
or `index.csv`, which may have more columns and several splits. A `spans.csv` beside it labels parts of films, in the
films' own seconds.

What was found in a film is kept in `OUT/people`, keyed by the film's content, the people bundle and the settings: a
killed preparation continues, and films are looked at once only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from inkling.models.bundle import PeopleSpec
from inkling.models.people.tracker import TrackerConfig
from inkling.training.data.frame_dataset import Row
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import CLIPS_FILE, DatasetFile
from inkling.training.data.spans import SPANS_FILE, Span, read_spans
from inkling.training.errors import DataError, Problem
from inkling.training.labels import NOT
from inkling.training.prepare.film_people import PeopleFinder, find_people, read_people
from inkling.training.prepare.source_rows import VIDEO_ENDINGS, find_rows
from inkling.training.prepare.splits import TEST_SHARE, group_of, with_test_split
from inkling.training.prepare.tracks import LEAST_S, FilmPeople, Track, main_track, tracks_of
from inkling.training.prepare.workers import Broken, Made, VideoDone, make_all

KEPT = "people"
"""The folder of what was found in films."""
Who = Literal["main", "all"]
"""Whose poses become clips: of each film the one person who is seen most, or everybody's."""

Labels = tuple[str, Sequence[Span]]
"""The label of a clip, or its spans and an empty label."""


@dataclass(frozen=True, slots=True)
class Films:
    """What is to be prepared. spans: of films, by their path; the label of such a film's rows only draws a split."""

    source: Path
    rows: tuple[Row, ...]
    spans: Mapping[str, Sequence[Span]]

    @classmethod
    def of(cls, source: Path | str, split: str = "") -> Films:
        """What a folder says of its films. split: of an `index.csv` with several, which one: `1` is `split1`.

        Raises DataError.
        """
        source = Path(source)
        spans, problems = read_spans(source)
        if problems:
            raise DataError(problems)
        rows = find_rows(source, VIDEO_ENDINGS, split=split, labels={path: of[-1].label for path, of in spans.items()})
        unknown = [
            Problem(source / SPANS_FILE, of[0].row, f"{path}: no such film")
            for path, of in spans.items()
            if path not in {row.path for row in rows}
        ]
        if unknown:
            raise DataError(unknown)
        return cls(source, tuple(rows), spans)

    def labels_of(self, row: Row, track: Track) -> Labels:
        """As the tables say: the spans of a film that has some, else the row's label."""
        if row.path in self.spans:
            return "", within(self.spans[row.path], track)
        if row.label.startswith(NOT):
            return "", (Span(row.label),)
        return row.label, ()


@dataclass(frozen=True, slots=True)
class PreparedPeople:
    """What a preparation did. clips: written. empty: films in which nobody was tracked. rows: a row for each clip.
    split: a sentence on test films that were drawn, else empty."""

    films: Made
    clips: int
    empty: tuple[str, ...]
    rows: tuple[Row, ...]
    split: str


def prepare(
    films: Films,
    out: Path | str,
    finder: PeopleFinder,
    *,
    who: Who = "main",
    labels: Callable[[Row, Track], Labels] | None = None,
    least_s: float = LEAST_S,
    broken: Broken = "fail",
    workers: int | None = None,
    test_share: float = TEST_SHARE,
    kept: Path | None = None,
    about: str = "",
    terms: str = "",
    progress: VideoDone = lambda done, total, what: None,
) -> PreparedPeople:
    """Prepare all films into the folder `out`.

    labels: of a track of a row, by default as the tables say. least_s: shorter tracks are left out. kept: where what
    was found in films is kept, by default in `out`. Raises DataError with every problem found, before any film is
    looked at where `out` has a finished data set.
    """
    out = Path(out)
    if (out / CLIPS_FILE).exists():
        raise DataError([Problem(out / CLIPS_FILE, None, "exists already; choose another folder or remove it")])
    folder = kept or out / KEPT
    paths = sorted({row.path for row in films.rows})
    done = make_all(find_people, films.source, paths, folder, finder, broken=broken, workers=workers, progress=progress)
    split = with_test_split([row for row in films.rows if row.path in done.names], test_share)
    spec = finder.spec
    config = tracker_config(spec)
    written: list[tuple[Row, NewClip]] = []
    empty: list[str] = []
    for number, row in enumerate(split.rows):
        film = read_people(folder / done.names[row.path]).between(row.start_s, row.end_s)
        clips = list(_clips(f"{number:05d}", row, film, config, who, least_s, labels or films.labels_of))
        written += [(row, clip) for clip in clips]
        empty += [] if clips else [row.path]
    if not written:
        raise DataError([Problem(films.source, None, "nobody was tracked in any film")])
    told = f"Poses found in films by {spec.full_name}."
    about = f"{about} {told}" if about else told
    description = DatasetFile(skeleton=spec.skeleton.name, fps=finder.rate_hz, about=about, terms=terms)
    count = write(out, description, (clip for _, clip in written))
    rows = tuple(row for row, _ in written)
    return PreparedPeople(done, count, tuple(empty), rows, split.sentence)


def tracker_config(spec: PeopleSpec) -> TrackerConfig:
    """How the people of a bundle are followed: as the service does it where no setting says otherwise."""
    return TrackerConfig.of(spec.skeleton.name, spec.thresholds.begin, spec.thresholds.keep)


def within(spans: Sequence[Span], track: Track) -> tuple[Span, ...]:
    """The spans in which a track has a frame."""
    return tuple(span for span in spans if span.covers(track.pts_s).any())


def _clips(
    number: str,
    row: Row,
    film: FilmPeople,
    config: TrackerConfig,
    who: Who,
    least_s: float,
    labels: Callable[[Row, Track], Labels],
) -> Iterator[NewClip]:
    """The clips of a row. number: begins their names."""
    tracks = tracks_of(film, config, least_s)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(Path(row.path).with_suffix("")))
    for track in main_track(tracks) if who == "main" else tracks:
        for part, piece in enumerate(track.parts()):
            label, spans = labels(row, piece)
            if not label and not spans and row.split != "train":
                continue  # there is no answer to compare with
            clip = NewClip(
                f"{number}-{name}-{track.number}", piece.keypoints, label, row.split, group_of(row), piece.pts_s,
                tuple(spans),
            )  # fmt: skip
            yield replace(clip, name=f"{clip.name}-{part}") if part else clip


def summary(done: PreparedPeople, out: Path) -> str:
    """A preparation in a line."""
    films = done.films
    skipped = f", {len(films.skipped)} broken ones left out" if films.skipped else ""
    empty = f", nobody in {len(done.empty)} of them" if done.empty else ""
    return f"{done.clips} clips in {out}, of {len(films.names)} films, {films.made} of them new{skipped}{empty}"
