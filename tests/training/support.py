"""A small data set that can be learned in seconds, and a recipe that does."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inkling.models.networks import StudentConfig, TeacherConfig
from inkling.training.augment.poses import Augmentation, View
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile, Split
from inkling.training.data.pose_file import Array
from inkling.training.recipe.recipe import Recipe

STICK = DatasetFile(
    skeleton="stick",
    joints=("hip", "left_hand", "right_hand", "head"),
    root=("hip",),
    pairs=(("left_hand", "right_hand"),),
    bones=(("hip", "head"), ("head", "left_hand"), ("head", "right_hand")),
    fps=20,
    about="Sticks that were made up.",
    terms="Free.",
)
ACTIONS = ("raise", "spread", "nod")


def stick_clip(action: str, frames: int, seed: int) -> Array:
    """(T, 4, 3): hands go up, hands go apart, or the head goes down and up, somewhere in a picture."""
    rng = np.random.default_rng(seed)
    body = np.array([[0, 0], [-30, -40], [30, -40], [0, -80]], float) + rng.normal(0, 2, (4, 2))
    points = np.repeat(body[None], frames, 0)
    progress = np.linspace(0, 1, frames)
    if action == "raise":
        points[:, 1:3, 1] -= 60 * progress[:, None]
    elif action == "spread":
        points[:, 1, 0] -= 60 * progress
        points[:, 2, 0] += 60 * progress
    else:
        points[:, 3, 1] += 40 * np.abs(np.sin(6 * progress))
    points = points * rng.uniform(0.5, 2) + rng.uniform(100, 500, 2) + rng.normal(0, 0.5, points.shape)
    return np.concatenate([points, np.ones((frames, 4, 1))], -1).astype(np.float32)


def write_stick_set(
    directory: Path,
    train: int = 12,
    test: int = 4,
    actions: Sequence[str] = ACTIONS,
    unlabelled: int = 0,
    seed: int = 0,
) -> Path:
    """Write a data set: of each action `train` and `test` clips of 12 to 20 frames, two clips a group."""
    clips = []
    for which, action in enumerate(actions):
        for i in range(train + test):
            split: Split = "train" if i < train else "test"
            number = 1000 * which + i
            poses = stick_clip(action, 12 + number % 9, seed + number)
            clips.append(NewClip(f"{action}{i}", poses, action, split, f"{action}-{i // 2}"))
    clips += [
        NewClip(f"free{i}", stick_clip(actions[i % len(actions)], 15, 5000 + i), "", "train") for i in range(unlabelled)
    ]
    write(directory, STICK, clips)
    return directory


def as_they_are(clips: Sequence[Tensor], random: torch.Generator) -> list[View]:
    """An augmentation that changes nothing."""
    return [View(clip, torch.arange(len(clip))) for clip in clips]


def tiny_recipe(**changes: Any) -> Recipe:
    """Three epochs of a tiny student and teacher on `sticks`."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "datasets": [{"path": "sticks"}],
        "rate_hz": 10.0,
        "student": StudentConfig(hidden=12, widths=(16,), dropout=0.2),
        "teacher": TeacherConfig(hidden=12, widths=(16,), dropout=0.2),
        "fit": {"epochs": 3, "batch_size": 8, "learning_rate": 0.02, "ema": 0.9},
        "augmentation": Augmentation(),
        "validation": {"share": 0.3},
    }
    return Recipe.model_validate(fields | changes)


def write_rows(directory: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Replace `clips.csv` of a data set."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (directory / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(directory: Path) -> list[dict[str, str]]:
    """The rows of `clips.csv`."""
    with (directory / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
