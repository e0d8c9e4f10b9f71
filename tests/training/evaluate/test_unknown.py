from __future__ import annotations

import numpy as np
import pytest
import torch

from inkling.models.bundle.schema import DecisionRule, Temperature, Unknown
from inkling.training.data.corpus import Example
from inkling.training.evaluate.unknown import (
    KNOWN,
    LEFT_OUT,
    OTHERS,
    UnknownMeasure,
    area,
    unknown_table,
    unknown_text,
)
from inkling.training.scores import Floats

LABELS = ("idle", "other", "wave")
UNKNOWN = Unknown(labels=("other",), average_s=0.5, threshold=0.5, lost=0.031, events=64)


def measure() -> UnknownMeasure:
    return UnknownMeasure(UNKNOWN, LABELS, Temperature(), 10.0, DecisionRule(on=0.6, min_steps=2), 0)


def clip(label: str, sure: float = 8.0, begin: int = 0, steps: int = 10) -> Floats:
    """Logits of a clip in which one label leads from a step on."""
    logits = np.zeros((steps, len(LABELS)))
    logits[begin:, LABELS.index(label)] = sure
    return logits


def example(label: str, lead: int = 0) -> Example:
    return Example(torch.zeros(10, 1, 1), LABELS.index(label), "s", "test", "s", lead=lead)


def test_clips_are_told_apart_by_what_they_are() -> None:
    examples = [example("wave"), example("wave"), example("idle"), example("other")]
    steps = [clip("wave"), clip("wave", begin=8), clip("idle"), clip("other")]
    found = measure().of(examples, steps, [clip("wave"), clip("other")])
    assert {kind: scores.clips for kind, scores in found.items()} == {KNOWN: 3, OTHERS: 1, LEFT_OUT: 2}
    known, others, left_out = found[KNOWN], found[OTHERS], found[LEFT_OUT]
    assert known.auroc is None
    assert (others.above, others.auroc, others.events_without, others.events) == (1.0, 1.0, 1.0, 0.0)
    assert left_out.events_without == 1.0
    assert left_out.events == 0.5
    assert known.events_without == pytest.approx(2 / 3, abs=1e-4)  # the background has no events
    assert known.events == pytest.approx(1 / 3, abs=1e-4)  # one began too late: its score was still high


def test_a_set_without_known_clips_has_nothing_to_be_compared_with() -> None:
    found = measure().of([example("other")], [clip("other")], [])
    assert found[OTHERS].auroc is None
    assert set(found) == {OTHERS}


def test_what_leads_in_raises_the_score_but_begins_no_event() -> None:
    led_in = measure().of([example("wave", lead=5)], [clip("wave", begin=5)], [])[KNOWN]
    wholly = measure().of([example("wave", lead=5)], [np.r_[clip("wave", steps=5), clip("idle", steps=5)]], [])[KNOWN]
    assert (led_in.events_without, wholly.events_without) == (1.0, 0.0)


def test_the_area_is_the_chance_of_the_right_order() -> None:
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(0, 9, 40) / 10, rng.integers(2, 12, 30) / 10
    pairs = [(k < u) + 0.5 * (k == u) for k in known for u in unknown]
    assert area(known, unknown) == pytest.approx(np.mean(pairs))
    assert area(np.zeros(3), np.ones(2)) == 1.0


def test_the_table_and_its_sentences_say_what_was_measured() -> None:
    found = measure().of([example("wave")], [clip("wave")], [clip("other")])
    table = unknown_table({"sticks": found})
    assert "| sticks | known actions | 1 | - | 0% | 100% | 100% |" in table
    assert "| sticks | actions left out of training | 1 | 1.000 | 100% | 100% | 0% |" in table
    assert "costs 3.1% of the 64 validation clips" in unknown_text(UNKNOWN)
    assert "Never held back" not in unknown_text(UNKNOWN)
    assert "Never held back: `wave`." in unknown_text(UNKNOWN.model_copy(update={"urgent": ("wave",)}))
