"""Decoding between sessions and batcher, on threads: everything reaches the batcher in order, and nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.inputs.decode_cost import FREE, DecodeCost
from inkling.service.inputs.decode_pool import DecodePool, Decoder
from inkling.service.protocol.errors import BadImage, Internal, ServiceError


def lane(slot: int = 0) -> Lane:
    return Lane(slot, 0, lambda rows: rows)


def step(on: Lane, x: Any = 0) -> Step:
    return Step(on, x, 0, 0, 0.0)


def free(x: Any) -> DecodeCost:
    return FREE


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


def test_frames_reach_the_batcher_decoded_and_in_order() -> None:
    sink, pool = Sink(), DecodePool(3)
    decoder = Decoder(pool, sink, lambda x: np.full(2, x), lambda step, error: None, free)
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

    pool = DecodePool(1)
    decoder = Decoder(pool, sink, decode, lambda step, error: refused.append((step, error)), free)
    a = lane()
    bad, good = step(a, 0), step(a, 1)
    decoder.submit([bad, good])
    while pool.run_once():
        pass
    assert [one for one, _ in refused] == [bad]
    assert isinstance(refused[0][1], told)
    assert sink.steps == [good]
    assert len(decoder.take_seconds()) == 2
    assert decoder.take_seconds() == []


def test_a_lane_closed_while_it_is_decoded_hands_nothing_on() -> None:
    sink = Sink()
    a = lane()
    pool = DecodePool(1)
    decoder = Decoder(pool, sink, lambda x: decoder.close(a), lambda step, error: None, free)
    decoder.submit([step(a), step(a)])
    assert pool.run_once()
    assert not pool.run_once()
    assert (sink.steps, sink.closed) == ([], [a])
