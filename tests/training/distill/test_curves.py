from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from inkling.training.distill.curves import Curves
from inkling.training.distill.epoch import Epoch


def test_figures_are_drawn_over_epochs(tmp_path: Path) -> None:
    ratios = tuple(i / 10 for i in range(1, 11))
    with Curves(tmp_path) as curves:
        curves.add(Epoch(1, 2, {"classification": 2.0, "self": 1.0}, ratios, 0.55))
        curves.add(Epoch(2, 2, {"classification": 1.0, "self": 0.5}, ratios, 0.55))
    found = EventAccumulator(str(tmp_path)).Reload()
    tags = {"loss", "loss/classification", "loss/self", "auc", "accuracy/20%", "accuracy/50%", "accuracy/100%"}
    assert set(found.Tags()["scalars"]) == tags
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 3.0), (2, 1.5)]
    assert found.Scalars("accuracy/20%")[0].value == pytest.approx(0.2)


def test_without_validation_clips_there_are_losses_only(tmp_path: Path) -> None:
    with Curves(tmp_path) as curves:
        curves.add(Epoch(1, 1, {"classification": 2.0}))
    assert set(EventAccumulator(str(tmp_path)).Reload().Tags()["scalars"]) == {"loss", "loss/classification"}
