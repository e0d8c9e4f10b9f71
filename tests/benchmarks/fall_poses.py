"""For comparison with fall-watch only: a student on the poses that come with UR Fall, in the same folds and figures.

    python -m tests.benchmarks.fall_poses ../shared/data/urfall

Poses are those of the clearest person of each frame (they are not tracked). Prints JSON as its last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inkling.models import skeletons
from inkling.models.clock import step_frames
from inkling.models.networks import StudentConfig, pose_student
from inkling.models.skeletons import BODY13
from inkling.training.augment.poses import Augmentation, View
from inkling.training.data.corpus import Example, segments
from inkling.training.data.folds import Fold
from inkling.training.data.loader import Drawing, Windows
from inkling.training.distill.learner import StudentLearner
from inkling.training.distill.loop import train
from inkling.training.evaluate.early_warning import WatchedRecording, warning_figures
from inkling.training.prepare import urfall
from inkling.training.recipe.sections import Distillation, Fit
from inkling.training.scores import accuracy, ratio_logits

RATE_HZ, WINDOW, MIN_STEPS = 10.0, 32, 2
FALL, DAILY = 0, 1


def read(source: Path, rate_hz: float = RATE_HZ, sure: float = 0.0) -> tuple[list[Example], list[slice]]:
    """Every recording as an example, and the steps of its fall (empty without one).

    sure: the least confidence of a joint; those below are missing.
    """
    to_body = skeletons.mapping(skeletons.get("coco17"), BODY13)
    times = urfall.times(source / urfall.LABELS_FILE)
    examples, falls = [], []
    with zipfile.ZipFile(source / "keypoints.zip") as archive:
        for path in sorted({row.path for row in urfall.find_rows(source)}):
            with archive.open(path.replace("adl/", "normal/").replace(".mp4", ".npy")) as file:
                people = np.load(file, allow_pickle=False)  # (T, 5, 17, 3)
            clearest = people[..., 2].mean(-1).argmax(1)
            people = people * (people[..., 2:] >= sure)
            poses = to_body.apply(people[np.arange(len(people)), clearest].astype(np.float32))
            frames = step_frames((np.arange(len(poses)) / urfall.FPS).tolist(), rate_hz)
            event = Path(path).stem.rsplit("-", 1)[0]
            targets = torch.full((len(frames),), DAILY)
            fall = slice(0, 0)
            if event in times:
                begin, lies = (round(np.ceil((t - 5e-4) * rate_hz)) for t in times[event])
                targets[begin:] = FALL
                fall = slice(begin, lies)
            examples.append(
                Example(torch.from_numpy(poses[frames]), int(targets[-1]), "urfall", "train", event, targets, path=path)
            )
            falls.append(fall)
    return examples, falls


def fit_fold(examples: list[Example], epochs: int, fold: int) -> torch.nn.Module:
    """A plain causal student on windows of these recordings."""
    torch.manual_seed(fold)
    augmentation = Augmentation(speed=1.0, crop=0.0)  # windows have their own speed

    def augment(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        return augmentation(clips, BODY13, random)

    drawn = [e for e in examples for _ in range(max(1, round(len(e.pose) / WINDOW)))]
    val = [part for e in examples[:10] for part in segments(e)]
    learner = StudentLearner(
        pose_student(StudentConfig(hidden=64, widths=(64,)), BODY13, RATE_HZ, 2),
        Fold(tuple(drawn), tuple(val)),
        Fit(epochs=epochs, batch_size=8, learning_rate=2e-3),
        Drawing(augment, Windows(WINDOW, 1.2), fold),
        "last",
        teacher=None,
        distillation=Distillation(alpha=0, beta=0.5, tau_s=0.3),
        lead=round(0.3 * RATE_HZ),
    )
    train(learner, device="cpu")
    return learner.network


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    examples, falls = read(arguments.source)
    watched, logits, targets = [], [], []
    for fold in range(1, urfall.FOLDS + 1):
        test = [urfall.fold_of(int(e.group.rsplit("-", 1)[1])) == fold for e in examples]
        student = fit_fold([e for e, out in zip(examples, test, strict=True) if not out], arguments.epochs, fold)
        held = [(e, fall) for e, fall, out in zip(examples, falls, test, strict=True) if out]
        found, wanted = ratio_logits(student, [part for e, _ in held for part in segments(e) if len(part.pose) > 1])
        logits.append(found)
        targets.append(wanted)
        seen: dict[str, int] = {}
        recordings = []
        for e, fall in held:
            with torch.no_grad():
                probability = torch.softmax(student(e.pose[None])[0], -1)[:, FALL].double().numpy()
            camera = f"{e.group}-cam{seen.setdefault(e.group, 0)}"
            seen[e.group] += 1
            assert e.step_targets is not None
            recordings.append(
                WatchedRecording(camera, probability, (e.step_targets == DAILY).numpy(), fall.start, fall.stop)
            )
        watched.append(recordings)
        print(f"fold {fold}: done", file=sys.stderr)
    right = accuracy(np.concatenate(logits), np.concatenate(targets))
    figures = {
        "auc": round(float(right.mean()), 4),
        "accuracy": [round(float(a), 4) for a in right],
        "warning": warning_figures(watched, RATE_HZ, MIN_STEPS, "cam0"),
        "strict_warning": warning_figures(watched, RATE_HZ, MIN_STEPS, "cam0", before_events=True),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
