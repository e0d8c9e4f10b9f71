from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from inkling.training.augment.poses import View
from inkling.training.data.corpus import Corpus, Example, load_corpus
from inkling.training.data.loader import (
    Batch,
    Drawing,
    Joining,
    Windows,
    collate,
    plain_batches,
    share_of,
    training_batches,
)
from inkling.training.labels import UNLABELLED
from tests.training.support import as_they_are, tiny_recipe, write_stick_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=6)
    return load_corpus(tiny_recipe(), root)


def test_padding_is_zero_and_has_no_weight() -> None:
    examples = [Example(torch.ones(length, 2, 3), target, "s", "train", "") for length, target in ((2, 1), (4, -1))]
    batch = collate(examples)
    assert batch.x.shape == (2, 4, 2, 3)
    assert batch.x[0, 2:].abs().sum() == 0
    assert batch.weight.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.step_targets.tolist() == [[1, 1, -1, -1], [-1, -1, -1, -1]]


JOINING = Joining(chance=0.5, longest=5, passage=2)


def drawn(corpus: Corpus, seed: int, epoch: int, joining: Joining | None = JOINING) -> list[Batch]:
    def augment(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        return [View(pose + torch.rand((), generator=random), torch.arange(len(pose))) for pose in clips]

    examples = [e for e in corpus.examples if e.split == "train"]
    batches: list[Any] = list(training_batches(examples, Drawing(augment, joining, seed), 8, epoch))
    return batches


def test_an_epoch_is_drawn_from_seed_and_epoch_alone(corpus: Corpus) -> None:
    torch.manual_seed(0)
    one = drawn(corpus, 1, 2)
    torch.manual_seed(1)
    for a, b in zip(one, drawn(corpus, 1, 2), strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.targets, b.targets)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 3), (2, 2)])
def test_other_epochs_and_seeds_are_drawn_otherwise(corpus: Corpus, seed: int, epoch: int) -> None:
    assert [b.targets.tolist() for b in drawn(corpus, 1, 2)] != [b.targets.tolist() for b in drawn(corpus, seed, epoch)]


def test_an_epoch_sees_every_clip_once_with_little_padding(corpus: Corpus) -> None:
    examples = [e for e in corpus.examples if e.split == "train"]
    batches = drawn(corpus, 0, 0, joining=None)
    sizes = [len(b.lengths) for b in batches]
    assert sum(sizes) == len(examples)
    assert max(sizes) == 8
    steps = sum(b.x.shape[1] * len(b.lengths) for b in batches)
    assert steps <= 1.1 * sum(len(e.pose) for e in examples)


def test_some_clips_follow_the_end_of_another_one(corpus: Corpus) -> None:
    batches = drawn(corpus, 0, 0)
    joined = 0
    for batch in batches:
        for targets, length, target in zip(batch.step_targets, batch.lengths, batch.targets, strict=True):
            of_clip = targets[: int(length)]
            assert of_clip[-1] == target
            joined += int((of_clip == UNLABELLED).sum() == JOINING.passage and target != UNLABELLED)
    clips = sum(len(batch.lengths) for batch in batches)
    assert 0.2 * clips < joined < 0.7 * clips


def test_plain_batches_name_their_examples(corpus: Corpus) -> None:
    seen = []
    for indices, batch in plain_batches(corpus.examples, batch_size=10):
        for row, i in enumerate(indices):
            seen.append(i)
            assert torch.equal(batch.x[row, : batch.lengths[row]], corpus.examples[i].pose)
    assert sorted(seen) == list(range(len(corpus.examples)))


def test_batches_of_labelled_clips_only_are_as_many_and_as_large(corpus: Corpus) -> None:
    examples = [e for e in corpus.examples if e.split == "train"]
    drawing = Drawing(as_they_are, None, 0)
    whole: list[Any] = list(training_batches(examples, drawing, 2, 0))
    found: list[Any] = list(training_batches(examples, drawing, 2, 0, labelled_only=True))
    assert len(found) == len(whole)
    assert sum(len(batch.targets) for batch in found) == len(examples)
    assert all((batch.targets != UNLABELLED).all() for batch in found)


def test_a_joined_clip_keeps_the_answers_of_both(corpus: Corpus) -> None:
    examples = [replace(e, answer=i) for i, e in enumerate(e for e in corpus.examples if e.split == "train")]
    batches: list[Any] = list(training_batches(examples, Drawing(as_they_are, JOINING, 0), 8, 0))
    joined = 0
    for batch in batches:
        for answers, targets, length in zip(batch.step_answers, batch.step_targets, batch.lengths, strict=True):
            found = answers[:length].unique_consecutive().tolist()
            joined += len(found) > 1
            assert (answers[length:] == UNLABELLED).all()
            for answer, target in zip(answers[:length].tolist(), targets[:length].tolist(), strict=True):
                assert target == (examples[answer].target if answer != UNLABELLED else UNLABELLED)
    assert joined
    assert collate([e for e in corpus.examples if e.split == "test"]).step_answers is None


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_share_every_batch_and_none_goes_without(corpus: Corpus, ranks: int) -> None:
    examples = [e for e in corpus.examples if e.split == "train"]
    drawing = Drawing(as_they_are, None, 0)
    whole: list[Any] = list(training_batches(examples, drawing, 8, 0))
    shares: list[list[Any]] = [
        list(training_batches(examples, drawing, 8, 0, rank=rank, ranks=ranks)) for rank in range(ranks)
    ]
    assert {len(batches) for batches in shares} == {len(whole)}
    for batch, *parts in zip(whole, *shares, strict=True):
        seen = [clip[:length] for part in parts for clip, length in zip(part.x, part.lengths.tolist(), strict=True)]
        clips = [clip[:length] for clip, length in zip(batch.x, batch.lengths.tolist(), strict=True)]
        assert len({len(part.lengths) for part in parts}) == 1
        assert len(clips) <= len(seen) < len(clips) + ranks
        assert all(any(torch.equal(clip, other) for other in seen) for clip in clips)


def test_a_batch_of_fewer_clips_than_processes_is_seen_by_all() -> None:
    assert [share_of([7], rank, 3) for rank in range(3)] == [[7], [7], [7]]
    assert [share_of([5, 6, 7], rank, 2) for rank in range(2)] == [[5, 7], [6, 5]]


def test_targets_of_steps_go_where_their_steps_go(corpus: Corpus) -> None:
    steps = torch.arange(40)
    pose = torch.ones(40, 4, 3) * steps.view(-1, 1, 1)
    example = Example(pose, 39, "s", "train", "", steps.clone())

    def late_and_slow(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        at = torch.arange(10, 40).repeat_interleave(2)
        return [View(clip[at], at) for clip in clips]

    batches: list[Any] = list(training_batches([example] * 8, Drawing(late_and_slow, JOINING, 0), 8, 0))
    (batch,) = batches
    joined = 0
    for clip, targets, length in zip(batch.x, batch.step_targets, batch.lengths.tolist(), strict=True):
        end = targets[length - 60 : length]
        assert torch.equal(end, clip[length - 60 : length, 0, 0].long())
        assert end.unique().tolist() == list(range(10, 40))
        joined += length > 60
        if length > 60:
            assert targets[length - 60 - JOINING.passage - 1] == 39, "the other clip's last step"
            assert (targets[length - 60 - JOINING.passage : length - 60] == UNLABELLED).all()
    assert joined


def foretelling(steps: int, ahead: int) -> Example:
    """Each step's label is its number, each target that of the step `ahead` later."""
    present = torch.arange(steps)
    later = torch.where(present + ahead < steps, present + ahead, UNLABELLED)
    pose = torch.ones(steps, 4, 3) * present.view(-1, 1, 1)
    return Example(pose, steps - 1, "s", "train", "", later, ahead=ahead, present=present)


def test_what_comes_is_as_far_ahead_in_a_clip_that_is_played_faster_and_stops_where_another_joins() -> None:
    example = foretelling(40, 6)

    def fast(clips: Sequence[Tensor], random: torch.Generator) -> Sequence[View]:
        at = torch.arange(0, 40, 2)
        return [View(clip[at], at) for clip in clips]

    (batch,) = list[Any](training_batches([example] * 8, Drawing(fast, JOINING, 0), 8, 0))
    joined = 0
    for row, (clip, targets, length) in enumerate(
        zip(batch.x, batch.step_targets, batch.lengths.tolist(), strict=True)
    ):
        shown, foretold = clip[length - 20 : length, 0, 0].long(), targets[length - 20 : length]
        assert foretold.tolist() == [*shown[6:].tolist(), 39, *[UNLABELLED] * 5]
        assert batch.leads[row] == length - 20
        joined += length > 20
    assert joined


def test_a_window_of_a_recording_foretells_what_the_recording_shows_later() -> None:
    example, ends = foretelling(30, 5), set[bool]()
    for seed in range(20):
        cut = Windows(steps=16, speed=1.5).cut(example, torch.Generator().manual_seed(seed))
        shown, targets = cut.pose[:, 0, 0].long(), cut.step_targets
        assert cut.present is None
        assert targets is not None
        pace = float(shown[-1] - shown[0]) / 15
        expected = shown + 5 * pace
        known = targets != UNLABELLED
        assert ((targets - expected).abs()[known] <= 1.5).all(), "to the rounding of places"
        assert (expected[~known] > 28).all(), "what has no target leads past the end"
        ends.add(bool(known.all()))
    assert ends == {True, False}
