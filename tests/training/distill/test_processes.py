from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.distill.devices import make_fabric
from inkling.training.distill.epoch import Epoch, EpochSeen
from inkling.training.distill.learner import Learner
from inkling.training.distill.loop import optimise, train
from inkling.training.distill.processes import _forwarded, train_in_processes
from inkling.training.distill.stages import student_learner
from inkling.training.errors import ConfigError
from inkling.training.scores import accuracy, auc, ratio_logits
from tests.training.support import tiny_recipe, write_stick_set

FIT = {"epochs": 5, "batch_size": 8, "learning_rate": 0.02, "ema": 0.9}
RECIPE = tiny_recipe(distillation={"alpha": 0}, fit=FIT)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=4)
    return load_corpus(RECIPE, root)


def a_learner(corpus: Corpus) -> Learner:
    return student_learner(RECIPE, corpus, draw_fold(corpus, RECIPE, 0), 0, None)


def optimise_and_tell(
    fabric: Fabric, learner: Learner, checkpoints: Path | None, curves: Path | None, seen: EpochSeen | None
) -> float:
    """As `optimise`; each process leaves its weights and its score."""
    assert checkpoints is not None
    score = optimise(fabric, learner, checkpoints, curves, seen)
    states = {"network": learner.network.state_dict(), "average": learner.average.state_dict()}
    torch.save({"score": score, **states}, checkpoints / f"rank-{fabric.global_rank}.pt")
    return score


def test_two_processes_train_one_network(corpus: Corpus, tmp_path: Path) -> None:
    before = dict(os.environ)
    learner, epochs = a_learner(corpus), list[Epoch]()
    checkpoints, curves = tmp_path / "kept", tmp_path / "curves"
    checkpoints.mkdir()
    fabric = make_fabric("cpu", 2)
    score = train_in_processes(fabric, optimise_and_tell, learner, checkpoints, curves, epochs.append)
    assert dict(os.environ) == before
    assert [epoch.done for epoch in epochs] == [1, 2, 3, 4, 5]
    assert epochs[-1].losses["classification"] < 0.8 * epochs[0].losses["classification"]
    assert score == max(epoch.auc for epoch in epochs) > 0.5

    ranks = [torch.load(checkpoints / f"rank-{rank}.pt", weights_only=True) for rank in range(2)]
    assert ranks[0]["score"] == ranks[1]["score"] == score
    for kind in ("network", "average"):
        assert ranks[0][kind].keys() == ranks[1][kind].keys()
        for name, value in ranks[0][kind].items():
            assert torch.equal(value, ranks[1][kind][name]), f"{kind} {name}"
    for name, value in learner.network.state_dict().items():
        assert torch.equal(value, ranks[0]["network"][name]), name
    found = accuracy(*ratio_logits(learner.network, draw_fold(corpus, RECIPE, 0).val))
    assert score == pytest.approx(auc(found)), "the score is that of all validation clips"

    assert sorted(path.name for path in checkpoints.iterdir()) == ["last.ckpt", "rank-0.pt", "rank-1.pt"]
    assert len(list(curves.iterdir())) == 1, "one process writes the curves"
    kept = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert kept["epochs_done"] == 5

    # One process goes on where several were cut off.
    alone = a_learner(corpus)
    assert train(alone, checkpoints, device="cpu") == score
    for name, value in alone.network.state_dict().items():
        assert torch.equal(value, learner.network.state_dict()[name]), name


def test_a_checkpoint_is_refused_before_any_process_is_started(corpus: Corpus, tmp_path: Path) -> None:
    torch.save({"format": "another"}, tmp_path / "last.ckpt")
    with pytest.raises(ConfigError, match="written by another release"):
        train(a_learner(corpus), tmp_path, device="cpu", devices=2)


def test_epochs_are_passed_on_in_order_and_what_their_receiver_raises_reaches_the_caller() -> None:
    done: list[int] = []

    def seen(epoch: Epoch) -> None:
        done.append(epoch.done)
        if epoch.done == 3:
            raise ZeroDivisionError

    def three_epochs() -> None:
        with _forwarded(seen) as sender:
            assert sender is not None
            for number in (1, 2, 3):
                sender.send(Epoch(number, 3, {}))

    with pytest.raises(ZeroDivisionError):
        three_epochs()
    assert done == [1, 2, 3]
    with _forwarded(None) as sender:
        assert sender is None
