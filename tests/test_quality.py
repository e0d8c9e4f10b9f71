"""What the embedded `body-actions` says of its quality, measured again on the official test clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkling.models.bundle import Registry, load, zoo_directory
from inkling.training.evaluate.corruptions import CONDITIONS
from inkling.training.evaluate.evaluation import Evaluation, evaluate_bundle
from inkling.training.prepare import jhmdb14, penn

FLOORS = {"penn": 0.90, "jhmdb14": 0.64}
LARGEST_LOSS = 0.05
"""Of AUC, under either corruption."""


@pytest.fixture(scope="module")
def measured(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    data = tmp_path_factory.mktemp("datasets")
    penn.prepare(shared_data / "penn_action" / "labels.zip", data / "penn")
    jhmdb14.prepare(shared_data / "jhmdb14_pose" / "jhmdb14_pose.npz", data / "jhmdb14", 1)
    return evaluate_bundle(Registry([zoo_directory()]).get("body-actions"), data=data)


@pytest.mark.parametrize("tested", FLOORS)
def test_the_figures_in_the_bundle_are_what_is_measured(measured: Evaluation, tested: str) -> None:
    said = load(Registry([zoo_directory()]).get("body-actions")).spec.quality[tested]
    conditions = measured.sets[tested].conditions
    assert set(said) >= set(CONDITIONS), "a bundle of an earlier release says nothing of conditions that came later"
    for condition, found in conditions.items():
        if condition not in said:
            continue
        assert found.joint.auc == pytest.approx(said[condition]["joint"]["auc"], abs=0.002)
        assert found.joint.accuracy == pytest.approx(said[condition]["joint"]["accuracy"], abs=0.006)


@pytest.mark.parametrize("tested", FLOORS)
def test_what_the_bundle_says_of_its_promises_is_what_is_measured(measured: Evaluation, tested: str) -> None:
    spec, report = load(Registry([zoo_directory()]).get("body-actions")).spec, measured.sets[tested]
    said = spec.quality[tested].get("promises", {})
    assert set(said) <= set(report.promises)
    assert (spec.stopping is None) == (not said)
    for condition, promises in said.items():
        for found, told in zip(report.promises[condition], promises, strict=True):
            assert found.threshold == told["threshold"]
            assert found.committed == pytest.approx(told["committed"], rel=0.02, abs=2)
            assert found.wrong == pytest.approx(told["wrong"], rel=0.1, abs=2)


@pytest.mark.parametrize("tested", FLOORS)
def test_accuracy_is_above_its_floor_and_corruption_costs_little(measured: Evaluation, tested: str) -> None:
    aucs = {condition: measured.sets[tested].conditions[condition].joint.auc for condition in CONDITIONS}
    clean = aucs.pop("clean")
    assert clean >= FLOORS[tested]
    assert aucs
    assert all(auc >= clean - LARGEST_LOSS for auc in aucs.values())
