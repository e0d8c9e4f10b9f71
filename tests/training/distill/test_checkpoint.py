from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import draw_fold
from inkling.training.distill.checkpoint import CHECKPOINT_FILE
from inkling.training.distill.learner import Learner
from inkling.training.distill.loop import train
from inkling.training.distill.stages import student_learner, teacher_learner
from inkling.training.errors import ConfigError
from tests.training.support import tiny_recipe, write_stick_set

RECIPE = tiny_recipe(fit={"epochs": 1}, distillation={"alpha": 0})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", train=4)
    return load_corpus(RECIPE, root)


def a_learner(corpus: Corpus) -> Learner:
    return student_learner(RECIPE, corpus, draw_fold(corpus, RECIPE, 0), 0, None)


def test_a_checkpoint_of_an_earlier_release_is_refused_with_what_to_do(corpus: Corpus, tmp_path: Path) -> None:
    earlier = {"epoch": 1, "state_dict": {}, "pytorch-lightning_version": "2.6.6"}
    torch.save(earlier, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(ConfigError, match=r"last\.ckpt was written by another release\. Remove the folder .* to train"):
        train(a_learner(corpus), tmp_path, device="cpu")


def test_a_checkpoint_that_was_cut_off_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    train(a_learner(corpus), tmp_path, device="cpu")
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="cannot be continued from"):
        train(a_learner(corpus), tmp_path, device="cpu")
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be continued from"):
        train(a_learner(corpus), tmp_path, device="cpu")


def test_a_checkpoint_of_another_network_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    train(a_learner(corpus), tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="cannot be continued from"):
        train(teacher_learner(RECIPE, corpus, draw_fold(corpus, RECIPE, 0), 0), tmp_path, device="cpu")


def test_a_checkpoint_is_written_whole(corpus: Corpus, tmp_path: Path) -> None:
    train(a_learner(corpus), tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]
