from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inkling.models.bundle.schema import Temperature
from inkling.training.data.corpus import Example
from inkling.training.evaluate.clip_reports import MOST_SPANS, answer_spans, clip_report, worst_clips
from inkling.training.scores import ratio_steps

LABELS = ("a", "b")


def example(steps: int = 10, lead: int = 0, path: str = "one.npz") -> Example:
    return Example(torch.zeros(steps, 1, 1), 0, "s", "test", "s/g", lead=lead, path=path)


def logits(*sure: float) -> np.ndarray:
    """Of label `a` against `b`, a step each."""
    return np.stack([np.array(sure), np.zeros(len(sure))], 1)


def test_a_clip_tells_what_was_answered_when() -> None:
    clip = example()
    found = clip_report(logits(*[-2.0] * 4, *[3.0] * 6), ratio_steps([clip])[0], clip, Temperature(), LABELS, 10.0)
    assert (found.path, found.label, found.seconds, found.right) == ("one.npz", "a", 1.0, 0.6)
    assert [(span.from_s, span.label) for span in found.answers] == [(0.0, "b"), (0.4, "a")]
    assert found.answers[1].probability == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    assert len(found.truth) == 10


def test_what_led_into_a_clip_is_no_part_of_it() -> None:
    clip = example(lead=5)
    found = clip_report(logits(*[-2.0] * 5, *[3.0] * 5), ratio_steps([clip])[0], clip, Temperature(), LABELS, 10.0)
    assert (found.start_s, found.seconds, found.right) == (0.5, 0.5, 1.0)
    assert [span.label for span in found.answers] == ["a"]


def test_the_worst_clips_come_first_and_those_that_are_right_not_at_all() -> None:
    clips = [replace(example(), path=name) for name in ("right", "late", "never")]
    steps = [logits(*[1.0] * 10), logits(*[-1.0] * 5, *[1.0] * 5), logits(*[-3.0] * 10)]
    found = worst_clips(steps, ratio_steps(clips), clips, Temperature(), LABELS, 10.0)
    assert [clip.path for clip in found] == ["never", "late"]
    assert len(worst_clips(steps, ratio_steps(clips), clips, Temperature(), LABELS, 10.0, most=1)) == 1


def test_of_many_answers_the_longest_are_told_in_order_and_neighbours_are_one() -> None:
    labels = ("a", "b", "c", "d", "e", "f")
    leading = [0] * 5 + [1] + [0] * 5 + [2] * 4 + [3] * 6 + [4] + [5] * 3
    found = answer_spans(np.eye(6)[leading], labels, 10.0)
    assert [(span.label, span.from_s) for span in found] == [("a", 0.0), ("c", 1.1), ("d", 1.5)]
    assert len(found) <= MOST_SPANS
