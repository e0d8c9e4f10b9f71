from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from inkling.training.labels import UNLABELLED, anything_but, name_of, target_of, whole_clip_target


@given(st.integers(0, 1000))
def test_an_excluded_label_is_found_again_and_is_neither_a_label_nor_none(label: int) -> None:
    assert anything_but(label) < UNLABELLED
    assert anything_but(anything_but(label)) == label
    assert anything_but(torch.tensor([label])).tolist() == [anything_but(label)]


def test_a_mark_before_a_label_excludes_it() -> None:
    index = {"fall": 0, "walk": 1}
    assert [target_of(label, index) for label in ("walk", "!walk", "", None)] == [
        *(1, anything_but(1), UNLABELLED, UNLABELLED)
    ]
    assert [target_of(label, index) for label in ("swim", "!swim")] == [UNLABELLED, UNLABELLED]
    assert (name_of("!fall"), name_of("fall")) == ("fall", "fall")


def test_a_clip_counts_as_its_last_label_and_without_one_as_what_it_excludes() -> None:
    assert whole_clip_target([1, UNLABELLED, 2, anything_but(0), UNLABELLED]) == 2
    assert whole_clip_target([UNLABELLED, anything_but(0), UNLABELLED]) == anything_but(0)
    assert whole_clip_target([UNLABELLED]) == UNLABELLED
