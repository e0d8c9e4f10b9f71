"""How many people a people bundle finds, how exactly, and how long it takes, against the poses that come with UR Fall.

    python -m tests.benchmarks.people ../shared/data/urfall [--bundle DIR] [--every 15] [--size 256] [--out FILE]

The reference are YOLOv8's poses of the same recordings: people of whom at least 8 joints are sure. `found`: a person
whose box of joints overlaps the reference's by .3 (IoU) or more. `pck`: of the sure joints of those found, the share
within a tenth of the longer side of the reference's box. By how far the trunk leans from the vertical: upright below
30 degrees, lying above 60. `false`: people found in a frame beyond those of the reference, at the score that begins a
track. Times are CPU time of one thread and one picture. Prints JSON as its last line; --out writes it for
`inkling train export-people --figures`.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inkling.models.bundle import PeopleBundle, load_people, zoo_directory
from inkling.models.people.detections import Detections
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.oks import iou
from inkling.models.video import VideoReader, to_rgb

SURE, SURE_JOINTS = 0.5, 8
OVERLAP, NEAR = 0.3, 0.1
SHOULDERS, HIPS = [5, 6], [11, 12]
WIDTH, HEIGHT = 320, 240
"""Of the frame in which the reference is."""
POSTURES = ((30.0, "upright"), (60.0, "bent"), (181.0, "lying"))

Floats = NDArray[np.float64]


class Timed:
    """A bundle's graph in onnxruntime on one thread, which remembers how long each run took."""

    def __init__(self, bundle: PeopleBundle) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
        self._input = bundle.spec.input.name
        self._names = [output.name for output in self._session.get_outputs()]
        self.seconds: list[float] = []

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Any]:
        began = time.thread_time()
        outputs = self._session.run(self._names, {self._input: images})
        self.seconds.append(time.thread_time() - began)
        return dict(zip(self._names, outputs, strict=True))


def samples(source: Path, every: int) -> Iterator[tuple[NDArray[np.uint8], Floats]]:
    """A picture, and the reference's people in it (N, 17, 3) in pixels of that picture."""
    with zipfile.ZipFile(source / "keypoints.zip") as archive:
        for path in sorted([*source.glob("videos/fall/*.mp4"), *source.glob("videos/adl/*.mp4")]):
            folder = {"adl": "normal"}.get(path.parent.name, path.parent.name)
            with archive.open(f"{folder}/{path.stem}.npy") as file:
                people = np.load(file, allow_pickle=False).astype(np.float64)
            with VideoReader(path, threads=1) as reader:
                for number, (_, frame) in enumerate(reader):
                    if number % every == 0 and number < len(people):
                        image = to_rgb(frame)
                        height, width = image.shape[:2]
                        yield image, people[number] * (width / WIDTH, height / HEIGHT, 1)


def sure(people: Floats) -> Floats:
    """Those of whom enough joints are sure; the other joints become 0."""
    kept: Floats = np.where(people[..., 2:] >= SURE, people, 0)
    enough: Floats = kept[(kept[..., 2] > 0).sum(1) >= SURE_JOINTS]
    return enough


def joint_boxes(people: Floats) -> Floats:
    """(N, 4) around the joints that are there."""
    seen = people[..., 2:] > 0
    low = np.where(seen, people[..., :2], np.inf).min(1, initial=np.inf)
    high = np.where(seen, people[..., :2], -np.inf).max(1, initial=-np.inf)
    boxes: Floats = np.nan_to_num(np.concatenate([low, high], 1), posinf=0, neginf=0)
    return boxes


def posture(person: Floats) -> str | None:
    """By the line from the hips to the shoulders; None when neither side of one of them is there."""
    ends = []
    for joints in (SHOULDERS, HIPS):
        there = person[joints][person[joints, 2] > 0]
        if not len(there):
            return None
        ends.append(there[:, :2].mean(0))
    across, up = np.abs(ends[0] - ends[1])[0], (ends[1] - ends[0])[1]
    angle = float(np.degrees(np.arctan2(across, up)))
    return next(name for limit, name in POSTURES if angle < limit)


def compare(found: Detections, reference: Floats, begin: float, counts: dict[str, list[float]]) -> None:
    """Add one picture to the counts."""
    poses = found.keypoints.astype(np.float64)
    overlap = iou(joint_boxes(poses), joint_boxes(reference)) if len(poses) else np.zeros((0, len(reference)))
    counts["false"].append(float(max(0, int((found.scores >= begin).sum()) - len(reference))))
    for number, person in enumerate(reference):
        kind = posture(person)
        groups = ["all"] if kind is None else ["all", kind]
        best = int(overlap[:, number].argmax()) if len(poses) else -1
        hit = best >= 0 and overlap[best, number] >= OVERLAP
        for group in groups:
            counts[f"{group}/found"].append(hit)
        if not hit:
            continue
        there = person[:, 2] > 0
        box = joint_boxes(person[None])[0]
        near = np.hypot(*(poses[best, there, :2] - person[there, :2]).T) <= NEAR * max(box[2:] - box[:2])
        for group in groups:
            counts[f"{group}/pck"] += near.tolist()


def measure(bundle: PeopleBundle, source: Path, every: int, size: int | None) -> dict[str, Any]:
    graph = Timed(bundle)
    estimator = PeopleEstimator(bundle.spec, graph)
    counts: dict[str, list[float]] = defaultdict(list)
    fitting, whole = [], []
    for picture, people in samples(source, every):
        began = time.thread_time()
        prepared = estimator.prepare(picture, size)
        fitted = time.thread_time()
        (found,) = estimator.estimate([prepared])
        fitting.append(fitted - began)
        whole.append(time.thread_time() - fitted)
        compare(found, sure(people), bundle.spec.thresholds.begin, counts)
    decoding = np.array(whole) - np.array(graph.seconds)
    figures: dict[str, Any] = {
        group: {
            "people": len(counts[f"{group}/found"]),
            "found": round(float(np.mean(counts[f"{group}/found"])), 3),
            "pck": round(float(np.mean(counts[f"{group}/pck"])), 3),
        }
        for group in ("all", *(name for _, name in POSTURES))
    }
    figures |= {"pictures": len(whole), "false": round(float(np.mean(counts["false"])), 4), "every": every}
    for name, seconds in (("fit_ms", fitting), ("graph_ms", graph.seconds), ("decode_ms", decoding)):
        figures[name] = round(float(np.median(seconds)) * 1e3, 2)
    return figures


def text_of(figures: dict[str, Any], command: str) -> str:
    rows = [
        f"| {name} | {figures[name]['people']} | {figures[name]['found']:.3f} | {figures[name]['pck']:.3f} |"
        for name in ("all", "upright", "bent", "lying")
    ]
    return "\n".join(
        [
            "## How well",
            "",
            f"Against YOLOv8's poses of UR Fall, {figures['pictures']} pictures (`{command}`): the share of people who "
            "are found, and of their joints that lie within a tenth of the longer side of the body (PCK@.1). Beside "
            f"those, {figures['false']:.3f} people are found in a picture at the score that begins a track, some of "
            "whom the reference missed. "
            f"One thread computes {figures['graph_ms']:.0f} ms for the graph, and {figures['decode_ms']:.1f} ms "
            "behind it.",
            "",
            "| people | number | found | PCK@.1 |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("source", type=Path, metavar="URFALL")
    embedded = zoo_directory() / "people" / "1"
    parser.add_argument("--bundle", type=Path, default=embedded)
    parser.add_argument("--every", type=int, default=15, help="of so many frames one is looked at (15)")
    parser.add_argument("--size", type=int, help="longer side of the input (the bundle's)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    figures = measure(load_people(arguments.bundle), arguments.source, arguments.every, arguments.size)
    size = "" if arguments.size is None else f" --size {arguments.size}"
    name = "" if arguments.bundle == embedded else f" --bundle {arguments.bundle}"
    command = f"python -m tests.benchmarks.people URFALL --every {arguments.every}{size}{name}"
    if arguments.out is not None:
        answer = {"figures": {"urfall": figures | {"command": command}}, "text": text_of(figures, command)}
        arguments.out.write_text(json.dumps(answer, indent=2) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
