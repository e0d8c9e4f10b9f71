"""Decisions from the rule of a bundle to its clients; the rule itself is in tests/models/test_early_decision."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest

from inkling.client import AsyncClient, Client, RemoteError
from inkling.models.bundle import Bundle
from inkling.models.early_decision import EarlyDecisionRule
from inkling.service.protocol.codec import DecisionMessage, Event, Reset
from inkling.service.protocol.errors import UnknownErrorRate
from inkling.service.streams.early_decision import (
    EarlyDecision,
    EarlyDecisions,
    EarlyDecisionTerms,
    early_decision_terms,
    error_rates,
)
from inkling.service.streams.event_detector import DetectedEvent
from tests.service.conftest import PROMISES, Running
from tests.service.rig import Rig, Stream, body, tiny

TERMS = EarlyDecisionTerms(error_rate=0.05, threshold=0.6, min_steps=2, background=None)
END = (DetectedEvent("end", 1, 0.1),)
TIMES = np.arange(45) / 15
BODY = np.stack([body(frame // 6) for frame in range(45)])  # stays for a while: the model makes up its mind
RATE = 0.2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("promised"), stopping=PROMISES)


def test_only_what_was_certified_may_be_asked_for(bundle: Bundle) -> None:
    assert error_rates(bundle.spec) == (0.05, 0.2)
    assert early_decision_terms(bundle.spec, None) is None
    assert early_decision_terms(bundle.spec, 0.05) == TERMS
    for rate in (0.01, 0.03):
        with pytest.raises(UnknownErrorRate, match=r"tiny/1 cannot promise .*it promises 0\.05, 0\.2"):
            early_decision_terms(bundle.spec, rate)


def test_a_bundle_without_a_rule_promises_nothing(tmp_path: Path) -> None:
    spec = tiny(tmp_path).spec
    assert spec.stopping is None
    assert error_rates(spec) == ()
    with pytest.raises(UnknownErrorRate, match="it has no promises"):
        early_decision_terms(spec, 0.05)


def test_time_counts_from_the_first_result_of_an_epoch() -> None:
    track = EarlyDecisions(TERMS)
    assert track.push(2.0, 1, 0.3, ()) is None
    assert track.push(2.5, 1, 0.9, ()) is None
    assert track.push(3.0, 1, 0.9, ()) == EarlyDecision(1.0, first=True)
    track.restart()
    assert track.push(7.0, 1, 0.9, ()) is None
    assert track.push(7.5, 1, 0.9, ()) == EarlyDecision(0.5, first=True)


def test_when_an_event_has_ended_another_action_may_be_decided_but_it_is_not_the_first() -> None:
    track = EarlyDecisions(TERMS)
    assert [track.push(t, 1, 0.9, ()) for t in (0.0, 0.5, 1.0)][1] == EarlyDecision(0.5, first=True)
    assert track.push(2.0, 2, 0.9, END) is None
    assert track.push(3.0, 2, 0.9, ()) == EarlyDecision(1.0, first=False)


def test_when_the_background_has_led_another_action_may_be_decided() -> None:
    track = EarlyDecisions(EarlyDecisionTerms(error_rate=0.05, threshold=0.6, min_steps=1, background=0))
    assert track.push(0.0, 1, 0.9, ()) == EarlyDecision(0.0, first=True)
    assert track.push(1.0, 0, 0.9, ()) is None
    assert track.push(3.0, 1, 0.9, ()) == EarlyDecision(2.0, first=False)


def told(stream: Stream) -> list[DecisionMessage]:
    return stream.of(DecisionMessage)


def moving(stream: Stream, seqs: range) -> None:
    for seq in seqs:
        stream.send(seq, seq / 15, {1: body(seq // 6)})
        stream.rig.run()


def test_decisions_are_what_the_rule_makes_of_the_predictions(bundle: Bundle) -> None:
    stream = Stream(Rig(bundle), error_rate=RATE)
    moving(stream, range(12))
    stream.receive(Reset())
    moving(stream, range(12, 40))
    expected = []
    rule, epoch = EarlyDecisionRule(0.4, 2, None), 0
    ended = {(e.seq, e.track) for e in stream.of(Event) if e.phase == "end"}
    for one in stream.predictions:
        if one.epoch != epoch or (one.seq, one.track) in ended:
            rule.reopen()
        epoch = one.epoch
        if rule.push(int(np.argmax(one.probabilities)), max(one.probabilities)):
            expected.append((one.seq, one.label, one.epoch))
    assert expected
    assert [(d.seq, d.label, d.epoch) for d in told(stream)] == expected
    firsts = [d for d in told(stream) if d.first]
    assert [d.epoch for d in firsts] == [0, 1]
    assert {d.error_rate for d in told(stream)} == {RATE}
    assert firsts[0].elapsed_s == pytest.approx(firsts[0].pts_s)


def test_without_an_error_rate_nothing_is_decided(bundle: Bundle) -> None:
    stream = Stream(Rig(bundle))
    moving(stream, range(20))
    assert len(stream.predictions) == 20
    assert told(stream) == []


@pytest.mark.parametrize("results", ["json", "packed"])
def test_a_decision_arrives_over_the_socket_after_its_prediction_and_equals_the_scored_one(
    server: Running, results: Literal["json", "packed"]
) -> None:
    heard: list[DecisionMessage] = []
    client = Client(server.url)
    with client.stream("tiny", policy="block", error_rate=RATE, results=results, on_decision=heard.append) as stream:
        answers = list(stream.play(list(zip(TIMES.tolist(), BODY, strict=True))))
    assert heard
    shares = {one.seq: one.probabilities for one in answers}
    for decision in heard:
        assert decision.probability == pytest.approx(max(shares[decision.seq]), abs=1e-5)
        assert decision.probability >= 0.4
        assert decision.label != "c"
    scored = client.score(BODY, "tiny", fps=15, error_rate=RATE)
    assert [(d.seq, d.label, d.first) for d in scored.decisions] == [(d.seq, d.label, d.first) for d in heard]
    assert [d.elapsed_s for d in scored.decisions] == pytest.approx([d.elapsed_s for d in heard], abs=1e-6)
    assert client.score(BODY, "tiny", fps=15).decisions == ()


def test_the_async_client_hears_the_same(server: Running) -> None:
    heard: list[DecisionMessage] = []

    async def run() -> Any:
        client = AsyncClient(server.url)
        options: Any = {"policy": "block", "error_rate": RATE}
        async with client.stream("tiny", on_decision=heard.append, **options) as stream:
            async for _ in stream.play(list(zip(TIMES.tolist(), BODY, strict=True))):
                pass
        return await client.score(BODY, "tiny", fps=15, error_rate=RATE)

    scored = asyncio.run(run())
    assert [d.seq for d in heard] == [d.seq for d in scored.decisions] != []


def test_a_rate_that_is_not_promised_is_refused_at_once(server: Running) -> None:
    client = Client(server.url)
    with pytest.raises(RemoteError, match=r"it promises 0\.05, 0\.2") as caught:
        client.stream("tiny", error_rate=0.01)
    assert (caught.value.code, caught.value.fatal) == ("unknown_error_rate", True)
    with pytest.raises(RemoteError, match=r"it promises 0\.05, 0\.2"):
        client.score(BODY, "tiny", fps=15, error_rate=0.01)
    assert not server.core.hub.streams()


def test_a_bundle_says_which_rates_it_promises_and_the_protocol_what_a_decision_is(server: Running) -> None:
    (listed,) = httpx.get(f"{server.url}/v1/bundles").json()
    assert listed["error_rates"] == [0.05, 0.2]
    protocol = httpx.get(f"{server.url}/v1/protocol").json()
    assert "DecisionMessage" in protocol["outgoing"]["$defs"]
    assert protocol["errors"]["unknown_error_rate"]["close"] == 4422
