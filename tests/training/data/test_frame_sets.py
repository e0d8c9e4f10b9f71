from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models.networks import FrameConfig
from inkling.training.data.frame_sets import FrameSets, read_frame_sets
from inkling.training.errors import DataError
from inkling.training.recipe.recipe import Recipe
from tests.training.support import tiny_recipe

ROWS = ("a.npy,run,train,0,1", "a.npy,walk,train,1,2", "b.npy,sit,train,0,1", "c.npy,walk,test,0,1")


def write_frames(directory: Path, *rows: str, **about: Any) -> None:
    directory.mkdir()
    fields = {"kind": "frames", "rate_hz": 10, "height": 32, "width": 32, "fit": "letterbox"} | about
    lines = [f"{key} = {value!r}" for key, value in fields.items()]
    (directory / "dataset.toml").write_text("\n".join(lines))
    (directory / "clips.csv").write_text("\n".join(("path,label,split,start_s,end_s", *rows)))
    for name in {row.split(",")[0] for row in rows}:
        np.save(directory / name, np.zeros((20, fields["height"], fields["width"], 3), np.uint8))


def read(root: Path, rename: dict[str, str] | None = None) -> FrameSets:
    frames: dict[str, Any] = {"height": 32, "width": 32, "channels": 8}
    recipe: Recipe = tiny_recipe(datasets=[{"path": "set", "rename": rename or {}}], frames=frames)
    assert isinstance(recipe.frames, FrameConfig)
    return read_frame_sets(recipe, recipe.frames, root)


def test_labels_are_those_of_training_recordings_after_renaming(tmp_path: Path) -> None:
    write_frames(tmp_path / "set", *ROWS)
    assert read(tmp_path).labels == ("run", "sit", "walk")
    sets = read(tmp_path, {"run": "move", "walk": "move"})
    assert sets.labels == ("move", "sit")
    assert sets.own_labels == {"set": {"move", "sit"}}
    assert read(tmp_path, {"run": ""}).labels == ("sit", "walk")


def test_a_label_that_is_only_tested_and_too_few_labels_are_problems(tmp_path: Path) -> None:
    write_frames(tmp_path / "set", "a.npy,run,train,0,1", "b.npy,walk,test,0,1")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert [problem.reason for problem in caught.value.problems] == [
        *("a recipe needs clips of at least two labels", "label 'walk' has no training clip")
    ]


def test_what_was_prepared_otherwise_is_named_all_at_once(tmp_path: Path) -> None:
    write_frames(tmp_path / "set", *ROWS, rate_hz=5, width=64)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert [problem.reason for problem in caught.value.problems] == [
        "prepared as 32 x 64, letterbox; the recipe says 32 x 32, letterbox",
        "prepared at 5 Hz, not at 10",
    ]
