"""Alarms of the embedded `fall-watch` on videos of other places.

    python -m tests.benchmarks.fall_elsewhere ../shared/data/urfall/videos/nofight

An alarm is the bundle's own: `min_steps` steps in a row at or above `on`. Prints JSON as its last line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from inkling.models.bundle import Registry, load, run_vector, zoo_directory
from inkling.models.bundle.schema import FrameInput
from inkling.models.calibration import probabilities
from inkling.training.evaluate.early_warning import alarms
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.prepare.decode import Plan, decoded
from inkling.training.prepare.source_rows import VIDEO_ENDINGS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    arguments = parser.parse_args()
    spec = load(Registry([zoo_directory()]).get("fall-watch")).spec
    graph = OnnxGraph(load(Registry([zoo_directory()]).get("fall-watch")).step)
    takes, fall = spec.input, spec.labels.index("fall")
    assert isinstance(takes, FrameInput)
    plan = Plan(takes.height, takes.width, takes.fit, spec.rate_hz)
    found = {"clips": 0, "clips_with_alarms": 0, "alarms": 0, "seconds": 0.0}
    for video in sorted(p for p in arguments.videos.glob("**/*") if p.suffix.lower() in VIDEO_ENDINGS):
        frames = np.stack(list(decoded(video, plan)))[:, None]
        logits = run_vector(spec, graph, frames)[:, 0]
        probability = probabilities(logits, spec.calibration, np.arange(len(logits)) / spec.rate_hz)[:, fall]
        raised = len(alarms(probability, spec.decision.on, spec.decision.min_steps))
        found["clips"] += 1
        found["clips_with_alarms"] += raised > 0
        found["alarms"] += raised
        found["seconds"] = round(found["seconds"] + len(frames) / spec.rate_hz, 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
