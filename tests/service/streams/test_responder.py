"""Messages of a stream with its counts in them. (When they come: test_session.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from inkling.models.clock import Resampler
from inkling.service.protocol.codec import Credit, ErrorMessage, Event, Flushed, Outgoing, Ready, Start, Summary
from inkling.service.protocol.errors import BadPose
from inkling.service.protocol.prediction_value import PredictionValue
from inkling.service.streams.event_detector import DetectedEvent, EventDetector
from inkling.service.streams.responder import Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.tracks import Track
from tests.service.rig import tiny


class Heard:
    """An outlet that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.values: list[PredictionValue] = []

    def send(self, message: Outgoing) -> None:
        self.messages.append(message)

    @property
    def wants_people(self) -> bool:
        return True

    def predict(self, value: PredictionValue) -> None:
        self.values.append(value)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def counts() -> Counts:
    return Counts(received=9, stepped=3, skipped=4, refused=1, tracks=2)


@pytest.fixture
def responder(tmp_path: Path, heard: Heard, counts: Counts) -> Responder:
    return Responder(tiny(tmp_path).spec, Start(bundle="tiny"), counts, heard)


def test_ready_says_what_the_stream_runs_on(responder: Responder, heard: Heard) -> None:
    responder.ready("s", 5)
    assert heard.messages == [
        Ready(stream="s", bundle="tiny", version="1", labels=("a", "b", "c"), rate_hz=15.0, credits=5)
    ]


def test_a_bundle_that_says_what_comes_says_so_and_by_how_much_its_events_are_ahead(
    tmp_path: Path, heard: Heard, counts: Counts
) -> None:
    spec = tiny(tmp_path).spec.model_copy(update={"task": "anticipation", "lead_s": 0.5})
    responder = Responder(spec, Start(bundle="tiny"), counts, heard)
    responder.ready("s", 5)
    track = Track(1, 0.0, Resampler(15.0), EventDetector(spec.decision, None))
    responder.event(3, 1.0, track, DetectedEvent("begin", 1, 0.9))
    responder.event(4, 1.1, track, DetectedEvent("end", 1, 0.3))
    ready, begin, end = heard.messages
    assert isinstance(ready, Ready)
    assert (ready.task, ready.lead_s) == ("anticipation", 0.5)
    assert isinstance(begin, Event)
    assert (begin.begins_in_s, begin.ends_in_s) == (0.5, None)
    assert isinstance(end, Event)
    assert (end.begins_in_s, end.ends_in_s) == (None, 0.5)


def test_an_error_is_counted_by_its_code_and_names_its_frame(
    responder: Responder, heard: Heard, counts: Counts
) -> None:
    for seq in (3, 4):
        responder.error(BadPose("no"), seq)
    assert counts.errors == {"bad_pose": 2}
    assert [m.seq for m in heard.messages if isinstance(m, ErrorMessage)] == [3, 4]


def test_drops_show_in_what_is_said_next(responder: Responder, heard: Heard, counts: Counts) -> None:
    responder.drop("overflow")
    responder.drop("failed")
    assert (counts.dropped["overflow"], counts.dropped["failed"]) == (1, 1)
    counts.resets["gap"] = 2
    responder.credit(8)
    responder.flushed(7)
    responder.summary(1.5)
    assert heard.messages == [
        Credit(seq=8, skipped=4, dropped=2),
        Flushed(id=7),
        Summary(received=9, stepped=3, skipped=4, dropped=2, refused=1, tracks=2, resets={"gap": 2}, duration_s=1.5),
    ]
