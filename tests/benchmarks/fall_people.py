"""How early a model on poses warns of falls, and how often it is wrong, over five folds of UR Fall.

    inkling train prepare urfall-people UR_FALL datasets
    inkling train fit body-actions-5 --data datasets --out runs/falls-1 \\
        --set datasets.5.path=urfall-people-folds/1/urfall-people          # and so on to 5
    python -m tests.benchmarks.fall_people UR_FALL datasets/urfall-people-folds runs/falls-{1,2,3,4,5}

A harder question is a kind of fall that was not learned: the same with `urfall-people-kinds`, 1 from standing, 2 from a
chair.

A fall counts as warned of when an alarm is raised between its beginning and the lying, by whichever track: a person who
is not tracked is a fall that is missed. Each fold's threshold is set on the other folds' daily activities, to one false
alarm in ten minutes (`evaluate.early_warning`). The last line is JSON, of the front camera and the one in the ceiling.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from inkling.models import skeletons
from inkling.models.calibration import probabilities
from inkling.models.clock import step_frames
from inkling.training.data.pose_dataset import Clip, read
from inkling.training.evaluate.early_warning import WatchedRecording, warning_figures
from inkling.training.prepare import urfall
from inkling.training.prepare.urfall_people import FALL, NAME
from inkling.training.run import Run

FILM = re.compile(r"(?:fall|adl)-\d+-cam\d")
MIN_STEPS = 2


def watched_fold(run: Run, clips: list[Clip], times: Mapping[str, tuple[float, float]]) -> list[WatchedRecording]:
    """The recordings of a fold as its model answers them, all tracks of a film together: the highest counts."""
    result = run.chosen()
    student, rate_hz, fall = run.student(result), run.recipe.rate_hz, result.labels.index(FALL)
    body = skeletons.get(run.recipe.skeleton or "coco17")
    to_body = skeletons.mapping(skeletons.get("coco17"), body)
    answers: dict[str, list[tuple[int, float]]] = {}
    for clip in clips:
        steps = step_frames(clip.pts_s.tolist(), rate_hz, run.recipe.bundle.gaps.policy)
        with torch.no_grad():
            logits = student(torch.from_numpy(to_body.apply(clip.keypoints[steps]))[None])[0].numpy()
        shares = probabilities(logits, result.calibration, np.arange(len(logits)) / rate_hz)[:, fall]
        first = round(float(clip.pts_s[0]) * rate_hz)
        film = FILM.search(clip.path)
        assert film, clip.path
        answers.setdefault(film[0], []).extend((first + i, float(share)) for i, share in enumerate(shares))
    events = {clip.group for clip in clips if clip.group in times}
    for event in events:
        for camera in (0, 1):
            answers.setdefault(f"{event}-cam{camera}", [])
    return [_watched(film, found, times.get(film.rsplit("-", 1)[0]), rate_hz) for film, found in answers.items()]


def _watched(
    film: str, found: list[tuple[int, float]], times: tuple[float, float] | None, rate_hz: float
) -> WatchedRecording:
    begin, lies = (round(second * rate_hz) for second in times) if times else (0, 0)
    probability = np.zeros(1 + max([lies, *(step for step, _ in found)]))
    for step, share in found:
        probability[step] = max(probability[step], share)
    quiet = np.ones(len(probability), bool)
    if times:
        quiet[begin:] = False
    return WatchedRecording(film, probability, quiet, begin, lies)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("folds", type=Path, help="the folder of its folds as poses")
    parser.add_argument(
        "runs", type=Path, nargs="+", help="a run for each fold; the fold is the last number in its name"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = urfall.times(arguments.source / urfall.LABELS_FILE)
    folds, rate_hz = [], 15.0
    for directory in arguments.runs:
        run, fold = Run.open(directory), re.findall(r"\d+", directory.name)[-1]
        clips = [clip for clip in read(arguments.folds / fold / NAME).clips if clip.split == "test"]
        folds.append(watched_fold(run, clips, times))
        rate_hz = run.recipe.rate_hz
    figures = {
        camera: warning_figures(folds, rate_hz, MIN_STEPS, camera, before_events=True) for camera in ("cam0", "cam1")
    }
    for camera, found in figures.items():
        print(
            f"{camera}: {found['warned_in_time']} of {found['events']} warned of before lying, "
            f"{found['warning_s_median']} s (median), {found['late']} later, {found['missed']} not at all; "
            f"{found['false_alarms']} false alarms in {found['quiet_minutes']} daily minutes"
        )
    print(json.dumps({"benchmark": "fall_people", "folds": len(folds), **figures}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
