"""A recogniser is read, checked and kept. (What is learned from it: distill/test_foresight.)"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inkling.models.bundle.schema import PoseInput
from inkling.models.networks import CausalNetwork
from inkling.training.errors import ConfigError
from inkling.training.fit import fit
from inkling.training.recipe.recipe import Recipe
from inkling.training.recogniser import check_recogniser, find_recogniser, keep_recogniser, kept_recogniser
from inkling.training.run import Run
from tests.training.rooms import rooms_recipe
from tests.training.support import STICK, tiny_recipe

LABELS = ("nod", "raise", "spread")
TAKES = PoseInput(kind="pose", skeleton=STICK.body())


def anticipating(run: Path | str, **wanted: Any) -> Recipe:
    return tiny_recipe(task="anticipation", lead_s=0.3, recogniser={"run": str(run)} | wanted)


def assert_equal(one: CausalNetwork, other: CausalNetwork) -> None:
    """Networks of the same weights."""
    torch.testing.assert_close(one.state_dict(), other.state_dict(), atol=0, rtol=0)


def test_a_recogniser_is_kept_and_is_there_when_the_original_is_gone(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    shutil.copytree(finished[0].directory, tmp_path / "original")
    recipe = anticipating("original")
    found = find_recogniser(recipe, tmp_path / "run", LABELS, (TAKES,), tmp_path)
    run = Run.begin(tmp_path / "run", recipe, "digest")
    assert kept_recogniser(run) is None
    first = keep_recogniser(run, found)
    assert first is not None
    assert_equal(first, finished[0].student(finished[0].chosen()))
    shutil.rmtree(tmp_path / "original")
    again = keep_recogniser(run, find_recogniser(recipe, tmp_path / "run", LABELS, (TAKES,), tmp_path))
    assert again is not None
    assert_equal(first, again)
    kept = kept_recogniser(run)
    assert kept is not None
    assert kept.chosen() == finished[0].chosen()


def test_a_recipe_without_one_has_none(tmp_path: Path) -> None:
    assert find_recogniser(tiny_recipe(), tmp_path / "run", LABELS, (TAKES,), tmp_path) is None
    assert keep_recogniser(Run.begin(tmp_path / "run", tiny_recipe(), "digest"), None) is None
    assert not (tmp_path / "run" / "recogniser").exists()


def test_a_fit_whose_recogniser_is_no_run_leaves_nothing(finished: tuple[Run, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is no run directory"):
        fit(anticipating("nowhere"), tmp_path / "run", finished[1], device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": ("nod", "raise", "wave")}, r"knows other labels than recipe tiny: spread, wave"),
        ({"rate_hz": 12.0}, "another rate"),
        ({"takes": "body13"}, "another rate, skeleton"),
        ({"wanted": {"states": 1.0}, "hidden": 16}, "has 12 hidden units and the student 16"),
        ({"wanted": {"begin": True}, "hidden": 16}, "is another network"),
        ({"task": "anticipation"}, "anticipates itself"),
    ],
)
def test_a_run_that_cannot_be_learned_from_is_refused(
    finished: tuple[Run, Path], change: dict[str, Any], reason: str
) -> None:
    run, _ = finished
    recipe = anticipating("run", **change.get("wanted", {}))
    if "rate_hz" in change:
        recipe = recipe.model_copy(update={"rate_hz": change["rate_hz"]})
    if "hidden" in change:
        recipe = recipe.model_copy(update={"student": recipe.student.model_copy(update={"hidden": change["hidden"]})})
    if "task" in change:
        run = replace(run, recipe=run.recipe.model_copy(update={"task": "anticipation"}))
    takes = TAKES
    if "takes" in change:
        takes = PoseInput(kind="pose", skeleton=TAKES.skeleton.model_copy(update={"joints": ("a", "b", "c", "d")}))
    with pytest.raises(ConfigError, match=reason):
        check_recogniser(run, recipe, change.get("labels", LABELS), (takes,))
    check_recogniser(finished[0], anticipating("run", states=1.0, begin=True), LABELS, (TAKES,))


def test_the_same_pictures_through_another_backbone_are_refused(finished: tuple[Run, Path]) -> None:
    rate = {"rate_hz": finished[0].recipe.rate_hz}
    frames = {"height": 32, "width": 32, "shift": False, "frozen": True}
    run = replace(finished[0], recipe=rooms_recipe(frames=frames, **rate))
    asked = rooms_recipe(frames=frames | {"backbone": "mobilenet_v2"}, **rate)
    with pytest.raises(ConfigError, match="another backbone"):
        check_recogniser(run, asked, LABELS, (TAKES,))
    check_recogniser(run, run.recipe, LABELS, (TAKES,))
