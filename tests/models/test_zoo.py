"""The embedded bundles, judged by what was never near their training: the demo's own figure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models import skeletons
from inkling.models.bundle import (
    Registry,
    load,
    load_people,
    run_vector,
    verify_graph,
    verify_people,
    zoo_directory,
)
from inkling.models.bundle.schema import PoseInput
from inkling.models.calibration import probabilities
from inkling.models.people.estimator import PeopleEstimator
from inkling.service.demo.figure import ACTIONS, pose
from tests.support import OrtGraph

ZOO = {f"{found.name}/{found.version}": found.path for found in Registry([zoo_directory()]).scan("step")}
MIB = 1 << 20

Floats = NDArray[np.float64]


def watched(
    action: str, seconds: float, *, height: float = 240.0, noise: float = 0.004, yaw: float | None = None
) -> tuple[tuple[str, ...], Floats]:
    """Labels, and probabilities (steps, labels) of `body-actions` while the figure does `action`."""
    bundle = load(Registry([zoo_directory()]).get("body-actions"))
    spec = bundle.spec
    assert isinstance(spec.input, PoseInput)
    moments = np.arange(int(seconds * spec.rate_hz)) / spec.rate_hz
    keypoints = skeletons.mapping(skeletons.get("coco17"), spec.input.skeleton).apply(
        pose(action, moments, height=height, noise=noise, yaw=yaw)
    )
    logits = run_vector(spec, OrtGraph(bundle.step), keypoints[:, np.newaxis])[:, 0]
    return spec.labels, probabilities(logits, spec.calibration, np.arange(len(logits)) / spec.rate_hz)


@pytest.mark.parametrize("path", ZOO.values(), ids=ZOO.keys())
def test_an_embedded_bundle_verifies_is_small_and_says_where_it_comes_from(path: Path) -> None:
    bundle = load(path)
    verify_graph(bundle, OrtGraph(bundle.step))
    assert sum(file.stat().st_size for file in path.iterdir()) <= 8 * MIB
    card = (path / "card.md").read_text(encoding="utf-8")
    assert "## Trained on" in card
    assert "## Where it fails" in card
    assert bundle.spec.quality
    # nothing of the machine that it was made on
    assert re.search(rb"/(home|root|work|tmp|usr)/", b"".join(f.read_bytes() for f in path.iterdir())) is None


def test_the_embedded_people_bundle_verifies_is_small_and_says_whose_it_is() -> None:
    path = Registry([zoo_directory()]).get("people", kind="people")
    bundle = load_people(path)
    verify_people(bundle, OrtGraph(bundle.graph))
    assert sum(file.stat().st_size for file in path.iterdir()) <= 10 * MIB
    card = (path / "card.md").read_text(encoding="utf-8")
    assert all(title in card for title in ("## Where it comes from", "## How well", "## Where it fails"))
    assert bundle.spec.quality["urfall"]["all"]["found"] > 0.9
    notices = [(path / name).read_text() for name in bundle.spec.files if name.startswith("LICENSE-")]
    assert len(notices) == len(bundle.spec.origin.licences) == 2
    assert any("Apache License" in text for text in notices)
    assert any("MIT License" in text for text in notices)


def test_the_embedded_people_bundle_sees_nobody_in_noise() -> None:
    bundle = load_people(Registry([zoo_directory()]).get("people", kind="people"))
    graph = OrtGraph(bundle.graph)
    eyes = PeopleEstimator(bundle.spec, lambda images: graph.run({bundle.spec.input.name: images}))
    rng = np.random.default_rng(0)
    pictures = [np.zeros((240, 320, 3), np.uint8), rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)]
    for found in eyes.estimate([eyes.prepare(picture) for picture in pictures]):
        assert (found.scores < bundle.spec.thresholds.begin).all()


def test_a_jumping_jack_leads_within_the_first_third_of_its_first_cycle() -> None:
    labels, probabilities = watched("jumping_jacks", 5.0)
    third = int(ACTIONS["jumping_jacks"].period_s / 3 * 15)
    leading = probabilities[third:].argmax(axis=1)
    assert {labels[i] for i in leading} == {"jumping_jacks"}


@pytest.mark.parametrize("action", ["squat", "situp", "pushup", "pullup", "jump_rope"])
def test_an_exercise_leads_after_its_first_cycle(action: str) -> None:
    labels, probabilities = watched(action, 8.0)
    settled = probabilities[int(ACTIONS[action].period_s * 15) :].argmax(axis=1)
    assert np.mean(settled == labels.index(action)) >= 0.9


@pytest.mark.parametrize("yaw", [0.0, 45.0, 90.0, 180.0])
def test_who_stands_before_the_camera_is_idle_from_every_side_and_for_minutes(yaw: float) -> None:
    labels, probabilities = watched("idle", 180.0, yaw=yaw)
    idle = probabilities[:, labels.index("idle")]
    assert np.mean(idle[15:] > 0.5) >= 0.95


def test_place_and_size_in_the_picture_do_not_matter() -> None:
    _, near = watched("squat", 4.0, height=240.0, noise=0.0)
    _, far = watched("squat", 4.0, height=60.0, noise=0.0)
    np.testing.assert_allclose(near, far, atol=2e-3)
