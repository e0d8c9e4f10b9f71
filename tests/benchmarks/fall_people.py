"""How early a model on poses warns of falls, and how often it is wrong: over folds of UR Fall, and elsewhere.

    inkling train prepare urfall-people UR_FALL datasets
    inkling train fit body-actions --data datasets
    python -m tests.benchmarks.fall_people UR_FALL runs/body-actions --quiet datasets/samples-people datasets/ut-people

The five parts in which the recipe validates keep both cameras of an event together: every event is answered by the
student that was trained without it. A harder question is a kind of fall that was not learned:

    inkling train fit body-actions --data datasets --out runs/kind-1 --set validation.folds=0 \\
        --set validation.share=0.05 --set fit.epochs=10 \\
        --set datasets.5.path=urfall-people-kinds/1/urfall-people       # and 2
    python -m tests.benchmarks.fall_people UR_FALL runs/body-actions --kinds runs/kind-1 runs/kind-2

A fall counts as warned of when an alarm is raised between its beginning and the lying, by whichever track: a person who
is not tracked is a fall that is missed. Figures are given at two thresholds: the bundle's own decision rule, and one
for each fold that was set on the other folds' quiet time, to one false alarm in ten minutes (`evaluate.early_warning`).

`--quiet`: data sets of people who do not fall, which gave no training clip (`inkling train prepare people`). They are
mirrored, cut, tilted, stretched and played faster and slower, again and again, until each lasts `--hours`: what is
counted are the `fall` events of the decision rule, over all students. `--out FILE` writes all for `inkling train
export --figures FILE`. The last line is JSON.
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
from torch.nn.utils.rnn import pad_sequence

from inkling.models import skeletons
from inkling.models.calibration import probabilities
from inkling.models.clock import step_frames
from inkling.models.networks import CausalNetwork
from inkling.training.augment.poses import Augmentation
from inkling.training.data.corpus import load_corpus
from inkling.training.data.folds import cross_folds, draw_fold
from inkling.training.data.pose_dataset import Clip, read
from inkling.training.evaluate.by_step import events
from inkling.training.evaluate.early_warning import WatchedRecording, warning_figures
from inkling.training.evaluate.figures import Figures
from inkling.training.files import write_text
from inkling.training.markdown import table
from inkling.training.prepare import urfall
from inkling.training.prepare.urfall_people import FALL, NAME
from inkling.training.run import Run

FILM = re.compile(r"(?:fall|adl)-\d+-cam\d")
MIN_STEPS = 2
LOWER = 0.5
"""A threshold for who would rather have false alarms than miss a fall."""
TOGETHER = 32
"""Clips that are answered at once."""
CAMERAS = {"cam0": "front", "cam1": "ceiling"}
AS_SEEN = Augmentation(mirror=0.5, speed=1.4, crop=0.5, tilt_degrees=5, stretch=0.1, noise=0.01, lost=0.1, losing=0.3)
"""What a quiet clip could also have looked like."""
Held = tuple[CausalNetwork, list[Clip]]
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


def stepped(clip: Clip, run: Run) -> Tensor:
    """Poses (T, J, 3) as the model sees them."""
    body = skeletons.get(run.recipe.skeleton or "coco17")
    steps = step_frames(clip.pts_s.tolist(), run.recipe.rate_hz, run.recipe.bundle.gaps.policy)
    keypoints = skeletons.mapping(skeletons.get("coco17"), body).apply(clip.keypoints[steps])
    return torch.from_numpy(keypoints)


def fall_shares(run: Run, student: CausalNetwork, poses: Sequence[Tensor]) -> Iterator[NDArray[np.float64]]:
    """(T,) of each of the poses (T, J, 3): the calibrated probability of a fall at each step."""
    result = run.chosen()
    fall, rate_hz = result.labels.index(FALL), run.recipe.rate_hz
    for begin in range(0, len(poses), TOGETHER):
        some = poses[begin : begin + TOGETHER]
        with torch.no_grad():
            answers = student(pad_sequence(list(some), batch_first=True)).numpy()
        for pose, logits in zip(some, answers, strict=True):
            times = np.arange(len(pose)) / rate_hz
            yield np.asarray(probabilities(logits[: len(pose)], result.calibration, times)[:, fall])


def watched_fold(run: Run, held: Held, times: Mapping[str, tuple[float, float]]) -> list[WatchedRecording]:
    """The recordings of a fold as its student answers them, all tracks of a film together: the highest counts."""
    student, clips = held
    rate_hz = run.recipe.rate_hz
    answers: dict[str, list[tuple[int, float]]] = {}
    for clip, shares in zip(clips, fall_shares(run, student, [stepped(clip, run) for clip in clips]), strict=True):
        first = round(float(clip.pts_s[0]) * rate_hz)
        film = FILM.search(clip.path)
        assert film, clip.path
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


def quiet_figures(run: Run, students: Sequence[CausalNetwork], folder: Path, hours: float) -> dict[str, Any]:
    """Events that should not be, in a data set as it is, by each student, and in hours made of it, by one at a time."""
    poses = [stepped(clip, run) for clip in read(folder).clips]
    random = torch.Generator().manual_seed(0)
    skeleton = skeletons.get(run.recipe.skeleton or "coco17")
    wanted, varied = hours * 3600 * run.recipe.rate_hz, 0
    asked: list[tuple[CausalNetwork, list[Tensor]]] = []
    while varied < wanted:
        seen = [view.pose for view in AS_SEEN(poses, skeleton, random)]
        asked.append((students[len(asked) % len(students)], seen))
        varied += sum(map(len, seen))
    return {
        "as it is": _false_events(run, [(student, poses) for student in students]),
        "varied": _false_events(run, asked),
    }


def _false_events(run: Run, asked: Sequence[tuple[CausalNetwork, Sequence[Tensor]]]) -> dict[str, float]:
    """Events of a fall, where students are asked about poses without any."""
    answers = [shares for student, poses in asked for shares in fall_shares(run, student, poses)]
    found = sum(len(events(shares, run.recipe.bundle.decision)) for shares in answers)
    minutes = sum(map(len, answers)) / run.recipe.rate_hz / 60
    return {"events": found, "minutes": round(minutes, 1), "in_ten_minutes": round(10 * found / minutes, 2)}


def measured(runs: Sequence[Run], times: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Warnings of each camera's falls, at the decision rule's threshold and at thresholds set on the other folds."""
    folds = [watched_fold(run, held, times) for run in runs for held in held_out(run)]
    rate_hz, rule = runs[0].recipe.rate_hz, runs[0].recipe.bundle.decision
    return {
        name: {
            camera: warning_figures(folds, rate_hz, steps, camera, before_events=True, threshold=threshold)
            for camera in CAMERAS
        }
        for name, threshold, steps in (
            ("decision rule", rule.on, rule.min_steps),
            ("other folds", None, MIN_STEPS),
            (f"{LOWER}, {MIN_STEPS} steps", LOWER, MIN_STEPS),
        )
    }


def rows(what: str, found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row of the table for each threshold and camera."""
    for threshold, cameras in found.items():
        for camera, each in cameras.items():
            lead = each["warning_s_median"]
            yield (
                what,
                threshold,
                CAMERAS[camera],
                f"{each['warned_in_time']} of {each['events']}",
                "-" if lead is None else f"{lead:.2f}",
                str(each["late"]),
                str(each["missed"]),
                f"{each['false_alarms']} in {each['quiet_minutes']:.1f} min",
                f"{each['false_alarms_before_events']} in {each['quiet_minutes_before_events']:.1f} min",
                f"{each['macro_f1']:.2f}",
            )


def text_of(figures: Mapping[str, Any]) -> str:
    """The figures as Markdown, for a card."""
    head = (
        "falls", "threshold", "camera", "warned of before lying", "median s before", "later", "not at all",
        "false alarms without a fall", "before falls", "macro-F1 of recordings",
    )  # fmt: skip
    known = [row for what in ("held out", "unseen kind") if what in figures for row in rows(what, figures[what])]
    parts = [
        "Falls of UR Fall, by poses estimated from its films. *Held out*: each event is answered by a student that was "
        "trained without it. *Unseen kind*: falls from standing by a student that learned recorded ones from a chair "
        "only, and the other way round (in ten epochs). *decision rule*: the bundle's own events; *other folds*: "
        f"{MIN_STEPS} steps in a row at a threshold set on the other folds to one false alarm in ten minutes. Macro-F1 "
        "tells recordings with a fall of that camera from daily activities.\n",
        table(head, known),
    ]
    if figures["quiet"]:
        quiet = [
            (name, *(f"{each['events']} in {each['minutes']:.1f} min" for each in found.values()))
            for name, found in figures["quiet"].items()
        ]
        parts += [
            "\n`fall` events of the decision rule in films of people who do not fall, of sets that gave no training "
            "clip; *varied*: again and again, mirrored, cut, tilted, faster and slower.\n",
            table(("data set", "as it is", "varied"), quiet),
        ]
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("run", type=Path, help="a run that validates in folds")
    parser.add_argument("--kinds", type=Path, nargs="*", default=[], help="runs that were tested on an unseen kind")
    parser.add_argument("--quiet", type=Path, nargs="*", default=[], help="data sets without falls")
    parser.add_argument("--hours", type=float, default=2.0, help="made of each quiet data set")
    parser.add_argument("--out", type=Path, help="write the figures there, for export --figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = urfall.times(arguments.source / urfall.LABELS_FILE)
    run = Run.open(arguments.run)
    figures: dict[str, Any] = {"held out": measured([run], times)}
    if arguments.kinds:
        figures["unseen kind"] = measured([Run.open(kind) for kind in arguments.kinds], times)
    students = [student for student, _ in held_out(run)]
    figures["quiet"] = {
        folder.name: quiet_figures(run, students, folder, arguments.hours) for folder in arguments.quiet
    }
    text = text_of(figures)
    print(text)
    if arguments.out is not None:
        write_text(arguments.out, Figures(figures={"falls": figures}, text=text).model_dump_json(indent=2) + "\n")
    print(json.dumps({"benchmark": "fall_people", **figures}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
