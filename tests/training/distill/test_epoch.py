from __future__ import annotations

import math

from inkling.training.distill.epoch import Epoch


def test_an_epoch_is_told_in_a_line() -> None:
    epoch = Epoch(2, 3, {"classification": 1.0, "self": 0.25}, (0.5,) * 10, 0.5)
    assert epoch.loss == 1.25
    assert str(epoch) == "epoch 2/3  loss 1.250  validation AUC 50.0"


def test_without_validation_clips_there_is_no_auc() -> None:
    epoch = Epoch(1, 1, {"classification": 1.0})
    assert math.isnan(epoch.auc)
    assert str(epoch) == "epoch 1/1  loss 1.000"
