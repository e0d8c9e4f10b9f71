"""Have a server watch a film: every frame is sent, nothing is lost on the way, and what comes back is collected.

The pixels are sent as the film has them, so that the numbers are those of scoring the film (`POST /v1/clips`); of
large frames a reduced copy is sent, which changes them a little (see `Stream.send_image`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inkling.models.resize import Turn, turned
from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate.figure import Figure
from inkling.service.annotate.film_record import FilmRecord
from inkling.service.client.blocking import Client
from inkling.service.client.errors import RemoteError
from inkling.service.client.target import BUNDLE

MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class WatchedFilm:
    """A film and what was said of it. size: width and height of its pictures, upright. rate: frames a second.

    figure: what keypoints are. warnings: what was wrong with the file, or refused by the server.
    """

    record: FilmRecord
    size: tuple[int, int]
    frames: int
    rate: float
    bundle: str
    figure: Figure
    warnings: list[str]


def watch_film(
    client: Client,
    path: Path,
    bundle: str = BUNDLE,
    *,
    error_rate: float | None = None,
    rotate: Turn = 0,
    progress: Callable[[float, float | None], None] = lambda pts_s, duration_s: None,
) -> WatchedFilm:
    """Send the film and collect the answers. rotate: by so much each picture is turned first.

    progress: called with each frame's time and the film's length, if known.

    Raises VideoError, Unreachable, RemoteError, ClientError.
    """
    refused: list[str] = []

    def refuse(error: RemoteError) -> None:
        if len(refused) < MOST_WARNINGS:
            refused.append(str(error))

    record = FilmRecord(())
    size, frames, pts_s, first_s = (0, 0), 0, 0.0, 0.0
    with (
        VideoReader(path) as reader,
        client.stream(
            bundle,
            input="frame",
            policy="block",
            unknown=True,
            error_rate=error_rate,
            on_people=record.saw,
            on_event=record.event,
            on_decision=record.decision,
            on_prediction=record.predicted,
            on_error=refuse,
        ) as stream,
    ):
        record.labels, record.unknown_above = stream.labels, stream.ready.unknown_above
        for pts_s, frame in reader:
            picture = turned(to_rgb(frame), rotate)
            size = picture.shape[1], picture.shape[0]
            first_s = first_s if frames else pts_s
            frames += 1
            stream.send_image(picture, pts_s, raw=True)
            progress(pts_s, reader.duration_s)
    rate = (frames - 1) / (pts_s - first_s) if frames > 1 else 1.0
    name = f"{stream.ready.bundle} {stream.ready.version}"
    return WatchedFilm(record, size, frames, rate, name, Figure.of(stream.skeleton), [*reader.warnings, *refused])
