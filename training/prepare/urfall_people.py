"""UR Fall Detection -> poses of the people in it, labelled by step: `fall` while somebody falls, and when nobody does.

The data set says when a fall begins and when the person lies. The beginning is one second before the lying by rule, and
seldom the moment at which balance is lost: so its first part has no label. What comes after lying has none for a while
too: a fall is still to be seen, and no longer to be warned of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

from inkling.training.data.frame_dataset import Row
from inkling.training.data.spans import Span
from inkling.training.errors import DataError, Problem
from inkling.training.labels import NOT
from inkling.training.prepare import people, urfall
from inkling.training.prepare.film_people import PeopleFinder
from inkling.training.prepare.people import Films, Labels, PreparedPeople, within
from inkling.training.prepare.tracks import Track
from inkling.training.prepare.workers import VideoDone

FALL, IDLE = "fall", "idle"
UNSURE_S = 0.3
"""Seconds after the beginning that have no label."""
AFTER_S = 0.3
"""Seconds after lying that are still the fall."""
SETTLED_S = 0.8
"""Seconds after lying from which on the person is idle."""
LATE_S = 0.5
"""A track that begins more than this after the fall does is none of a fall: what is left of it looks like nothing."""
NAME = "urfall-people"
Tested = Callable[[int], bool]
"""Whether an event is tested, by its number."""


def films(source: Path, tested: Tested = lambda event: False) -> tuple[Films, Callable[[Row, Track], Labels]]:
    """The films of a download, and the labels of their tracks. tested: which events are; the others train.

    Both cameras of a fall are of one event. Raises DataError.
    """
    known = urfall.times(source / urfall.LABELS_FILE)
    rows: list[Row] = []
    for folder, pattern in (("fall", "fall-*.mp4"), ("adl", "adl-*.mp4")):
        for path in sorted((source / "videos" / folder).glob(pattern)):
            event = path.stem.rsplit("-", 1)[0]
            if folder == "fall" and event not in known:
                raise DataError([Problem(source / urfall.LABELS_FILE, None, f"says nothing of {event}")])
            split = "test" if tested(int(event.rsplit("-", 1)[1])) else "train"
            row = {"line": 0, "path": f"{folder}/{path.name}", "label": FALL, "split": split, "group": event}
            rows.append(Row.model_validate(row))
    if not rows:
        raise DataError([Problem(source, None, "has no videos/fall/fall-*.mp4")])

    def labels(row: Row, track: Track) -> Labels:
        times = known.get(row.group)
        return "", within(spans_of(times, float(track.pts_s[0])), track)

    return Films(source / "videos", tuple(rows), {}), labels


def spans_of(times: tuple[float, float] | None, begins_s: float) -> tuple[Span, ...]:
    """The labels of a track that begins at `begins_s`. times: at which the film's fall begins, and at which the person
    lies; None: nobody falls in it."""
    if times is None:
        return (Span(f"{NOT}{FALL}"),)
    onset_s, lies_s = times
    quiet = (Span(f"{NOT}{FALL}", -inf, onset_s), Span(IDLE, lies_s + SETTLED_S, inf))
    if begins_s > onset_s + LATE_S:
        return quiet[1:]
    return (quiet[0], Span(FALL, onset_s + UNSURE_S, lies_s + AFTER_S), quiet[1])


def prepare(
    source: Path,
    out: Path,
    finder: PeopleFinder,
    *,
    workers: int | None = None,
    progress: VideoDone = lambda done, total, what: None,
) -> Iterator[tuple[Path, PreparedPeople]]:
    """Write `OUT/urfall-people`, to train on all, and beside it `urfall-people-folds/K/urfall-people`, to test on fold
    K, and `urfall-people-kinds/K/urfall-people`, to test on a kind of fall that was not learned: 1 from standing (odd
    events), 2 from a chair (even ones).

    Films are looked at once; all folders use what was found. Raises DataError.
    """
    folders: dict[Path, Tested] = {out / NAME: lambda event: False}
    folders |= {out / f"{NAME}-folds" / str(k) / NAME: _in_fold(k) for k in range(1, urfall.FOLDS + 1)}
    folders |= {out / f"{NAME}-kinds" / str(k) / NAME: _of_kind(k) for k in (1, 2)}
    for folder, tested in folders.items():
        found, labels = films(source, tested)
        yield (
            folder,
            people.prepare(
                found, folder, finder,
                who="all", labels=labels, workers=workers, test_share=0, kept=out / NAME / people.KEPT,
                about=urfall.ABOUT, terms=urfall.TERMS, progress=progress,
            ),
        )  # fmt: skip


def _in_fold(fold: int) -> Tested:
    return lambda event: urfall.fold_of(event) == fold


def _of_kind(kind: int) -> Tested:
    return lambda event: event % 2 == kind % 2
