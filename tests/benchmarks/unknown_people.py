"""Events that a model begins on people who do nothing that it knows, with its score of the unknown and without.

    inkling train prepare people FILMS datasets/street --people all
    python -m tests.benchmarks.unknown_people models/zoo/body-actions/5 datasets/street [MORE ...]

The data sets are clips of poses whose labels do not matter: everybody in them counts, and every event is one too many.
Events begin as the service's do. The last line is JSON, by data set: minutes of people, and events an hour of them.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inkling.models import skeletons
from inkling.models.bundle import load
from inkling.models.bundle.schema import BundleSpec, PoseInput
from inkling.models.calibration import probabilities
from inkling.models.clock import step_frames
from inkling.models.unknown import UnknownScore
from inkling.service.streams.event_detector import EventDetector
from inkling.training.data.pose_dataset import read
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from inkling.training.scores import Floats


def begun(spec: BundleSpec, shares: Floats, scores: Floats, score: UnknownScore | None) -> Iterator[str]:
    """The events that begin in a track, from its probabilities (T, K) and scores (T,). score: None: none is used."""
    background = None if spec.background is None else spec.labels.index(spec.background)
    detector = EventDetector(spec.decision, background)
    for row, value in zip(shares.tolist(), scores.tolist(), strict=True):
        best = int(np.argmax(row))
        for event in detector.push(row, best, held_back=score is not None and score.holds_back(value, best)):
            if event.phase == "begin":
                yield spec.labels[event.label]


def measure(path: Path, sets: list[Path]) -> dict[str, Any]:
    """By data set. Raises BundleError, DataError."""
    bundle = load(path)
    spec = bundle.spec
    if spec.unknown is None or not isinstance(spec.input, PoseInput):
        raise SystemExit(f"{spec.full_name} takes no poses, or has no score of the unknown")
    predict = bundle_predictor(bundle, OnnxGraph(bundle.step))
    score = UnknownScore(spec.unknown, spec.labels, spec.rate_hz)
    figures: dict[str, Any] = {}
    for directory in sets:
        dataset = read(directory)
        to_body = skeletons.mapping(dataset.skeleton, spec.input.skeleton)
        steps, unknown = 0, 0
        found: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        for clip in dataset.clips:
            frames = step_frames(clip.pts_s.tolist(), spec.rate_hz, spec.gaps.policy)
            logits = predict(torch.from_numpy(to_body.apply(clip.keypoints[frames]))[None])[0].numpy()
            shares = probabilities(logits, spec.calibration, np.arange(len(logits)) / spec.rate_hz)
            scores = score.over(shares).round(3)
            steps, unknown = steps + len(scores), unknown + int((scores > spec.unknown.threshold).sum())
            for used, counts in found.items():
                counts.update(begun(spec, shares, scores, score if used else None))
        hours = steps / spec.rate_hz / 3600
        figures[directory.name] = {
            "tracks": len(dataset.clips),
            "minutes": round(60 * hours, 2),
            "unknown": round(unknown / max(1, steps), 3),
            "events_without": found[False].total(),
            "events_with": found[True].total(),
            "an_hour_without": round(found[False].total() / hours, 1),
            "an_hour_with": round(found[True].total() / hours, 1),
            "left": dict(found[True].most_common(8)),
        }
    return {"benchmark": "unknown_people", "bundle": spec.full_name, "threshold": spec.unknown.threshold, **figures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path, help="one that takes poses and has a score of the unknown")
    parser.add_argument("sets", type=Path, nargs="+", help="data sets of poses")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(arguments.bundle, arguments.sets)
    for name in (directory.name for directory in arguments.sets):
        found = figures[name]
        print(
            f"{name}: {found['minutes']} minutes of people, {found['events_without']} events without the score and "
            f"{found['events_with']} with it; {found['unknown']:.0%} of the time counts as unknown"
        )
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
