from __future__ import annotations

import torch

from inkling.models.networks.dropout import Dropout


def test_as_many_values_are_dropped_as_asked_for_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    found = Dropout(0.3)(torch.ones(100, 1001))
    assert abs(float((found == 0).float().mean()) - 0.3) < 0.01
    assert abs(float(found.mean()) - 1) < 0.01
    kept = found[found > 0]
    assert torch.equal(kept, kept[:1].expand_as(kept))


def test_only_what_was_kept_gets_gradient() -> None:
    x = torch.ones(50, 7, requires_grad=True)
    found = Dropout(0.5)(x)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())


def test_nothing_is_dropped_outside_of_training_or_at_no_chance() -> None:
    x = torch.ones(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_the_global_seed_decides_which() -> None:
    x = torch.ones(64, 3)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(Dropout(0.3)(x))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
