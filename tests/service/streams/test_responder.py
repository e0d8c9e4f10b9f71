"""Messages of a stream with its counts in them. (When they come: test_session.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from inkling.client import Client
from inkling.models.bundle import Bundle
from inkling.models.bundle.schema import Unknown
from inkling.models.clock import Resampler
from inkling.models.unknown import UnknownScore
from inkling.service.protocol.codec import (
    Credit,
    DecisionMessage,
    ErrorMessage,
    Event,
    Flushed,
    Outgoing,
    Prediction,
    Ready,
    Reset,
    Start,
    Summary,
)
from inkling.service.protocol.errors import BadPose
from inkling.service.protocol.prediction_value import PredictionValue
from inkling.service.streams.event_detector import DetectedEvent, EventDetector
from inkling.service.streams.responder import Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.tracks import Track
from tests.service.conftest import PROMISES, running, tiny_settings
from tests.service.rig import Rig, Stream, body, tiny


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


UNKNOWN = Unknown(labels=("c",), average_s=0.5, threshold=0.45, lost=0.0, events=1)
FIELDS: dict[str, Any] = {"stopping": PROMISES, "decision": {"on": 0.5, "off": 0.4, "min_steps": 2}}
LONG = 45


def knowing(root: Path, **unknown: Any) -> Bundle:
    return tiny(root, unknown=UNKNOWN.model_copy(update=unknown), **FIELDS)


def moved(bundle: Bundle, **start: Any) -> Stream:
    """A stream that was sent somebody who moves, with a reset on the way."""
    stream = Stream(Rig(bundle), error_rate=0.2, **start)
    for seq in range(LONG):
        if seq == 20:
            stream.receive(Reset())
        stream.send(seq, seq / 15, {1: body(seq // 6)})
        stream.rig.run()
    return stream


def begun(stream: Stream) -> list[tuple[str, int]]:
    """Events and decisions: their label and when they began."""
    events = [(event.label, event.seq) for event in stream.of(Event) if event.phase == "begin"]
    return sorted(events + [(decision.label, decision.seq) for decision in stream.of(DecisionMessage)])


def test_a_score_is_that_of_the_predictions_beside_it_and_begins_anew_with_the_state(tmp_path: Path) -> None:
    bundle = knowing(tmp_path)
    stream = moved(bundle, unknown=True)
    score = UnknownScore(UNKNOWN, bundle.spec.labels, bundle.spec.rate_hz)
    for epoch in (0, 1):
        told = [prediction for prediction in stream.predictions if prediction.epoch == epoch]
        expected = score.over(np.array([prediction.probabilities for prediction in told]))
        assert [prediction.unknown for prediction in told] == pytest.approx(expected, abs=6e-4)


def test_while_the_score_is_high_no_event_begins_and_nothing_is_decided(tmp_path: Path) -> None:
    free = moved(knowing(tmp_path / "free", threshold=1.0), unknown=True)
    scores = [prediction.unknown for prediction in free.predictions]
    middle = float(np.median([scores[seq] or 0.0 for _, seq in begun(free)]))
    held = moved(knowing(tmp_path / "held", threshold=middle), unknown=True)
    high = {prediction.seq for prediction in held.predictions if (prediction.unknown or 0.0) > middle}
    assert any(seq in high for _, seq in begun(free))
    assert begun(held)
    assert not any(seq in high for _, seq in begun(held))
    urgent = moved(knowing(tmp_path / "urgent", threshold=0.0, urgent=bundle_labels(free)), unknown=True)
    assert begun(urgent) == begun(free)
    assert not begun(moved(knowing(tmp_path / "none", threshold=0.0)))


def bundle_labels(stream: Stream) -> tuple[str, ...]:
    return stream.rig.spec.labels


def test_who_does_not_ask_is_not_told_though_events_wait_for_it_all_the_same(tmp_path: Path) -> None:
    bundle = knowing(tmp_path)
    asked, quiet = moved(bundle, unknown=True), moved(bundle)
    assert [stream.of(Ready)[0].unknown_above for stream in (asked, quiet)] == [0.45, None]
    assert all(prediction.unknown is None for prediction in quiet.predictions)
    assert begun(asked) == begun(quiet)


def test_a_bundle_without_a_score_has_nothing_to_say(tmp_path: Path) -> None:
    stream = moved(tiny(tmp_path, **FIELDS), unknown=True)
    assert stream.of(Ready)[0].unknown_above is None
    assert all(prediction.unknown is None for prediction in stream.predictions)


@pytest.mark.parametrize("results", ["json", "packed"])
def test_over_the_socket_and_over_rest_the_score_is_the_same(
    tmp_path: Path, results: Literal["json", "packed"]
) -> None:
    knowing(tmp_path)
    frames = np.stack([body(seq // 6) for seq in range(LONG)])
    with running(tiny_settings(tmp_path)) as server:
        client = Client(server.url)
        heard: list[Prediction] = []
        options: dict[str, Any] = {"policy": "block", "results": results, "unknown": True}
        with client.stream("tiny", on_prediction=heard.append, **options) as stream:
            for seq, frame in enumerate(frames):
                stream.send(frame, seq / 15)
            list(stream.finish())
            assert stream.ready.unknown_above == 0.45
        scored = client.score(frames, "tiny", fps=15)
    assert scored.unknown_above == 0.45
    assert [entry.unknown for entry in scored.entries] == [prediction.unknown for prediction in heard]
    assert len({prediction.unknown for prediction in heard}) > 3
