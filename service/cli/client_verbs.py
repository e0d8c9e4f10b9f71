"""The verbs that talk to a running server: `inkling stream`, `inkling score` and `inkling demo`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from inkling.client import ClientError, RemoteError, Stream, Timeline, TimelineEntry
from inkling.service.cli.people_board import PeopleBoard
from inkling.service.cli.reach import add_rotate, add_server, client
from inkling.service.client.people import Frame
from inkling.service.client.pose_files import guess_skeleton, read_frames
from inkling.service.client.target import BUNDLE
from inkling.service.client.wording import happening, in_advance
from inkling.service.demo.clip import FPS, TURN_S, clip, save
from inkling.service.demo.figure import ACTIONS
from inkling.service.protocol.codec import DecisionMessage, Event, PeopleMessage, Prediction, encode

if TYPE_CHECKING:
    from rich.console import Console


def register(verbs: argparse._SubParsersAction[Any]) -> None:
    """Add the parsers; each sets `run`: takes the parsed arguments, returns the exit code."""
    stream = verbs.add_parser("stream", help="play poses, a film or a camera into a running server")
    stream.add_argument(
        "file", type=Path, nargs="?", help="poses: .npz (keypoints, pts_s) or .jsonl (a pose message a line)"
    )
    stream.add_argument("--video", metavar="SOURCE", help="a video file, a camera's number, or its address (rtsp://…)")
    stream.add_argument("--people", action="store_true", help="also print who is in each frame of the video, and where")
    stream.add_argument("--seconds", type=float, help="of the video; default: all of it")
    add_rotate(stream)
    stream.add_argument("--plain", action="store_true", help="print lines, as it does when the output is no terminal")
    _add_server(stream)
    _add_poses(stream)
    stream.add_argument("--fast", action="store_true", help="as fast as the server takes it, not in real time")
    stream.add_argument("--json", action="store_true", help="print the protocol's messages, one a line")
    stream.set_defaults(run=run_stream)

    score = verbs.add_parser("score", help="send a whole clip to a running server and print the timeline")
    score.add_argument(
        "file", type=Path, help="poses (.npz, .npy, .json, .csv), a folder of OpenPose's frames, or a video"
    )
    _add_server(score)
    _add_poses(score)
    score.add_argument("--json", action="store_true", help="print the server's answer as it is")
    score.set_defaults(run=run_score)

    demo = verbs.add_parser("demo", help="let a figure exercise before a running server, and watch it being recognised")
    _add_server(demo)
    demo.add_argument("--video", metavar="FILE", help="play a film instead of the figure")
    add_rotate(demo)
    demo.add_argument("--action", choices=("cycle", *ACTIONS), default="cycle", help="default: all of them in turn")
    demo.add_argument("--seconds", type=float, help="end after so many seconds; default: until Ctrl-C")
    demo.add_argument("--plain", action="store_true", help="print lines, as it does when the output is no terminal")
    demo.add_argument(
        "--save", type=Path, metavar="FILE", help="write the figure as a pose clip, .npz or .json; no server"
    )
    demo.add_argument("--fps", type=float, default=FPS, help=f"frames a second of the saved clip; default {FPS:g}")
    demo.set_defaults(run=run_demo, fast=False, json=False, people=False)


def run_stream(args: argparse.Namespace) -> int:
    """Play poses or a video; predictions go to stdout, the summary and refusals to stderr."""
    if (args.file is None) is (args.video is None):
        raise ClientError("name one thing to play: a pose file, or --video with a file, a camera's number or address")
    if args.video is not None:
        return _stream_video(args)
    fps = 30.0 if args.fps is None else args.fps
    skeleton = args.skeleton or guess_skeleton(args.file, fps)
    frames = _paced(read_frames(args.file, fps), fast=args.fast)
    policy: Literal["block", "drop_oldest"] = "block" if args.fast else "drop_oldest"
    with client(args).stream(
        args.bundle,
        skeleton=skeleton,
        policy=policy,
        unknown=True,
        on_event=_event_teller(args.json),
        on_error=_complain,
        on_decision=_teller(args.json),
        error_rate=args.error_rate,
    ) as stream:
        for prediction in _play(stream, frames):
            _write(encode(prediction) if args.json else _line(prediction))
        _sum_up(stream, args.json)
    return 0


def _stream_video(args: argparse.Namespace) -> int:
    """Play a video with a row a person on a terminal, else a line a prediction and event."""
    from inkling.service.cli.play import play_video  # the other verbs need no OpenCV
    from inkling.service.client.capture import open_capture

    console = None if args.plain or args.json else _terminal()
    board = PeopleBoard()
    tell_event, tell_people = _event_teller(args.json), _people_teller(args.json) if args.people else None
    with open_capture(args.video) as capture:
        policy: Literal["block", "drop_oldest"] = "block" if args.fast and not capture.live else "drop_oldest"
        with (
            client(args).stream(
                args.bundle,
                input="frame",
                policy=policy,
                unknown=True,
                on_people=board.saw if console else tell_people,
                on_event=board.event if console else tell_event,
                on_error=_complain,
                on_decision=board.decision if console else _teller(args.json),
                error_rate=args.error_rate,
            ) as stream,
            contextlib.suppress(KeyboardInterrupt),
        ):
            if console is not None:
                from inkling.service.cli.film import show_video

                show_video(
                    stream,
                    board,
                    capture,
                    _name(args.video),
                    console,
                    fast=args.fast,
                    seconds=args.seconds,
                    rotate=args.rotate,
                )
            else:
                for prediction in play_video(stream, capture, fast=args.fast, seconds=args.seconds, rotate=args.rotate):
                    _write(encode(prediction) if args.json else _line(prediction))
        _sum_up(stream, args.json)
    return 0


def _terminal() -> Console | None:
    """The terminal to draw on; None: the output is none, or rich is not installed."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    console = Console()
    return console if console.is_terminal else None


def _sum_up(stream: Stream, as_json: bool) -> None:
    if (end := stream.summary) is not None:
        text = f"{end.received} frames: {end.stepped} stepped, {end.skipped} skipped, {end.dropped} dropped"
        _write(encode(end) if as_json else text, None if as_json else sys.stderr)


def _name(source: str) -> str:
    """What a source is called on the screen; of an address only that it is one, for it may hold a password."""
    return f"camera {source}" if source.isdecimal() else "camera" if "://" in source else Path(source).stem


def run_score(args: argparse.Namespace) -> int:
    """Score a clip; what happened when goes to stdout, warnings to stderr."""
    skeleton = args.skeleton or (guess_skeleton(args.file) if args.file.suffix.lower() == ".npz" else None)
    options = {"skeleton": skeleton, "fps": args.fps, "error_rate": args.error_rate}
    timeline = client(args).score(args.file, args.bundle, **options)
    for warning in timeline.warnings:
        _write(f"inkling: {warning}", sys.stderr)
    if args.json:
        _write(json.dumps(timeline.raw))
        return 0
    if timeline.lead_s:
        _write(f"each label is of {timeline.lead_s:.2g} s after the times beside it")
    _write(f"{'from':>8} {'to':>8}  {'track':>5}  {'label':<20} {'mean':>5}  next best")
    for track in timeline.tracks:
        for row in _spans(timeline, track):
            _write(row)
        for event in timeline.events:
            if event.track == track:
                _write(_happened(event))
    for decision in timeline.decisions:
        _write(_decided(decision))
    return 0


def run_demo(args: argparse.Namespace) -> int:
    """Show the figure, or a film, until `--seconds` are over or Ctrl-C; or save the figure's poses."""
    if args.save is not None:
        seconds = args.seconds or TURN_S * (len(ACTIONS) if args.action == "cycle" else 1)
        save(args.save, clip(args.action, seconds, args.fps), args.fps)
        _write(f"{seconds:g} s of {args.action} at {args.fps:g} frames a second in {args.save}")
        return 0
    if args.video is not None:
        return _stream_video(args)
    from rich.console import Console

    from inkling.service.cli.live import Feed, show

    feed = Feed()
    with (
        client(args).stream(
            args.bundle,
            skeleton="coco17",
            on_event=feed.event,
            on_error=_complain,
            on_decision=feed.decision,
            error_rate=args.error_rate,
        ) as stream,
        contextlib.suppress(KeyboardInterrupt),
    ):
        show(stream, feed, args.action, args.seconds, Console(), args.plain)
    return 0


def _add_server(parser: argparse.ArgumentParser) -> None:
    add_server(parser)
    parser.add_argument("--bundle", default=BUNDLE, help=f"default {BUNDLE}")
    parser.add_argument(
        "--error-rate", type=float, metavar="SHARE", help="decide early, wrong at most so often: 0.1, if promised"
    )


def _add_poses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skeleton", help="the poses' skeleton; default: the usual one of as many joints")
    parser.add_argument("--fps", type=float, help="frames a second, when the file does not say")


def _paced(frames: Iterable[tuple[float, Frame]], fast: bool) -> Iterator[tuple[float, Frame]]:
    """When each frame is due on the monotonic clock (in the past when `fast`), and the frame."""
    began = time.monotonic()
    for due_s, frame in frames:
        yield (0.0 if fast else began + due_s), frame


def _play(stream: Stream, frames: Iterable[tuple[float, Frame]]) -> Iterator[Prediction]:
    for due, (pts_s, people) in frames:
        yield from stream.received(max(due - time.monotonic(), 0.0))
        stream.send(people, pts_s)
    yield from stream.finish()


def _spans(timeline: Timeline, track: int | str) -> Iterator[str]:
    """A line for each stretch of a track in which one label leads."""
    entries = (entry for entry in timeline.entries if entry.track == track)
    for best, group in groupby(entries, key=_leader):
        rows = list(group)
        mean = np.mean([row.probabilities for row in rows], axis=0)
        others = [i for i in np.argsort(-mean) if i != best][:2]
        rest = ", ".join(f"{timeline.labels[i]} {mean[i]:.0%}" for i in others)
        times = f"{rows[0].pts_s:8.2f} {rows[-1].pts_s:8.2f}"
        yield f"{times}  {track:>5}  {timeline.labels[best]:<20} {mean[best]:5.0%}  {rest}"


def _leader(entry: TimelineEntry) -> int:
    return int(np.argmax(entry.probabilities))


def _line(prediction: Prediction) -> str:
    note = f"  (reset: {prediction.reset})" if prediction.reset else ""
    note = note if prediction.unknown is None else f"  unknown {prediction.unknown:4.0%}{note}"
    share = max(prediction.probabilities)
    what = f"{in_advance(prediction)}{prediction.label}"
    return f"{prediction.pts_s:8.2f} s  track {prediction.track}  {what:<20} {share:5.0%}{note}"


def _decided(decision: DecisionMessage) -> str:
    label = f"{in_advance(decision)}{decision.label}"
    what = f"{decision.pts_s:8.2f} s  track {decision.track}  decided: {label} ({decision.probability:.0%})"
    return f"{what} after {decision.elapsed_s:.2f} s, at most {decision.error_rate:.0%} wrong"


def _happened(event: Event) -> str:
    return f"{event.pts_s:8.2f} s  track {event.track}  {happening(event):<20} {event.probability:5.0%}"


def _teller(as_json: bool) -> Callable[[DecisionMessage], None]:
    return lambda decision: _write(encode(decision) if as_json else _decided(decision))


def _event_teller(as_json: bool) -> Callable[[Event], None]:
    return lambda event: _write(encode(event) if as_json else _happened(event))


def _people_teller(as_json: bool) -> Callable[[PeopleMessage], None]:
    return lambda seen: _write(encode(seen) if as_json else _where(seen))


def _where(seen: PeopleMessage) -> str:
    """Who is in a frame, and their boxes."""
    people = (f"#{one.track} at {' '.join(f'{edge:.0f}' for edge in one.box)} ({one.score:.0%})" for one in seen.people)
    return f"{seen.pts_s:8.2f} s  {', '.join(people) or 'nobody'}"


def _complain(error: RemoteError) -> None:
    _write(f"inkling: {error}", sys.stderr)


def _write(text: str, to: Any = None) -> None:
    (to or sys.stdout).write(text + "\n")
