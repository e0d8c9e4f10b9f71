from __future__ import annotations

import tomllib
from typing import Any

import pytest

from inkling.training.data.frame_dataset import Row
from inkling.training.prepare.decode import Plan
from inkling.training.prepare.starter import frame_epochs, frame_recipe, pose_recipe, recipe_name
from inkling.training.recipe.recipe import Recipe


def rows(count: int, **changes: Any) -> list[Row]:
    fields: dict[str, Any] = {"line": 0, "label": "a"}
    return [Row.model_validate(fields | {"path": f"{i}"} | changes) for i in range(count)]


def recipe(text: str) -> Recipe:
    return Recipe.model_validate(tomllib.loads(text))


def test_a_recipe_for_frames_fits_what_was_prepared() -> None:
    found = recipe(frame_recipe("mine", 'my "folder"', rows(20), Plan(64, 80, "crop", 12.5)))
    assert found.frames is not None
    assert (found.frames.height, found.frames.width, found.frames.fit, found.rate_hz) == (64, 80, "crop", 12.5)
    assert str(found.datasets[0].path) == 'my "folder"'


def test_few_clips_validate_in_folds_and_many_by_a_share() -> None:
    few, many = (recipe(pose_recipe("mine", "mine", rows(count), 30)) for count in (150, 200))
    assert (few.validation.folds, few.validation.share, few.validation.select) == (3, 0, "last")
    assert (many.validation.folds, many.validation.share) == (0, 0.15)
    named = recipe(pose_recipe("mine", "mine", rows(20) + rows(9, split="val"), 30))
    assert named.validation.folds == 0


def test_poses_are_stepped_no_faster_than_they_come() -> None:
    assert recipe(pose_recipe("mine", "mine", rows(9), 30)).rate_hz == 15
    assert recipe(pose_recipe("mine", "mine", rows(9), 8.5)).rate_hz == 8.5


def test_a_teacher_is_trained_where_clips_have_no_label() -> None:
    assert not recipe(pose_recipe("mine", "mine", rows(9), 30)).distillation.taught
    assert recipe(pose_recipe("mine", "mine", rows(9) + rows(3, label=""), 30)).distillation.taught


def test_few_clips_are_seen_more_often() -> None:
    assert [frame_epochs(rows(count)) for count in (10, 120, 1000)] == [40, 20, 12]


@pytest.mark.parametrize(
    ("text", "name"), [("My Videos", "my-videos"), ("ok_1.2", "ok_1.2"), ("..", "model"), ("Größe/1", "gr-e-1")]
)
def test_any_folder_gives_a_name(text: str, name: str) -> None:
    assert recipe_name(text) == name
