"""A recipe to begin with, for clips that somebody brings: written beside them, to be changed at will."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from inkling.training.data.frame_dataset import Row
from inkling.training.prepare.decode import Plan

POSE_RATE_HZ = 15.0
"""Steps in a second of a model on poses, unless the clips have fewer."""
FOLDS_BELOW = 200
"""With fewer training clips than this a share for validation would be below 30 clips: they validate in folds."""
FOLDS = 3
FRAME_BATCH = 8
FRAME_STEPS, FRAME_EPOCHS = 300, (12, 40)
"""Steps of the optimiser that a student on frames needs at least, and the limits of the epochs that give them."""


def recipe_name(text: str) -> str:
    """A name that recipes and bundles may have: `My Videos` becomes `my-videos`."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64] or "model"


def pose_recipe(name: str, folder: str, rows: Sequence[Row], fps: float) -> str:
    """The TOML text of a recipe for clips of poses at `fps`, in the data set folder `folder`."""
    lines = _head(name, folder, min(fps, POSE_RATE_HZ))
    if all(row.label for row in rows):
        lines += [
            "",
            "[distillation] # all clips are labelled: a teacher gives next to nothing",
            "alpha = 0",
            "beta = 0",
        ]
    return "\n".join(lines + _validation(rows)) + "\n"


def frame_recipe(name: str, folder: str, rows: Sequence[Row], plan: Plan) -> str:
    """The TOML text of a recipe for frames that were prepared as `plan` says, in the data set folder `folder`."""
    epochs = frame_epochs(rows)
    small = ["standardised = false # the backbone has its own", "hidden = 64", "widths = [64]"]
    lines = [
        *_head(name, folder, plan.rate_hz),
        "",
        "[frames]",
        f"height = {plan.height}",
        f"width = {plan.width}",
        f"fit = {json.dumps(plan.fit)}",
        'backbone = "resnet_small" # trained from scratch',
        "motion = true # also sees what changed since the last frame",
        "",
        "[student]",
        *small,
        "",
        "[teacher]",
        *small,
        "",
        "[fit] # goes on from what the teacher has learned to see",
        f"epochs = {epochs}",
        f"batch_size = {FRAME_BATCH}",
        "learning_rate = 1.5e-3",
        "",
        "[fit_teacher]",
        f"epochs = {2 * epochs}",
        f"batch_size = {FRAME_BATCH}",
        "learning_rate = 2e-3",
    ]
    return "\n".join(lines + _validation(rows)) + "\n"


def frame_epochs(rows: Sequence[Row]) -> int:
    """Epochs of a student on frames: more where there are few clips."""
    batches = max(1, sum(row.split == "train" for row in rows) / FRAME_BATCH)
    least, most = FRAME_EPOCHS
    return min(most, max(least, round(FRAME_STEPS / batches)))


def _head(name: str, folder: str, rate_hz: float) -> list[str]:
    return [
        "# Written to begin with; change what you like. Every key has a description: docs, recipe keys.",
        f"name = {json.dumps(name)}",
        f"rate_hz = {rate_hz:.6g}",
        "",
        "[[datasets]]",
        f"path = {json.dumps(folder, ensure_ascii=False)}",
    ]


def _validation(rows: Sequence[Row]) -> list[str]:
    clips = sum(row.split == "train" and bool(row.label) for row in rows)
    if clips >= FOLDS_BELOW or any(row.split == "val" for row in rows):
        return []
    return [
        "",
        f"[validation] # {clips} training clips are few: all of them are trained on, and validated in folds",
        "share = 0",
        f"folds = {FOLDS}",
        'select = "last"',
    ]
