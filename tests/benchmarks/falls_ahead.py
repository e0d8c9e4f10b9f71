"""How long before the lying a fall is said, by a recogniser and by models that say what comes, at equal false alarms.

    inkling train prepare urfall-people UR_FALL datasets
    inkling train fit body-actions --data datasets --out runs/falls-1 --set validation.folds=0 \\
        --set validation.share=0.1 --set datasets.5.path=urfall-people-folds/1/urfall-people    # the recogniser
    inkling train fit body-actions --data datasets --out runs/ahead-0.5-1 --set validation.folds=0 \\
        --set validation.share=0.1 --set datasets.5.path=urfall-people-folds/1/urfall-people \\
        --set task=anticipation --set lead_s=0.5 --set recogniser.run=$PWD/runs/falls-1 \\
        --set recogniser.begin=true --set fit.epochs=2 --set fit.learning_rate=0.001
    python -m tests.benchmarks.falls_ahead UR_FALL datasets/urfall-people-folds \\
        --runs runs/falls-1 runs/falls-2 --runs runs/ahead-0.5-1 runs/ahead-0.5-2

Each `--runs` is a model, a run for each fold; the fold is the last number in a run's name. An alarm is raised at the
second step in a row at or above a threshold. A fall is said as long before the first lying frame as its first alarm is;
alarms count from half a second before its labelled beginning on. Each fold's threshold is set on the other folds'
recordings, as answered by the models that had not been trained on them, to one false alarm in ten minutes of daily
activities and of the time before falls. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inkling.training.data.pose_dataset import read
from inkling.training.evaluate.early_warning import WatchedRecording, alarms, false_alarms, lowest_threshold
from inkling.training.prepare import urfall
from inkling.training.prepare.urfall_people import NAME
from inkling.training.run import Run
from tests.benchmarks.fall_people import MIN_STEPS, watched_fold

BEFORE_S = (0.3, 0.5, 1.0)
EARLIEST_S = 0.5
"""So long before the labelled beginning of a fall an alarm is no longer false."""


def said_before(folds: Sequence[Sequence[WatchedRecording]], rate_hz: float, camera: str) -> dict[str, Any]:
    """Falls that were said so many seconds before lying, over all folds, and the false alarms."""
    early, falls, wrong, quiet, thresholds = [], 0, 0, 0, []
    margin = round(EARLIEST_S * rate_hz)
    for k, fold in enumerate(folds):
        others = [_calm(w, margin) for j, other in enumerate(folds) if j != k for w in other]
        thresholds.append(lowest_threshold(others, rate_hz, MIN_STEPS))
        for w in (_calm(w, margin) for w in fold if camera in w.name):
            wrong += false_alarms([w], thresholds[-1], MIN_STEPS)
            quiet += int(w.quiet.sum())
            if w.stop:
                falls += 1
                raised = [
                    i for i in alarms(w.probability, thresholds[-1], MIN_STEPS) if w.start - margin <= i <= w.stop
                ]
                early += [(w.stop - raised[0]) / rate_hz] if raised else []
    return {
        "falls": falls,
        "said": {f"{s:g}": sum(seconds >= s - 1e-6 for seconds in early) for s in BEFORE_S},
        "median_s": round(float(np.median(early)), 3) if early else None,
        "false_alarms": wrong,
        "quiet_minutes": round(quiet / rate_hz / 60, 2),
        "thresholds": thresholds,
    }


def _calm(watched: WatchedRecording, margin: int) -> WatchedRecording:
    """The recording, its quiet time ending `margin` steps before its fall."""
    quiet = watched.quiet.copy()
    if watched.stop:
        quiet[max(0, watched.start - margin) :] = False
    return replace(watched, quiet=quiet)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("folds", type=Path, help="the folder of its folds as poses")
    parser.add_argument("--runs", type=Path, nargs="+", action="append", required=True, help="a run for each fold")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = urfall.times(arguments.source / urfall.LABELS_FILE)
    found: dict[str, Any] = {}
    for directories in arguments.runs:
        folds, name, rate_hz = [], "", 15.0
        for directory in directories:
            run, fold = Run.open(directory), re.findall(r"\d+", directory.name)[-1]
            clips = [clip for clip in read(arguments.folds / fold / NAME).clips if clip.split == "test"]
            folds.append(watched_fold(run, (run.student(run.chosen()), clips), times))
            rate_hz = run.recipe.rate_hz
            name = f"{run.recipe.whole_lead_s:g} s ahead" if run.recipe.whole_lead_s else "recogniser"
        found[name] = {camera: said_before(folds, rate_hz, camera) for camera in ("cam0", "cam1")}
        for camera, figures in found[name].items():
            said = ", ".join(f"{count} by {seconds} s" for seconds, count in figures["said"].items())
            print(
                f"{name}, {camera}: of {figures['falls']} falls said before lying {said}; "
                f"median {figures['median_s']} s; "
                f"{figures['false_alarms']} false alarms in {figures['quiet_minutes']} min"
            )
    print(json.dumps({"benchmark": "falls_ahead", "models": found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
