"""The networks that a recipe describes, for what its clips are: poses or frames."""

from __future__ import annotations

from typing import TypeVar

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import Student, Teacher, frame_student, frame_teacher, pose_student, pose_teacher
from inkling.training.errors import ConfigError
from inkling.training.networks.weights import begin_with
from inkling.training.recipe.recipe import Recipe

Network = TypeVar("Network", Student, Teacher)


def build_student(recipe: Recipe, takes: PoseInput | FrameInput, classes: int) -> Student:
    """A fresh student. Its backbone, where it has one, begins with random weights (see `with_published`)."""
    if isinstance(takes, PoseInput):
        return pose_student(recipe.student, takes.skeleton, recipe.rate_hz, classes, recipe.poses)
    if recipe.frames is None:
        raise ConfigError(f"recipe {recipe.name} is on poses, the clips are frames")
    return frame_student(recipe.student, recipe.frames, recipe.rate_hz, classes)


def build_teacher(recipe: Recipe, takes: PoseInput | FrameInput, classes: int) -> Teacher:
    """A fresh teacher."""
    if isinstance(takes, PoseInput):
        return pose_teacher(recipe.teacher, takes.skeleton, recipe.rate_hz, classes, recipe.poses)
    if recipe.frames is None:
        raise ConfigError(f"recipe {recipe.name} is on poses, the clips are frames")
    return frame_teacher(recipe.teacher, recipe.frames, recipe.rate_hz, classes)


def with_published(network: Network, recipe: Recipe) -> Network:
    """Fill the backbone with the published weights that the recipe names, if it does. Raises WeightsError."""
    if recipe.frames is not None and recipe.frames.weights is not None:
        begin_with(network.extractor, recipe.frames)
    return network
