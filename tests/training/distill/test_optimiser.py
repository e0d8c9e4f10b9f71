from __future__ import annotations

import pytest
import torch

from inkling.training.distill.optimiser import RampedAverage, make_optimiser, rate_at
from inkling.training.recipe.sections import Fit


def test_the_rate_warms_up_and_then_falls_to_nothing() -> None:
    fit = Fit(warmup=0.2, schedule="cosine")
    rates = [rate_at(step, 100, fit) for step in range(101)]
    assert 0 < rates[0] < 0.1
    assert max(rates) == rates[20] == 1
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert sorted(rates[20:], reverse=True) == rates[20:]


def test_a_constant_rate_stays() -> None:
    fit = Fit(warmup=0, schedule="constant")
    assert {rate_at(step, 10, fit) for step in range(11)} == {1.0}


def test_the_schedule_ends_with_the_last_batch_of_the_last_epoch() -> None:
    fit = Fit(epochs=2, batch_size=4, warmup=0, schedule="cosine", learning_rate=1.0, optimiser="sgd")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser, schedule = make_optimiser([weight], fit, 10)  # three batches an epoch
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates[0] == 1
    assert rates[-1] > 0
    assert schedule.get_last_lr()[0] == pytest.approx(0)


def test_the_average_forgets_the_first_steps_quickly_and_later_ones_slowly() -> None:
    average = RampedAverage(0.9)
    for count, kept in ((0, 0.1), (8, 0.5), (1000, 0.9)):
        value = [torch.ones(1)]
        average(value, [torch.zeros(1)], count)
        assert value[0].item() == pytest.approx(kept)
