"""A data set of joints and the pictures that they are in, which a small network of two inputs can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.resize import fit_image
from inkling.training.data.frame_dataset import ClipsFile
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pictures import PICTURES_FOLDER, write_pictures
from inkling.training.data.pose_dataset import DatasetFile, Split
from inkling.training.recipe.recipe import Recipe
from tests.coloured_people import RED, joints_of, moved, room
from tests.training.support import read_rows, write_rows

RATE_HZ = 10.0
SIDE = 32
ACTIONS = ("leave", "stay")


def scene(action: str, frames: int, seed: int) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
    """Somebody goes to the right, or stays where they are: joints (T, 17, 3), and pictures of it."""
    left = 4 + seed % 20
    boxes = [moved((left, 10, left + 30, 90), 3 * i if action == "leave" else i % 2) for i in range(frames)]
    joints = np.stack([np.concatenate([joints_of(box), np.full((17, 1), 0.8, np.float32)], 1) for box in boxes])
    return joints.astype(np.float32), [room({RED: box}) for box in boxes]


def write_rooms(directory: Path, train: int = 8, test: int = 2, *, prepared: bool = True) -> Path:
    """Write `train` and `test` clips of 12 to 16 frames of each action; their films are named, and prepared as frames
    where that is wanted."""
    clips, arrays = [], {}
    for which, action in enumerate(ACTIONS):
        for i in range(train + test):
            joints, pictures = scene(action, 12 + i % 5, 7 * i + which)
            split: Split = "train" if i < train else "test"
            clips.append(NewClip(f"{action}{i}", joints, action, split, f"{action}-{i // 2}"))
            arrays[f"films/{action}{i}.mkv"] = np.stack([fit_image(picture, SIDE, SIDE) for picture in pictures])
    write(directory, DatasetFile(skeleton="coco17", fps=RATE_HZ), clips)
    rows = read_rows(directory)
    write_rows(directory, [row | {"video": f"films/{Path(row['path']).stem}.mkv"} for row in rows])
    if prepared:
        (directory / PICTURES_FOLDER).mkdir()
        names = {video: f"{Path(video).stem}-0.npy" for video in arrays}
        for video, array in arrays.items():
            np.save(directory / PICTURES_FOLDER / names[video], array)
        about = ClipsFile(kind="frames", rate_hz=RATE_HZ, height=SIDE, width=SIDE, files=PICTURES_FOLDER)
        write_pictures(directory, about, names)
    return directory


def rooms_recipe(**changes: Any) -> Recipe:
    """Two stages, small, with the losses of paper C."""
    fields: dict[str, Any] = {
        "name": "rooms",
        "datasets": [{"path": "rooms"}],
        "rate_hz": RATE_HZ,
        "network": "two_stage",
        "two_stage": {"context": 12, "hidden": 12, "action": 16, "stop_gradient": True, "drop_context": 0.5},
        "frames": {"height": SIDE, "width": SIDE, "channels": 8, "shift": False, "frozen": True},
        "distillation": {"alpha": 0, "beta": 0},
        "losses": {"classification": 0, "rising": 1, "states": 0.5},
        "fit": {"epochs": 3, "batch_size": 8, "learning_rate": 0.02, "ema": 0.5},
        "validation": {"share": 0.25, "select": "last"},
    }
    return Recipe.model_validate(fields | changes)
