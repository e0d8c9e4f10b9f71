"""Decoding between sessions and batcher: in order, in turns, never too far ahead, and nothing that nobody wants."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.inputs.decode_pool import AHEAD, DecodePool, DecodeQueue, Decoder
from inkling.service.protocol.errors import BadImage, Internal, ServiceError


def lane(slot: int = 0) -> Lane:
    return Lane(slot, 0, lambda rows: rows)


def step(on: Lane, x: Any = 0) -> Step:
    return Step(on, x, 0, 0, 0.0)


class Sink:
    """Stands where the batcher does."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.closed: list[Lane] = []

    def submit(self, steps: Iterable[Step], /) -> None:
        self.steps += steps

    def cancel(self, steps: Sequence[Step], /) -> bool:
        return False

    def close(self, lane: Lane, /) -> None:
        lane.closed = True
        self.closed.append(lane)


def test_one_frame_of_a_lane_at_a_time_and_lanes_in_turn() -> None:
    queue, a, b = DecodeQueue(), lane(0), lane(1)
    flood, other = [step(a) for _ in range(3)], step(b)
    queue.submit(flood)
    queue.submit([other])
    assert queue.take() is flood[0]
    assert queue.take() is other
    assert queue.take() is None
    assert queue.decoded(flood[0], True)
    assert queue.take() is flood[1]


def test_a_lane_is_decoded_no_further_ahead_than_allowed() -> None:
    queue, a = DecodeQueue(), lane()
    steps = [step(a) for _ in range(AHEAD + 2)]
    queue.submit(steps)
    taken = []
    while (one := queue.take()) is not None:
        queue.decoded(one, True)
        taken.append(one)
    assert taken == steps[:AHEAD]
    queue.answered(steps[:1])
    assert queue.take() is steps[AHEAD]


def test_a_frame_that_cannot_be_decoded_takes_no_place() -> None:
    queue, a = DecodeQueue(), lane()
    steps = [step(a) for _ in range(5)]
    queue.submit(steps)
    for expected in steps:
        assert queue.take() is expected
        queue.decoded(expected, False)


def test_what_waits_can_be_taken_back_and_what_has_begun_cannot() -> None:
    queue, a = DecodeQueue(), lane()
    first, second, third = (step(a) for _ in range(3))
    queue.submit([first, second, third])
    assert queue.take() is first
    assert not queue.cancel([first])
    assert queue.cancel([second])
    assert not queue.cancel([second])
    queue.decoded(first, True)
    assert queue.take() is third


def test_nothing_of_a_closed_lane_is_decoded_or_handed_on() -> None:
    queue, a = DecodeQueue(), lane()
    first, second = step(a), step(a)
    queue.submit([first, second])
    assert queue.take() is first
    queue.close(a)
    assert not queue.decoded(first, True)
    assert queue.take() is None
    a.closed = True
    queue.submit([step(a)])
    assert not queue


class Queueing(RuleBasedStateMachine):
    """Whatever happens, each lane's frames come out in order, one at a time, and at most AHEAD too early."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = DecodeQueue()
        self.lanes = [lane(i) for i in range(3)]
        self.waiting: dict[Lane, list[Step]] = {each: [] for each in self.lanes}
        self.decoding: list[Step] = []
        self.ahead: dict[Lane, list[Step]] = {each: [] for each in self.lanes}

    @rule(number=st.integers(0, 2))
    def submit(self, number: int) -> None:
        new = step(self.lanes[number])
        self.queue.submit([new])
        self.waiting[new.lane].append(new)

    @rule()
    def take(self) -> None:
        able = {
            each
            for each in self.lanes
            if self.waiting[each]
            and len(self.ahead[each]) < AHEAD
            and all(other.lane is not each for other in self.decoding)
        }
        taken = self.queue.take()
        if taken is None:
            assert not able
            return
        assert taken.lane in able
        assert taken is self.waiting[taken.lane].pop(0)
        self.decoding.append(taken)

    @precondition(lambda self: self.decoding)
    @rule(data=st.data(), good=st.booleans())
    def decoded(self, data: st.DataObject, good: bool) -> None:
        done = self.decoding.pop(data.draw(st.integers(0, len(self.decoding) - 1)))
        assert self.queue.decoded(done, good)
        if good:
            self.ahead[done.lane].append(done)

    @rule(number=st.integers(0, 2))
    def answer(self, number: int) -> None:
        if self.ahead[self.lanes[number]]:
            self.queue.answered([self.ahead[self.lanes[number]].pop(0)])

    @rule(number=st.integers(0, 2))
    def cancel_oldest(self, number: int) -> None:
        if waiting := self.waiting[self.lanes[number]]:
            assert self.queue.cancel([waiting.pop(0)])

    @invariant()
    def never_too_far_ahead(self) -> None:
        assert all(len(ahead) <= AHEAD for ahead in self.ahead.values())


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


# -- with threads -------------------------------------------------------------------------------------------------
def test_frames_reach_the_batcher_decoded_and_in_order() -> None:
    sink, pool = Sink(), DecodePool(3)
    decoder = Decoder(pool, sink, lambda x: np.full(2, x), lambda step, error: None)
    lanes = [lane(i) for i in range(5)]
    pool.start()
    answered = 0
    for number in range(20):
        decoder.submit([step(each, 100 * each.slot + number) for each in lanes])
    deadline = threading.Event()
    while answered < 100 and not deadline.wait(0.001):
        new = sink.steps[answered:]
        decoder.answered(new)
        answered += len(new)
    assert pool.stop(5.0)
    for each in lanes:
        mine = [int(one.x[0]) for one in sink.steps if one.lane is each]
        assert mine == [100 * each.slot + number for number in range(20)]


@pytest.mark.parametrize(("raised", "told"), [(BadImage("broken"), BadImage), (RuntimeError("a defect"), Internal)])
def test_a_frame_that_cannot_be_decoded_is_refused_and_the_next_one_is_decoded(
    raised: Exception, told: type[ServiceError]
) -> None:
    refused: list[tuple[Step, ServiceError]] = []
    sink = Sink()

    def decode(x: int) -> int:
        if x == 0:
            raise raised
        return x

    decoder = Decoder(DecodePool(1), sink, decode, lambda step, error: refused.append((step, error)))
    a = lane()
    bad, good = step(a, 0), step(a, 1)
    decoder.submit([bad, good])
    while decoder.run_once():
        pass
    assert [one for one, _ in refused] == [bad]
    assert isinstance(refused[0][1], told)
    assert sink.steps == [good]
    assert len(decoder.take_seconds()) == 2
    assert decoder.take_seconds() == []


def test_a_lane_closed_while_it_is_decoded_hands_nothing_on() -> None:
    sink = Sink()
    a = lane()
    decoder = Decoder(DecodePool(1), sink, lambda x: decoder.close(a), lambda step, error: None)
    decoder.submit([step(a), step(a)])
    assert decoder.run_once()
    assert not decoder.run_once()
    assert (sink.steps, sink.closed) == ([], [a])
