"""The shipped bundle on frames: it verifies, it is small, and it does what its card says on its own recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models import calibration
from inkling.models.bundle import Bundle, Registry, load, run_vector, verify_graph, zoo_directory
from inkling.models.bundle.schema import FrameInput
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.prepare.decode import Plan, decoded
from inkling.training.recipe.recipe import read_recipe


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(Registry([zoo_directory()]).get("fall-watch"))


def probabilities(bundle: Bundle, video: Path) -> NDArray[np.float64]:
    """Of `fall` at each step of a video."""
    takes = bundle.spec.input
    assert isinstance(takes, FrameInput)
    plan = Plan(takes.height, takes.width, takes.fit, bundle.spec.rate_hz)
    frames = np.stack(list(decoded(video, plan)))[:, None]
    logits = run_vector(bundle.spec, OnnxGraph(bundle.step), frames)[:, 0].astype(np.float64)
    shares = calibration.probabilities(logits, bundle.spec.calibration, np.arange(len(logits)) / bundle.spec.rate_hz)
    return np.asarray(shares[:, bundle.spec.labels.index("fall")], np.float64)


def test_it_verifies_and_is_small(bundle: Bundle) -> None:
    verify_graph(bundle, OnnxGraph(bundle.step))
    assert sum(path.stat().st_size for path in bundle.path.iterdir()) < 8 * 2**20


def test_it_is_what_its_recipe_says(bundle: Bundle) -> None:
    recipe = read_recipe("fall-watch")
    assert recipe.frames is not None
    assert bundle.spec.provenance.recipe == recipe.name
    assert bundle.spec.input.shape == (recipe.frames.height, recipe.frames.width, 3)
    assert (bundle.spec.rate_hz, bundle.spec.background) == (recipe.rate_hz, "daily")
    assert bundle.spec.decision == recipe.bundle.decision


def test_its_card_names_its_limits_and_its_figures(bundle: Bundle) -> None:
    card = (bundle.path / "card.md").read_text(encoding="utf-8")
    for words in ("No medical device", "five people", "two rooms", "darkness", "crowds", "Cross-validation in 5 folds"):
        assert words in card


def test_a_room_in_which_nothing_moves_is_no_fall(bundle: Bundle) -> None:
    takes = bundle.spec.input
    room = np.random.default_rng(0).integers(0, 256, (1, 1, *takes.shape), np.uint8)
    logits = run_vector(bundle.spec, OnnxGraph(bundle.step), np.repeat(room, 100, 0))[:, 0]
    assert (logits.argmax(1) == bundle.spec.labels.index("daily")).all()


def test_it_warns_while_a_person_falls_and_not_while_one_sits_down(bundle: Bundle, shared_data: Path) -> None:
    videos = shared_data / "urfall" / "videos"
    fall = probabilities(bundle, videos / "fall" / "fall-01-cam0.mp4")
    assert (fall[:25] < bundle.spec.decision.on).all()
    assert (fall[28:38] >= bundle.spec.decision.on).sum() >= bundle.spec.decision.min_steps
    assert (probabilities(bundle, videos / "adl" / "adl-01-cam0.mp4") < bundle.spec.decision.on).all()
