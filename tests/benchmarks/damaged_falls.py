"""Falls that damage makes up: quiet clips of UR Fall, damaged on the way, through a real server on `fall-watch`.

    INKLING_TEST_DATA=../shared/data python -m tests.benchmarks.damaged_falls

The first 12 clips of daily life (`urfall/videos/adl`) are encoded anew: as H.264 in a transport stream, with a key
frame every 30 or 50 frames, or refreshed bit by bit without any; and as MJPEG. Of the one, packets are lost; of the
other, one JPEG in 90 lacks its lower half. All are sent to `/v1/clips`, the JPEGs to `/v1/stream` too. Counted are the
falls beyond those of the same encoding undamaged, and the share of steps that are left. Three films of falls come
first: where none of them counts, nothing that follows would mean anything. Prints JSON as its last line.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import httpx

from inkling.client import Client
from inkling.models.video import VideoReader, to_rgb
from inkling.service.settings import Settings
from tests.films import jpeg_film, lose_packets, make_film
from tests.service.conftest import Running, running

CLIPS = 12
SHARES = (0.0, 0.01, 0.03)
CUT_EVERY = 90
H264 = {
    "h264, a key frame in 30": {"g": "30"},
    "h264, a key frame in 50": {"g": "50"},
    "h264, a key frame in 50, others refer to it alone": {"g": "50", "x264-params": "ref=1:bframes=2:b-pyramid=0"},
    "h264, refreshed bit by bit": {"x264-params": "keyint=30:intra-refresh=1"},
}


def main() -> None:
    videos = sorted((Path(os.environ["INKLING_TEST_DATA"]) / "urfall/videos/adl").glob("*.mp4"))[:CLIPS]
    falls = sorted((Path(os.environ["INKLING_TEST_DATA"]) / "urfall/videos/fall").glob("*-cam0.mp4"))[:3]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name, serving() as server:
        seen = sum(clip(server, path)[0] for path in falls)
        if not seen:
            raise RuntimeError("no fall is counted in films of falls")
        for number, video in enumerate(videos):
            with VideoReader(video, threads=1) as reader:
                timed = [(pts_s, to_rgb(frame)) for pts_s, frame in reader]
            times, images = [pts_s for pts_s, _ in timed], [image for _, image in timed]
            for kind, options in H264.items():
                path = make_film(
                    Path(name) / "film.ts", images, times, "libx264", "yuv420p",
                    options={"crf": "20", "threads": "1", "preset": "veryfast", **options}, base=Fraction(1, 30),
                )  # fmt: skip
                whole = clip(server, path)
                for share in SHARES[1:]:
                    note(found, f"{kind}, {share:.0%} lost", whole, clip(server, lose_packets(path, share, number)))
            jpegs = [
                cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes() for image in images
            ]
            cut = [data[: len(data) // 2] if i % CUT_EVERY == CUT_EVERY // 2 else data for i, data in enumerate(jpegs)]
            films = [jpeg_film(Path(name) / f"{i}.avi", some, 320, 240) for i, some in enumerate((jpegs, cut))]
            note(found, "mjpeg, one in 90 cut", *(clip(server, path) for path in films))
            note(found, "jpeg over a stream, one in 90 cut", *(stream(server, some, times) for some in (jpegs, cut)))
            print(video.name, {kind: one["false_falls"] for kind, one in found.items()}, flush=True)
    for one in found.values():
        one["steps_left"] = round(one["steps"] / one.pop("whole_steps"), 3)
    print(json.dumps({"falls_in_three_films_of_falls": seen, **found}))


@contextlib.contextmanager
def serving() -> Iterator[Running]:
    with running(Settings.model_validate({"port": 0, "load": ["fall-watch"], "engine": {"threads": 1}})) as server:
        yield server


def clip(server: Running, path: Path) -> tuple[int, int]:
    """Falls and steps."""
    answer = httpx.post(f"{server.url}/v1/clips?bundle=fall-watch", content=path.read_bytes(), timeout=60)
    if answer.status_code == 422:  # nothing was left of it
        return 0, 0
    told = answer.raise_for_status().json()
    return sum(one["phase"] == "begin" and one["label"] == "fall" for one in told["events"]), len(told["timeline"])


def stream(server: Running, jpegs: list[bytes], times: list[float]) -> tuple[int, int]:
    """Falls and steps."""
    falls: list[Any] = []
    refused: list[Any] = []
    with Client(server.url).stream(
        "fall-watch", input="frame", policy="block", on_event=falls.append, on_error=refused.append
    ) as told:
        for jpeg, pts_s in zip(jpegs, times, strict=True):
            told.send_image(jpeg, pts_s)
        steps = len(list(told.finish()))
    return sum(one.phase == "begin" and one.label == "fall" for one in falls), steps


def note(found: dict[str, dict[str, float]], kind: str, whole: tuple[int, int], damaged: tuple[int, int]) -> None:
    one = found.setdefault(kind, {"false_falls": 0, "own_falls": 0, "steps": 0, "whole_steps": 0})
    one["false_falls"] += max(damaged[0] - whole[0], 0)
    one["own_falls"] += whole[0]
    one["steps"] += damaged[1]
    one["whole_steps"] += whole[1]


if __name__ == "__main__":
    main()
