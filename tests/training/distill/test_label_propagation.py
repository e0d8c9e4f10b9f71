from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inkling.training.augment.poses import mirrored
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.distill.label_propagation import describe, distances, neighbours_answers, spread
from inkling.training.labels import UNLABELLED
from inkling.training.networks.build import build_student
from tests.training.support import tiny_recipe, write_stick_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", train=16, test=0)
    return load_corpus(tiny_recipe(), root)


def two_heaps(count: int = 12) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Squared distances of points that lie about two places."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (count, 2)), rng.normal(9, 1, (count, 2))])
    return distances(points, points)


def test_a_label_spreads_over_its_heap() -> None:
    targets = np.full(24, UNLABELLED)
    targets[0], targets[12] = 1, 0
    found = spread(two_heaps(), targets, 2)
    assert found.argmax(1).tolist() == [1] * 12 + [0] * 12
    np.testing.assert_allclose(found.sum(1), 1)
    assert found.min() > 0


def test_a_class_with_more_labelled_clips_does_not_win_by_it() -> None:
    targets = np.full(24, UNLABELLED)
    targets[:11], targets[12] = 1, 0
    assert spread(two_heaps(), targets, 2).argmax(1).tolist() == [1] * 12 + [0] * 12


def test_without_labels_there_is_nothing_to_spread() -> None:
    with pytest.raises(ValueError, match="no clip has a label"):
        spread(two_heaps(), np.full(24, UNLABELLED), 2)


def test_few_clips_and_equal_clips_have_answers_too() -> None:
    assert np.isfinite(spread(np.zeros((3, 3)), np.array([0, 1, UNLABELLED]), 2)).all()


def test_distances_are_those_of_the_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(distances(rows, rows), ((rows[:, None] - rows[None]) ** 2).sum(2), atol=1e-12)


def test_few_labels_name_most_clips_also_those_in_a_mirror(corpus: Corpus) -> None:
    network = build_student(tiny_recipe(), corpus.input, 3)
    shown = [e if i % 8 == 0 else replace(e, target=UNLABELLED) for i, e in enumerate(corpus.examples)]
    flipped = [replace(e, pose=mirrored(e.pose, corpus.skeleton)) if i % 2 else e for i, e in enumerate(shown)]
    truth = torch.tensor([e.target for e in corpus.examples])
    for examples in (shown, flipped):
        answers = neighbours_answers(network.extractor, examples, corpus.skeleton, 3)
        torch.testing.assert_close(answers.exp().sum(1), torch.ones(len(examples)))
        assert (answers.argmax(1) == truth).float().mean() > 0.9


def test_a_clip_is_described_alike_in_any_company(corpus: Corpus) -> None:
    network = build_student(tiny_recipe(), corpus.input, 3)
    together = describe(network.extractor, corpus.examples[:6])
    alone = describe(network.extractor, corpus.examples[3:4])
    np.testing.assert_allclose(together[3:4], alone, atol=1e-5)
