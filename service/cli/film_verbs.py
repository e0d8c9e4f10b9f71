"""The verbs that have a running server watch a film and make a file of it: `inkling annotate` and `inkling poses`."""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.client import ClientError
from inkling.service.cli.reach import add_rotate, add_server, client
from inkling.service.client.target import BUNDLE

if TYPE_CHECKING:
    from inkling.service.annotate.watch_film import WatchedFilm


def register(verbs: argparse._SubParsersAction[Any]) -> None:
    """Add the parsers; each sets `run`: takes the parsed arguments, returns the exit code."""
    annotate = verbs.add_parser("annotate", help="write a film with skeletons, actions and events drawn over it")
    annotate.add_argument("file", type=Path, help="the film")
    annotate.add_argument("out", type=Path, help="the film to write: .mp4, .mov or .mkv")
    _add_server(annotate)
    annotate.add_argument("--no-skeletons", action="store_true", help="draw boxes and bars alone")
    hidden = annotate.add_mutually_exclusive_group()
    hidden.add_argument("--blur-faces", action="store_true", help="make the faces that are found unrecognisable")
    hidden.add_argument("--skeleton-only", action="store_true", help="draw on black, without the film's pictures")
    annotate.set_defaults(run=run_annotate)

    poses = verbs.add_parser("poses", help="write the keypoints of everybody in a film as a pose file")
    poses.add_argument("file", type=Path, help="the film")
    poses.add_argument("out", type=Path, help="the pose file to write: .npz")
    _add_server(poses)
    poses.add_argument("--each", action="store_true", help="write a file for each track, OUT-1.npz, OUT-2.npz, …")
    poses.set_defaults(run=run_poses)


def run_annotate(args: argparse.Namespace) -> int:
    """Have the film watched, then draw and write it."""
    from inkling.models.resize import turned
    from inkling.models.video import VideoReader, to_rgb
    from inkling.service.annotate.film_writer import FilmWriter, check_name
    from inkling.service.annotate.overlay import EVENTS_S, Places, Style, draw

    _check_names(args.file, args.out)
    check_name(args.out)
    watched = _watch(args)
    style = Style(
        skeletons=not args.no_skeletons, black=args.skeleton_only, blur=args.blur_faces, figure=watched.figure
    )
    record, rate = watched.record, Fraction(max(watched.rate, 1.0)).limit_denominator(1001)
    places: Places = {}
    with VideoReader(args.file) as reader, FilmWriter(args.out, rate) as writer:
        for pts_s, frame in reader:
            people, events = record.people_at(pts_s), record.events_at(pts_s, EVENTS_S)
            writer.add(draw(turned(to_rgb(frame), args.rotate), people, events, pts_s, style, places), pts_s)
    seen = f"{len(record.tracks)} tracks, {sum(event.phase == 'begin' for event in record.events)} events"
    print(f"{args.out}: {writer.pictures} frames, {seen}, by {watched.bundle}")
    return 0


def run_poses(args: argparse.Namespace) -> int:
    """Have the film watched, then write the poses of everybody in it."""
    from inkling.service.annotate.poses_file import by_track, pose_arrays, save

    if args.out.suffix.lower() != ".npz":
        raise ClientError(f"{args.out}: poses are written as .npz; choose such a name")
    _check_names(args.file, args.out)
    watched = _watch(args)
    arrays = pose_arrays(watched.record, watched.size, watched.figure.name)
    files = {args.out: arrays}
    if args.each:
        files = {args.out.with_stem(f"{args.out.stem}-{track}"): rows for track, rows in by_track(arrays).items()}
    try:
        for path, rows in files.items():
            save(path, rows)
            tracks = len(set(rows["tracks"].tolist()))
            print(f"{path}: {len(rows['pts_s'])} poses of {'one person' if tracks == 1 else f'{tracks} people'}")
    except OSError as error:
        raise ClientError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return 0


def _watch(args: argparse.Namespace) -> WatchedFilm:
    from inkling.service.annotate.watch_film import watch_film

    watched = watch_film(client(args), args.file, args.bundle, rotate=args.rotate, progress=_Progress(args.file.name))
    for warning in watched.warnings:
        print(f"inkling: {warning}", file=sys.stderr)
    return watched


class _Progress:
    """How far the watching is, on a terminal: a line that is written over."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = -1

    def __call__(self, pts_s: float, duration_s: float | None) -> None:
        if not sys.stderr.isatty() or int(pts_s) == self._shown:
            return
        self._shown = int(pts_s)
        of = f" of {duration_s:.0f}" if duration_s else ""
        end = "\n" if duration_s and pts_s + 1 >= duration_s else ""
        print(f"\r{self._name}: {pts_s:.0f}{of} s watched", end=end, file=sys.stderr, flush=True)


def _check_names(film: Path, out: Path) -> None:
    """Raises ClientError, before a long film is watched in vain."""
    if out.exists() and film.exists() and out.samefile(film):
        raise ClientError(f"{out}: this is the film itself; choose another name to write")
    if not out.parent.is_dir():
        raise ClientError(f"{out.parent}: there is no such folder")


def _add_server(parser: argparse.ArgumentParser) -> None:
    add_server(parser)
    parser.add_argument("--bundle", default=BUNDLE, help=f"one that takes poses; default {BUNDLE}")
    add_rotate(parser)
