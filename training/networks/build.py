"""The networks that a recipe describes, for what its clips are: poses, frames, or poses with pictures beside them."""

from __future__ import annotations

from typing import TypeVar

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import NETWORKS, CausalNetwork, NetworkPlan, WholeClipNetwork
from inkling.models.networks.joints_and_picture import JointsAndPicture
from inkling.training.errors import ConfigError
from inkling.training.networks.weights import begin_with
from inkling.training.recipe.recipe import Recipe

Network = TypeVar("Network", CausalNetwork, WholeClipNetwork)


def build_student(recipe: Recipe, takes: PoseInput | FrameInput, classes: int) -> CausalNetwork:
    """A fresh student. Its backbone, where it has one, begins with random weights (see `with_published`).

    takes: what the clips are; poses also where they have pictures beside them.
    """
    return NETWORKS[recipe.network].student(_plan(recipe, takes, classes))


def build_teacher(recipe: Recipe, takes: PoseInput | FrameInput, classes: int) -> WholeClipNetwork:
    """A fresh teacher."""
    return NETWORKS[recipe.network].teacher(_plan(recipe, takes, classes))


def with_published(network: Network, recipe: Recipe) -> Network:
    """Fill the backbone with the published weights that the recipe names, if it does. Raises WeightsError."""
    if recipe.frames is not None and recipe.frames.weights is not None:
        extractor = network.extractor
        begin_with(extractor.frame if isinstance(extractor, JointsAndPicture) else extractor, recipe.frames)
    return network


def _plan(recipe: Recipe, takes: PoseInput | FrameInput, classes: int) -> NetworkPlan:
    skeleton = takes.skeleton if isinstance(takes, PoseInput) else None
    if skeleton is None and not recipe.on_frames:
        raise ConfigError(f"recipe {recipe.name} is on poses, the clips are frames")
    return NetworkPlan(
        recipe.rate_hz,
        classes,
        skeleton,
        recipe.frames,
        recipe.poses,
        recipe.student,
        recipe.teacher,
        recipe.two_stage,
    )
