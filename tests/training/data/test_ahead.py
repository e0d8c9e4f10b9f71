from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from inkling.training.data.ahead import of_one_label, targets_ahead
from inkling.training.labels import UNLABELLED, anything_but

LABELS = st.lists(st.sampled_from([UNLABELLED, 0, 1, 2, anything_but(1)]), min_size=1, max_size=30)


def plain(labels: list[int], ahead: int) -> list[int]:
    present = torch.tensor(labels)
    found: list[int] = targets_ahead(present, torch.arange(len(present)), ahead).tolist()
    return found


@given(LABELS, st.integers(1, 40))
def test_the_target_of_a_step_is_the_label_of_the_one_so_much_later(labels: list[int], ahead: int) -> None:
    found = plain(labels, ahead)
    assert found == [*labels[ahead:], *[UNLABELLED] * min(ahead, len(labels))]


def test_what_is_excluded_is_foretold_too_and_what_nobody_labelled_stays_so() -> None:
    labels = [UNLABELLED, anything_but(1), 2, UNLABELLED, 1]
    assert plain(labels, 1) == [anything_but(1), 2, UNLABELLED, 1, UNLABELLED]


def test_a_clip_that_is_played_faster_foretells_what_it_shows_itself_that_much_later() -> None:
    present = torch.arange(10)
    assert targets_ahead(present, torch.arange(0, 10, 2), 2).tolist() == [4, 6, 8, 9, UNLABELLED]


def test_a_clip_whose_end_is_cut_off_foretells_what_the_recording_goes_on_with() -> None:
    present = torch.arange(10)
    assert targets_ahead(present, torch.arange(2, 6), 3).tolist() == [5, 6, 7, 8]


def test_only_a_clip_with_one_target_throughout_is_of_one_label() -> None:
    assert of_one_label(torch.tensor([1, 1, 1]))
    assert of_one_label(torch.tensor([anything_but(1)] * 2))
    assert not of_one_label(torch.tensor([1, 1, UNLABELLED]))
