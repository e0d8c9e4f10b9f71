"""Cameras with people in view, from JPEG to prediction: how many a core holds, and how close that is to a bare loop.

    python -m tests.benchmarks.eyes [--rounds 5] [--seconds 2]
    python -m tests.benchmarks.eyes --mediapipe-python PYTHON --pose-task pose_landmarker_lite.task
    python -m tests.benchmarks.eyes --people-bundle people-int8

640 x 480 JPEGs of films (INKLING_TEST_DATA; without it a made-up shape) on `body-actions`: decoded, people found in a
picture of 192 x 256, tracked, stepped, answered. served: frames a second over WebSocket with every stream's credits
used up, by a server on one core, the sender on another. bare: the same parts called in a loop by one thread on the
server's core, at the best batch. busy cameras see people; a still one sees an empty place with a camera's noise, whose
pictures are decoded, and passed over by the motion gate. cameras: frames a second / 15. p99: from sent to answered, of
half as many cameras at 15 Hz. MediaPipe: its pose landmarker for one person and the same step, in a loop on that core,
on the same JPEGs (`alternatives/mediapipe_loop.py`), by a Python that has mediapipe, onnxruntime and OpenCV.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inkling.models import skeletons
from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, Registry, initial_state, load, load_people, zoo_directory
from inkling.models.bundle.schema import PoseInput
from inkling.models.calibration import probabilities
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.motion import MotionConfig, MotionGate
from inkling.models.people.tracker import PersonTracker
from inkling.service.engine.onnx_engine import Engine
from inkling.service.inputs.frame_mapper import ImageLimits
from inkling.service.perception.camera import Camera
from inkling.service.perception.people_model import PeopleModel, people_model
from inkling.service.perception.perceiver import in_camera_pixels
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.perception.picture_mapper import PictureMapper
from inkling.service.protocol.image_binary import pack_image, unpack_image
from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.eyes_films import Films, read_films, write_films
from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import BenchmarkFailed, asked, cores, output_of, sent, service
from tests.benchmarks.streams import Group

BUNDLE = "body-actions"
CAMERA_HZ = 15.0
BUSY, STILL = 8, 16
"""Streams that load the server."""
BATCHES = (1, 4)
WARM_S, STILL_WARM_S = 1.0, 2.0
LIMITS = ImageLimits(10_000_000, 1.0)
LOOP = Path(__file__).parent / "alternatives" / "mediapipe_loop.py"
REASON = 200
"""Letters of an error that are shown."""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--people-bundle", default="people", metavar="NAME", help="of eyes: what finds people (people)")
    parser.add_argument("--mediapipe-python", metavar="PYTHON", help="of eyes: one with mediapipe, onnxruntime, OpenCV")
    parser.add_argument("--pose-task", type=Path, metavar="FILE", help="of eyes: MediaPipe's pose_landmarker_….task")
    return parser


class BareCamera:
    """One camera as a plain loop has it: its tracker and gate, and the state of each of its people."""

    def __init__(self, files: Sequence[bytes], model: PeopleModel, wish: PerceptionOptions) -> None:
        self._frames = [unpack_image(pack_image(number, data)) for number, data in enumerate(files)]
        self.camera = Camera(PersonTracker(model.tracker(wish, 1.0)), MotionGate(MotionConfig()), model.most(wish))
        self.states: dict[int, dict[str, Array]] = {}
        self.begun_s: dict[int, float] = {}
        self.seen = 0

    def decode(self, mapper: PictureMapper) -> Any:
        """The next picture, for the gate and for the estimator."""
        frame = self._frames[self.seen % len(self._frames)]
        self.seen += 1
        return mapper.decode(frame, self.camera.passed_over)

    @property
    def pts_s(self) -> float:
        return self.seen / CAMERA_HZ


class BareLoop:
    """Decode, find people, track, step and answer, one after the other on one thread."""

    def __init__(self, people_bundle: str, films: Sequence[str], cameras: int) -> None:
        registry, wish = Registry([zoo_directory()]), PerceptionOptions()
        cv2.setNumThreads(0)
        self._bundle: Bundle = load(registry.get(BUNDLE))
        self._engine = Engine(self._bundle, threads=1)
        self._model = people_model(
            load_people(registry.get(people_bundle, kind="people")), wish, threads=1, max_batch=max(BATCHES)
        )
        estimator: PeopleEstimator = self._model.estimator
        self._mapper = PictureMapper(estimator.prepare, self._model.size(wish), LIMITS, gated=True)
        spec = self._bundle.spec
        assert isinstance(spec.input, PoseInput), f"{spec.full_name} takes no poses"
        source = skeletons.get(self._model.spec.skeleton.name)
        self._to_body = skeletons.mapping(source, spec.input.skeleton)
        self._next = {tensor.output: tensor.input for tensor in spec.state}
        self._fresh = initial_state(spec, 1)
        self.cameras = [BareCamera(files, self._model, wish) for files in islice(cycle(read_films(films)), cameras)]

    def turn(self, cameras: Sequence[BareCamera]) -> int:
        """One picture of each; how many people were stepped."""
        pictures = [(one, one.decode(self._mapper)) for one in cameras]
        moved = [(one, picture) for one, picture in pictures if not one.camera.still(picture.grey, one.pts_s, 0)]
        seen = [picture.decoded() if callable(picture.decoded) else picture.decoded for _, picture in moved]
        found = self._model.estimator.estimate([picture.prepared for picture in seen])
        people: list[tuple[BareCamera, int]] = []
        poses: list[Array] = []
        for (one, _), picture, detections in zip(moved, seen, found, strict=True):
            tracked, _ = one.camera.track(in_camera_pixels(detections, picture.scale), one.pts_s)
            people += [(one, track) for track in tracked.tracks.tolist()]
            poses += list(tracked.keypoints)
        if people:
            self._step(people, self._to_body.apply(np.stack(poses)))
        return len(people)

    def _step(self, people: Sequence[tuple[BareCamera, int]], x: Array) -> None:
        states = [one.states.get(track, self._fresh) for one, track in people]
        state = {name: np.concatenate([each[name] for each in states]) for name in self._fresh}
        logits, outputs = self._engine.step(np.asarray(x, np.float32), state)
        elapsed_s = np.array([one.pts_s - one.begun_s.setdefault(track, one.pts_s) for one, track in people])
        shares = probabilities(logits, self._bundle.spec.calibration, elapsed_s)
        for row, (one, track) in enumerate(people):
            one.states[track] = {self._next[name]: value[row : row + 1] for name, value in outputs.items()}
            json.dumps({"track": track, "probabilities": shares[row].round(4).tolist()})


def bare_frames(
    people_bundle: str, films: Sequence[str], cameras: int, seconds: float
) -> dict[int, tuple[float, float, float]]:
    """Frames a second, and a second on the processor, and people a frame, of a plain loop, by batch size."""
    loop, found = BareLoop(people_bundle, films, cameras), {}
    turns = cycle(range(cameras))
    for _ in range(5 * cameras):  # until the gate of a still camera knows its noise
        loop.turn([loop.cameras[next(turns)]])
    for batch in BATCHES:
        done, people, begin_s, busy_s = 0, 0, time.perf_counter(), time.process_time()
        while (elapsed_s := time.perf_counter() - begin_s) < seconds / len(BATCHES):
            people += loop.turn([loop.cameras[next(turns)] for _ in range(batch)])
            done += batch
        busy_s = time.process_time() - busy_s
        found[batch] = (round(done / elapsed_s, 2), round(done / busy_s, 2), round(people / done, 3))
    return found


@dataclass
class Rounds:
    """Frames a second by contestant, and a second that it was on the processor, a value for each round."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    by_core: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, rate: float, by_core: float) -> None:
        self.rates.setdefault(name, []).append(rate)
        self.by_core.setdefault(name, []).append(by_core)

    def ratios(self, one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(self.rates[one], self.rates[other], strict=True)]

    def ratios_by_core(self, one: str, other: str) -> list[float]:
        return [a / b for a, b in zip(self.by_core[one], self.by_core[other], strict=True)]


class Contest:
    """What takes turns within each round."""

    def __init__(self, url: str, pid: int, people_bundle: str, films: Films, seconds: float) -> None:
        self._people_bundle = people_bundle
        self._url, self._pid, self._films, self._seconds = f"{url}/v1/stream", pid, films, seconds
        self.found = Rounds()
        self.people_a_frame = 0.0
        self.mediapipe_people = 0.0

    def served(self, name: str, films: Sequence[Path], streams: int, warm_s: float) -> None:
        """Raises BenchmarkFailed when a frame was lost or refused."""
        groups = self._groups(films, streams)
        seen = sent(Load(groups, self._seconds, warm_s, self._pid))
        if any(group["lost"] or group["errors"] for group in seen["groups"]):
            raise BenchmarkFailed(f"{name}: frames were lost or refused")
        rate = sum(group["settled_per_s"] for group in seen["groups"])
        self.found.note(name, rate, rate * self._seconds / max(seen["server_s"], 0.01))

    def bare(self, name: str, films: Sequence[Path], cameras: int) -> None:
        arguments = ["--bare", self._people_bundle, str(cameras), str(self._seconds), *map(str, films)]
        found = asked("eyes", *arguments, core=cores()[0])
        rate, by_core, people = (max(row[k] for row in found.values()) for k in range(3))
        self.found.note(name, rate, by_core)
        if len(films) > 1:
            self.people_a_frame = people

    def mediapipe(self, command: Sequence[str]) -> None:
        films = [str(path) for path in self._films.busy]
        said = output_of([*command, str(self._seconds), *films], core=cores()[0])
        found = json.loads(said.splitlines()[-1])
        self.found.note("mediapipe", found["frames"] / found["seconds"], found["frames"] / found["busy_s"])
        self.mediapipe_people = found["people"] / found["frames"]

    def live(self, cameras: int) -> dict[str, Any]:
        """So many busy cameras at 15 Hz: their p99, and what became of their frames."""
        seen = sent(Load(self._groups(self._films.busy, cameras, CAMERA_HZ), self._seconds + 1, WARM_S, self._pid))
        worst = max(group["p99_ms"] for group in seen["groups"])
        count = {key: sum(group[key] for group in seen["groups"]) for key in ("dropped", "lost", "sent")}
        return {"cameras": cameras, "p99_ms": worst, **count}

    def _groups(self, films: Sequence[Path], streams: int, hz: float = 0.0) -> tuple[Group, ...]:
        """As many streams of each film, the first ones getting what is left."""
        counts = [len(range(number, streams, len(films))) for number in range(len(films))]
        how: dict[str, Any] = {"bundle": BUNDLE, "payload": "jpeg", "hz": hz}
        return tuple(
            Group(self._url, streams=count, pictures=str(film), **how)
            for film, count in zip(films, counts, strict=True)
            if count
        )


def mediapipe_command(python: str | None, task: Path | None, directory: Path) -> tuple[list[str], str]:
    """What runs MediaPipe's loop, up to the seconds; and why it cannot be run, "" if it can."""
    if python is None or task is None:
        return [], "--mediapipe-python and --pose-task were not given"
    if not task.exists():
        return [], f"there is no {task}"
    bundle = load(Registry([zoo_directory()]).get(BUNDLE))
    spec = bundle.spec
    assert isinstance(spec.input, PoseInput)
    source, body = skeletons.get("blazepose33"), spec.input.skeleton
    about = {
        "input": spec.input.name,
        "logits": spec.logits,
        "state": [[tensor.input, tensor.output, list(tensor.shape), tensor.initial] for tensor in spec.state],
        "joints": [source.joints.index("nose" if joint == "head" else joint) for joint in body.joints],
    }
    (directory / "about.json").write_text(json.dumps(about))
    (directory / "step.onnx").write_bytes(bundle.step)
    return [python, str(LOOP), str(task), str(directory / "step.onnx"), str(directory / "about.json")], ""


def measure(
    rounds: int,
    seconds: float,
    *,
    people_bundle: str = "people",
    mediapipe_python: str | None = None,
    pose_task: Path | None = None,
) -> Result:
    flags = "--load", BUNDLE, "--people-bundle", people_bundle
    with tempfile.TemporaryDirectory() as name, service(*flags) as (url, pid):
        directory = Path(name)
        films = write_films(directory / "films")
        (directory / "mediapipe").mkdir()
        command, skipped = mediapipe_command(mediapipe_python, pose_task, directory / "mediapipe")
        contest, half = Contest(url, pid, people_bundle, films, seconds), list[dict[str, Any]]()
        for turn in range(rounds):
            calls: list[Callable[[], None]] = [
                partial(contest.bare, "bare", films.busy, BUSY),
                partial(contest.served, "served", films.busy, BUSY, WARM_S),
                partial(contest.bare, "bare, still", [films.still], STILL),
                partial(contest.served, "served, still", [films.still], STILL, STILL_WARM_S),
            ]
            for call in calls if turn % 2 == 0 else reversed(calls):
                call()
            if not skipped:
                try:
                    contest.mediapipe(command)
                except (BenchmarkFailed, ValueError) as reason:
                    skipped = str(reason).strip()[-REASON:]
            found = contest.found
            print(
                f"round {turn + 1}: "
                + ", ".join(f"{name} {rates[-1]:.1f} frames/s" for name, rates in found.rates.items()),
                flush=True,
            )
            half.append(contest.live(max(1, round(float(np.median(found.rates["served"])) / CAMERA_HZ / 2))))
    return {
        "films": films.about,
        "people_bundle": people_bundle,
        "frames_per_s": {name: Spread.of(rates).as_json() for name, rates in found.rates.items()},
        "by_core": {name: Spread.of(rates).as_json() for name, rates in found.by_core.items()},
        "served_over_bare": Spread.of(found.ratios("served", "bare")).as_json(),
        "served_over_bare_by_core": Spread.of(found.ratios_by_core("served", "bare")).as_json(),
        "still_over_bare_by_core": Spread.of(found.ratios_by_core("served, still", "bare, still")).as_json(),
        "people_a_frame": contest.people_a_frame,
        "half_load": {
            "cameras": Spread.of([seen["cameras"] for seen in half]).as_json(),
            "p99_ms": Spread.of([seen["p99_ms"] for seen in half]).as_json(),
            "dropped": sum(seen["dropped"] for seen in half),
            "lost": sum(seen["lost"] for seen in half),
        },
        "mediapipe": {"skipped": skipped}
        if "mediapipe" not in found.rates or skipped
        else {
            "found": round(contest.mediapipe_people, 3),
            "served_over": Spread.of(found.ratios("served", "mediapipe")).as_json(),
            "served_over_by_core": Spread.of(found.ratios_by_core("served", "mediapipe")).as_json(),
        },
    }


def rows(result: Result) -> list[Row]:
    rates, by_core, half, other = (result[key] for key in ("frames_per_s", "by_core", "half_load", "mediapipe"))

    def cameras(of: dict[str, Any], name: str) -> Spread:
        found = spread(of[name])
        return Spread(found.median / CAMERA_HZ, found.low / CAMERA_HZ, found.high / CAMERA_HZ)

    shown = [
        Row("the cameras see", f"{result['films']}; {result['people_a_frame']:.2f} people a frame"),
        Row("people are found by", result["people_bundle"]),
        *(Row(f"camera frames/s: {name}", f"{spread(found):,.1f}") for name, found in rates.items()),
        Row.at_least("camera frames served, over a bare loop of the same", spread(result["served_over_bare"]), 0.9),
        Row("the same by time on the processor", f"{spread(result['served_over_bare_by_core']):.2f}"),
        Row.at_least(f"busy cameras at {CAMERA_HZ:g} Hz a core", cameras(rates, "served"), 3, ".1f"),
        Row("the same by time on the processor", f"{cameras(by_core, 'served'):.1f}"),
        Row.at_least(f"still cameras at {CAMERA_HZ:g} Hz a core", cameras(rates, "served, still"), 40, ".0f"),
        Row("the same by time on the processor", f"{cameras(by_core, 'served, still'):.0f}"),
        Row(
            f"p99 from frame to prediction of {half['cameras']['median']:g} busy cameras, half of what a core holds",
            f"{spread(half['p99_ms']):.0f} ms",
        ),
        Row("their frames dropped, lost", f"{half['dropped']}, {half['lost']}"),
    ]
    if reason := other.get("skipped"):
        return [*shown, Row("MediaPipe's pose landmarker and the same step, in a loop", f"skipped: {reason}")]
    return [
        *shown,
        Row("frames in which MediaPipe has its one person", f"{other['found']:.0%}"),
        Row("busy cameras a core: MediaPipe's loop", f"{cameras(rates, 'mediapipe'):.1f}"),
        Row("the same by time on the processor", f"{cameras(by_core, 'mediapipe'):.1f}"),
        Row("served over MediaPipe's loop", f"{spread(other['served_over']):.2f}x"),
        Row("the same by time on the processor", f"{spread(other['served_over_by_core']):.2f}x"),
    ]


BENCHMARK = Benchmark("eyes", __doc__ or "", measure, rows, options=options())

if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        people_bundle, cameras, seconds, *films = sys.argv[2:]
        print(json.dumps(bare_frames(people_bundle, films, int(cameras), float(seconds))))
    else:
        BENCHMARK.run()
