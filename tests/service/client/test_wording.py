from __future__ import annotations

from typing import Any

import pytest

from inkling.service.client.wording import happening, in_advance
from inkling.service.protocol.codec import DecisionMessage, Event, Prediction


def prediction(for_s: float | None) -> Prediction:
    counts: dict[str, Any] = {"epoch": 0, "skipped": 0, "dropped": 0, "backlog": 0}
    return Prediction(seq=0, pts_s=100.0, for_s=for_s, track=1, label="fall", probabilities=[1.0], **counts)


@pytest.mark.parametrize(
    ("for_s", "words"), [(None, ""), (100.5, "in 0.5 s: "), (100.5333, "in 0.53 s: "), (102.0, "in 2 s: ")]
)
def test_a_label_of_later_is_told_with_how_much_later(for_s: float | None, words: str) -> None:
    assert in_advance(prediction(for_s)) == words
    decision = DecisionMessage(
        seq=0, pts_s=100.0, for_s=for_s, track=1, label="fall", probability=0.9, elapsed_s=1.0, error_rate=0.1, epoch=0,
        first=True,
    )  # fmt: skip
    assert in_advance(decision) == words


@pytest.mark.parametrize(
    ("phase", "ahead", "words"),
    [
        ("begin", {}, "fall begins"),
        ("end", {}, "fall ends"),
        ("begin", {"begins_in_s": 0.5333}, "fall begins in 0.53 s"),
        ("end", {"ends_in_s": 0.5}, "fall ends in 0.5 s"),
    ],
)
def test_an_event_of_later_says_when(phase: str, ahead: dict[str, float], words: str) -> None:
    fields = {"seq": 0, "pts_s": 1.0, "track": 1, "label": "fall", "phase": phase, "probability": 0.9}
    event = Event.model_validate(fields | ahead)
    assert happening(event) == words
    assert happening(event, "a fall") == words.replace("fall", "a fall")
