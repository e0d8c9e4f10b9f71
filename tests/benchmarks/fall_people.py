"""How early a model on poses warns of falls, and how often it is wrong: over folds of UR Fall, and elsewhere.

    inkling train prepare urfall-people UR_FALL datasets
    inkling train fit body-actions --data datasets
    python -m tests.benchmarks.fall_people UR_FALL runs/body-actions --quiet datasets/samples-people datasets/ut-people

The five parts in which the recipe validates keep both cameras of an event together: every event is answered by the
student that was trained without it. A harder question is a kind of fall that was not learned:

    inkling train fit body-actions --data datasets --out runs/kind-1 --set validation.folds=0 \\
        --set validation.share=0.05 --set datasets.5.path=urfall-people-kinds/1/urfall-people       # and 2
    python -m tests.benchmarks.fall_people UR_FALL runs/kind-1 runs/kind-2

A fall counts as warned of when an alarm is raised between its beginning and the lying, by whichever track: a person who
is not tracked is a fall that is missed. Figures are given at two thresholds: the bundle's own decision rule, and one for
each fold that was set on the other folds' daily activities, to one false alarm in ten minutes (`evaluate.early_warning`).

`--quiet`: data sets of people who do not fall, which gave no training clip (`inkling train prepare people`). They are
looped, mirrored, cut, tilted, stretched and played faster and slower until each lasts `--hours`: what is counted are the
`fall` events of the decision rule, over all students. The last line is JSON, of the front camera and the one in the
ceiling.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkling.models import skeletons
from inkling.models.calibration import probabilities
from inkling.models.clock import step_frames
from inkling.models.networks import Student
from inkling.training.augment.poses import Augmentation
from inkling.training.data.corpus import load_corpus
from inkling.training.data.folds import cross_folds, draw_fold
from inkling.training.data.pose_dataset import Clip, read
from inkling.training.evaluate.by_step import events
from inkling.training.evaluate.early_warning import WatchedRecording, warning_figures
from inkling.training.prepare import urfall
from inkling.training.prepare.urfall_people import FALL, NAME
from inkling.training.run import Run

FILM = re.compile(r"(?:fall|adl)-\d+-cam\d")
MIN_STEPS = 2
AS_SEEN = Augmentation(mirror=0.5, speed=1.4, crop=0.5, tilt_degrees=5, stretch=0.1, noise=0.01, lost=0.1, losing=0.3)
"""What a quiet clip could also have looked like."""
Held = tuple[Student, list[Clip]]
"""A student, and the clips that it was not trained on."""


def held_out(run: Run) -> Iterator[Held]:
    """Each student of a run with the UR Fall clips that it did not see: of its folds, or of the split `test`."""
    result, root = run.chosen(), run.data_root()
    (source,) = (source for source in run.recipe.datasets if source.name == NAME)
    clips = read(root / source.path).clips
    if not run.recipe.validation.folds:
        yield run.student(result), [clip for clip in clips if clip.split == "test"]
        return
    fold = draw_fold(load_corpus(run.recipe, root), run.recipe, result.seed)
    for number, part in enumerate(cross_folds(fold, run.recipe.validation.folds, result.seed)):
        seen = {example.path for example in part.train if example.source == NAME}
        yield run.student(result, number), [clip for clip in clips if clip.path not in seen]


def stepped(clip: Clip, run: Run) -> tuple[Tensor, NDArray[np.float64]]:
    """Poses (T, J, 3) as the model sees them, and their seconds."""
    body = skeletons.get(run.recipe.skeleton or "coco17")
    steps = step_frames(clip.pts_s.tolist(), run.recipe.rate_hz, run.recipe.bundle.gaps.policy)
    keypoints = skeletons.mapping(skeletons.get("coco17"), body).apply(clip.keypoints[steps])
    return torch.from_numpy(keypoints), clip.pts_s[steps]


def fall_shares(run: Run, student: Student, pose: Tensor) -> NDArray[np.float64]:
    """(T,) the calibrated probability of a fall at each step of poses (T, J, 3)."""
    result = run.chosen()
    with torch.no_grad():
        logits = student(pose[None])[0].numpy()
    times = np.arange(len(logits)) / run.recipe.rate_hz
    return np.asarray(probabilities(logits, result.calibration, times)[:, result.labels.index(FALL)])


def watched_fold(run: Run, held: Held, times: Mapping[str, tuple[float, float]]) -> list[WatchedRecording]:
    """The recordings of a fold as its student answers them, all tracks of a film together: the highest counts."""
    student, clips = held
    rate_hz = run.recipe.rate_hz
    answers: dict[str, list[tuple[int, float]]] = {}
    for clip in clips:
        pose, _ = stepped(clip, run)
        first = round(float(clip.pts_s[0]) * rate_hz)
        film = FILM.search(clip.path)
        assert film, clip.path
        shares = fall_shares(run, student, pose)
        answers.setdefault(film[0], []).extend((first + i, float(share)) for i, share in enumerate(shares))
    for event in {clip.group for clip in clips if clip.group in times}:
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


def quiet_figures(run: Run, students: Sequence[Student], folder: Path, hours: float) -> dict[str, Any]:
    """Events that should not be, in a data set as it is and in hours made of it; each student answers its share."""
    poses = [stepped(clip, run)[0] for clip in read(folder).clips]
    random = torch.Generator().manual_seed(0)
    skeleton = skeletons.get(run.recipe.skeleton or "coco17")
    wanted, rounds, made = hours * 3600 * run.recipe.rate_hz, [poses], 0
    while made < wanted:
        rounds.append([view.pose for view in AS_SEEN(poses, skeleton, random)])
        made += sum(map(len, rounds[-1]))

    def counted(which: Sequence[Sequence[Tensor]], asked: Sequence[Student]) -> tuple[int, float]:
        found, steps = 0, 0
        for number, clips in enumerate(which):
            for student in asked if len(which) == 1 else [asked[number % len(asked)]]:
                for clip in clips:
                    found += len(events(fall_shares(run, student, clip), run.recipe.bundle.decision))
                    steps += len(clip)
        return found, steps / run.recipe.rate_hz / 60

    (alone, minutes), (varied, varied_minutes) = counted(rounds[:1], students), counted(rounds[1:], students)
    return {
        "as_it_is": {"events": alone, "minutes": round(minutes, 1), "in_ten_minutes": round(alone / minutes * 10, 2)},
        "varied": {
            "events": varied,
            "minutes": round(varied_minutes, 1),
            "in_ten_minutes": round(varied / varied_minutes * 10, 2),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("runs", type=Path, nargs="+", help="a run that validates in folds, or a run for each fold")
    parser.add_argument("--quiet", type=Path, nargs="*", default=[], help="data sets without falls")
    parser.add_argument("--hours", type=float, default=2.0, help="made of each quiet data set")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = urfall.times(arguments.source / urfall.LABELS_FILE)
    runs = [Run.open(directory) for directory in arguments.runs]
    held = [(run, each) for run in runs for each in held_out(run)]
    folds = [watched_fold(run, each, times) for run, each in held]
    rate_hz, rule = runs[0].recipe.rate_hz, runs[0].recipe.bundle.decision
    figures: dict[str, Any] = {}
    for name, threshold, steps in (("rule", rule.on, rule.min_steps), ("folds", None, MIN_STEPS)):
        figures[name] = {
            camera: warning_figures(folds, rate_hz, steps, camera, before_events=True, threshold=threshold)
            for camera in ("cam0", "cam1")
        }
        for camera, found in figures[name].items():
            print(
                f"{name} {camera}: {found['warned_in_time']} of {found['events']} warned of before lying, "
                f"{found['warning_s_median']} s (median), {found['late']} later, {found['missed']} not at all; "
                f"{found['false_alarms']} false alarms in {found['quiet_minutes']} daily minutes, "
                f"{found['false_alarms_before_events']} in {found['quiet_minutes_before_events']} before falls; "
                f"macro-F1 {found['macro_f1']}"
            )
    quiet = {
        folder.name: quiet_figures(runs[0], [student for run, (student, _) in held if run is runs[0]], folder, arguments.hours)
        for folder in arguments.quiet
    }
    for folder, found in quiet.items():
        print(f"{folder}: {found}")
    print(json.dumps({"benchmark": "fall_people", "folds": len(folds), **figures, "quiet": quiet}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
