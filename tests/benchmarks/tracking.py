"""Who is who in real films: how long tracks last, how often they break, and what the motion gate costs and misses.

    INKLING_TEST_DATA=../shared/data python -m tests.benchmarks.tracking [--bundle DIR] [--cache DIR] [--least .05]

Five tables, on poses of a people bundle at 15 Hz (a look takes some 25 ms, so the whole takes minutes; --cache keeps
the poses):
- falls: in how many of UR Fall's 30 the person who is tracked at the onset has the same track 1 s after lying, for
  several thresholds. The onset and the lying are those of the front camera's labels; both cameras run together.
- films: tracks in the pedestrian film (six people walk through it, one after the other), in 38 films of a street
  camera, and in 40 of daily life with one person each.
- crossings: made-up walkers whose truth is known (`tests/models/people/walkers.py`), by IDF1.
- gate, entries: twenty seconds of the first frame, with noise, are put before each film. Somebody who gets a track
  there without the gate must get one with it, a step later at most. Falls through the gate must keep their tracks.
- gate, still rooms: first frames repeated for a minute at 10 Hz with noise and changing light: the share that is
  looked at, and what a still camera costs of one that is always looked at.

Prints JSON as its last line.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inkling.models.bundle import load_people, zoo_directory
from inkling.models.clock import Resampler
from inkling.models.people.detections import Detections
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.motion import MotionConfig, MotionGate
from inkling.models.people.tracker import PersonTracker, TrackedPeople, TrackerConfig
from inkling.models.video import VideoReader, to_rgb
from tests.models.people.walkers import best_iou, crowd, film, idf1

RATE_HZ = 15.0
STEP_S = 1 / RATE_HZ
STILL_S = 20.0
LOOK_MS = 20.0
"""Of a core, for a picture that is looked at (see the card of people/1); a gate's cost is measured against it."""
GREY = (64, 48)
PEDESTRIANS = "video_samples/intel_sample_videos/one-by-one-person-detection.mp4"

Grey = NDArray[np.uint8]
Seen = list[tuple[float, TrackedPeople | None]]
"""What the tracker said of each step; None: the gate was closed."""


@dataclass(frozen=True, slots=True)
class Film:
    """The steps of one film."""

    pts_s: NDArray[np.float64]
    found: list[Detections]
    greys: NDArray[np.uint8]
    """(T, 48, 64)"""


class Poses:
    """Films as a people bundle sees them, kept in `cache`."""

    def __init__(self, directory: Path, cache: Path | None, least: float) -> None:
        bundle = load_people(directory)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        name = bundle.spec.input.name
        thresholds = bundle.spec.thresholds.model_copy(update={"keep": least})
        self._estimator = PeopleEstimator(
            bundle.spec.model_copy(update={"thresholds": thresholds}),
            lambda images: dict(zip(names, session.run(names, {name: images}), strict=True)),
        )
        self._cache = cache

    def film(self, path: Path) -> Film:
        file = self._cache / f"{path.stem}.npz" if self._cache else None
        if file is not None and file.exists():
            with np.load(file) as stored:
                ends = np.cumsum(stored["counts"])[:-1]
                parts = (np.split(stored[name], ends) for name in ("boxes", "scores", "keypoints"))
                return Film(stored["pts_s"], [Detections(*each) for each in zip(*parts, strict=True)], stored["greys"])
        seen = self._look(path)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(
                file,
                pts_s=seen.pts_s,
                greys=seen.greys,
                counts=[len(found) for found in seen.found],
                boxes=np.concatenate([found.boxes for found in seen.found]),
                scores=np.concatenate([found.scores for found in seen.found]),
                keypoints=np.concatenate([found.keypoints for found in seen.found]),
            )
        return seen

    def _look(self, path: Path) -> Film:
        clock = Resampler(RATE_HZ, max_gap_s=float("inf"))
        pts, found, greys = [], [], []
        with VideoReader(path, threads=1) as reader:
            for pts_s, frame in reader:
                if clock.push(pts_s).steps:
                    picture = to_rgb(frame)
                    pts.append(pts_s)
                    found += self._estimator.estimate([self._estimator.prepare(picture)])
                    greys.append(small_grey(picture))
        return Film(np.array(pts), found, np.array(greys))


def small_grey(picture: NDArray[np.uint8]) -> Grey:
    small = cv2.resize(picture, GREY, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def follow(seen: Film, config: TrackerConfig, gate: MotionGate | None = None) -> Seen:
    tracker, said = PersonTracker(config), list[tuple[float, TrackedPeople | None]]()
    for pts_s, found, grey in zip(seen.pts_s.tolist(), seen.found, seen.greys, strict=True):
        looked = gate is None or gate.decide(grey, pts_s, tracker.alive > 0).open
        said.append((pts_s, tracker.update(found, pts_s) if looked else None))
    return said


def tracks_of(said: Seen) -> Counter[int]:
    """Steps in which each track is seen."""
    return Counter(track for _, people in said if people for track in people.tracks.tolist())


def outcome(said: Seen, onset_s: float, lying_s: float) -> str:
    """`kept`, `broken` or `none`: no track at the onset. Of several people, the one with the highest scores counts."""
    end_s = min(lying_s + 1, said[-1][0])
    scores: defaultdict[int, float] = defaultdict(float)
    for pts_s, people in said:
        if people and onset_s - 0.35 <= pts_s <= onset_s + STEP_S:
            for track, score in zip(people.tracks.tolist(), people.scores.tolist(), strict=True):
                scores[track] += score
    if not scores:
        return "none"
    who = max(scores, key=lambda track: scores[track])
    late = (people for pts_s, people in said if people and pts_s >= end_s - 0.35)
    return "kept" if any(who in people.tracks for people in late) else "broken"


def fall_labels(source: Path) -> dict[int, tuple[float, float]]:
    """(onset, lying) in seconds of each fall by its number."""
    with (source / "urfall_cam0_fall_labels.csv").open() as file:
        return {
            int(row["video"].split("-")[1]): (
                (int(row["first_frame_label0_falling"]) - 1) / 30,
                (int(row["first_frame_label1_lying"]) - 1) / 30,
            )
            for row in csv.DictReader(file)
        }


def falls(films: dict[str, Film], labels: dict[int, tuple[float, float]], config: TrackerConfig) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for camera, name in ((0, "front"), (1, "ceiling")):
        said = {number: follow(films[f"fall-{number:02d}-cam{camera}"], config) for number in labels}
        counts = Counter(outcome(said[number], *labels[number]) for number in labels)
        rows[name] = dict(counts) | {"tracks": sum(len(tracks_of(each)) for each in said.values())}
    return rows


def crossings(config: TrackerConfig, films: int = 12) -> dict[str, float]:
    rows = {}
    for people, rate_hz in ((4, 15), (4, 5), (8, 15)):
        scores = []
        for seed in range(films):
            rng = np.random.default_rng(seed)
            scene = film(crowd(people, rng), [i / rate_hz for i in range(8 * rate_hz)], rng)
            tracker = PersonTracker(config)
            said = [tracker.update(found, pts_s) for found, pts_s in zip(scene.found, scene.pts_s, strict=True)]
            boxes = [seen.boxes.astype(float) for seen in said]
            scores.append(idf1(scene, [seen.tracks.tolist() for seen in said], boxes))
        rows[f"{people} people at {rate_hz} Hz"] = round(float(np.mean(scores)), 3)
    return rows


def after_stillness(seen: Film, blind: bool, rng: np.random.Generator) -> Film:
    """The same film after its first frame stood still. blind: whoever is in that frame is not found meanwhile."""
    steps = round(STILL_S * RATE_HZ)
    greys = np.concatenate([np.repeat(seen.greys[:1], steps, 0), seen.greys])
    greys = np.clip(np.rint(greys + rng.normal(0, 1, greys.shape)), 0, 255).astype(np.uint8)
    pts_s = np.concatenate([np.arange(steps) / RATE_HZ, STILL_S + seen.pts_s - seen.pts_s[0]])
    before = Detections.empty(seen.found[0].keypoints.shape[1]) if blind else seen.found[0]
    return Film(pts_s, [before] * steps + seen.found, greys)


def entries(said: Seen, gated: Seen) -> list[int | None]:
    """By how many steps each track that begins in the film itself begins later through the gate; None: never."""
    late: list[int | None] = []
    known = {track for pts_s, people in said if people and pts_s < STILL_S for track in people.tracks.tolist()}
    for track in tracks_of(said):
        if track in known:
            continue
        begun, delay = None, None
        for step, (_, people) in enumerate(said):
            if people is None or track not in people.tracks:
                continue
            begun = step if begun is None else begun
            box = people.boxes[people.tracks == track][0].astype(float)
            there = gated[step][1]
            if there is not None and len(there.tracks) and best_iou(box, there.boxes.astype(float)).max() > 0.5:
                delay = step - begun
                break
        late.append(delay)
    return late


def through_the_gate(
    films: dict[str, Film], labels: dict[int, tuple[float, float]], config: TrackerConfig, blind: bool
) -> dict[str, Any]:
    late: list[int | None] = []
    kept = Counter[str]()
    looked, steps = 0, 0
    for number, (name, seen) in enumerate(sorted(films.items())):
        longer = after_stillness(seen, blind, np.random.default_rng(number))
        gated = follow(longer, config, MotionGate(MotionConfig()))
        late += entries(follow(longer, config), gated)
        looked += sum(people is not None for pts_s, people in gated if pts_s < STILL_S)
        steps += sum(pts_s < STILL_S for pts_s, _ in gated)
        if name.startswith("fall-") and name.endswith("cam0"):
            onset_s, lying_s = labels[int(name[5:7])]
            kept[outcome(gated, onset_s + STILL_S, lying_s + STILL_S)] += 1
    return {
        "entries": len(late),
        "later than a step": sum(delay is None or delay > 1 for delay in late),
        "looked at while still": round(looked / steps, 4),
        "falls in front": dict(kept),
    }


def still_rooms(films: dict[str, Film]) -> dict[str, Any]:
    """Shares of pictures that are looked at, over a minute of stillness at 10 Hz; nobody is tracked."""
    slope = np.linspace(0, 1, GREY[0])
    lights: dict[str, tuple[float, Callable[[float], Any]]] = {
        "quiet": (0.7, lambda at_s: 1.0),
        "noisy": (1.5, lambda at_s: 1.0),
        "clouds": (0.7, lambda at_s: 1 + 0.08 * np.sin(at_s / 6)),
        "a lamp at one side": (0.7, lambda at_s: 1 + 0.12 * slope * np.sin(at_s / 10)),
        "exposure": (0.7, lambda at_s: 1.12 if int(at_s / 12) % 2 else 1.0),
        "flicker": (0.7, lambda at_s: 1 + 0.02 * np.sin(at_s * 19)),
    }
    rows: dict[str, Any] = {}
    took: list[float] = []
    for name, (noise, light) in lights.items():
        shares = []
        for number, (_, seen) in enumerate(sorted(films.items())[::14]):
            rng, gate, looked = np.random.default_rng(number), MotionGate(MotionConfig()), 0
            for step in range(600):
                picture = seen.greys[0] * light(step / 10) + rng.normal(0, noise, seen.greys[0].shape)
                grey = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
                began = time.perf_counter()
                looked += gate.decide(grey, step / 10, tracked=False).open
                took.append(time.perf_counter() - began)
            shares.append(looked / 600)
        rows[name] = round(float(np.mean(shares)), 4)
    gate_ms = float(np.median(took)) * 1e3
    picture = np.zeros((480, 640, 3), np.uint8)
    began = time.perf_counter()
    for _ in range(200):
        small_grey(picture)
    grey_ms = (time.perf_counter() - began) / 200 * 1e3
    worst = max(rows.values())
    rows |= {"gate_ms": round(gate_ms, 3), "grey_ms": round(grey_ms, 3)}
    rows["cost of a still camera"] = round(worst + (gate_ms + grey_ms) / (LOOK_MS + gate_ms + grey_ms), 4)
    return rows


def tracker_ms() -> dict[str, float]:
    """Median of an update with so many people in view."""
    rows = {}
    for people in (1, 3, 10, 20):
        rng = np.random.default_rng(0)
        walkers = [replace(walker, speed=walker.speed / 20) for walker in crowd(people, rng)]
        walkers = [replace(walker, x=60 + 28.0 * i, height=60) for i, walker in enumerate(walkers)]
        scene = film(walkers, [i / RATE_HZ for i in range(150)], rng)
        tracker, took = PersonTracker(TrackerConfig()), []
        for found, pts_s in zip(scene.found, scene.pts_s, strict=True):
            began = time.perf_counter()
            tracker.update(found, pts_s)
            took.append(time.perf_counter() - began)
        rows[str(people)] = round(float(np.median(took)) * 1e3, 3)
    return rows


def paths(data: Path) -> Iterator[Path]:
    for folder in ("fall", "adl", "fight", "nofight"):
        yield from sorted((data / "urfall" / "videos" / folder).glob("*.mp4"))
    yield data / PEDESTRIANS


def measure(data: Path, poses: Poses) -> dict[str, Any]:
    labels = fall_labels(data / "urfall")
    films = {path.stem: poses.film(path) for path in paths(data)}
    config = TrackerConfig()
    figures: dict[str, Any] = {"falls": {}, "films": {}}
    chosen = (config.begin_score, config.keep_score)
    for begin, keep in ((0.3, 0.3), (0.2, 0.2), (0.2, 0.08), (0.2, 0.05), chosen):
        sure = max(config.sure_score, begin)
        wanted = replace(config, begin_score=begin, keep_score=keep, sure_score=sure)
        figures["falls"][f"begin {begin}, keep {keep}"] = falls(films, labels, wanted)
    for kind, of in (("pedestrians", Path(PEDESTRIANS).stem), ("fight", "fi"), ("no fight", "nofi"), ("daily", "adl")):
        said = [follow(seen, config) for name, seen in films.items() if name.startswith(of)]
        figures["films"][kind] = {"films": len(said), "tracks": sum(len(tracks_of(each)) for each in said)}
    figures["crossings"] = crossings(config)
    figures["gate"] = {
        "as it is": through_the_gate(films, labels, config, blind=False),
        "nobody found while still": through_the_gate(films, labels, config, blind=True),
    }
    figures["still"] = still_rooms(films)
    figures["tracker_ms"] = tracker_ms()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--bundle", type=Path, default=zoo_directory() / "people" / "1")
    parser.add_argument("--cache", type=Path, help="directory that keeps the poses")
    parser.add_argument("--least", type=float, default=0.05, help="people below this score are not kept (.05)")
    arguments = parser.parse_args()
    data = os.environ.get("INKLING_TEST_DATA")
    if not data:
        parser.error("set INKLING_TEST_DATA to the directory with urfall/ and video_samples/")
    figures = measure(Path(data), Poses(arguments.bundle, arguments.cache, arguments.least))
    for name, rows in figures.items():
        print(name, *(f"  {row}: {value}" for row, value in rows.items()), sep="\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
