"""Which frame is decoded next: in order, in turns by time, never too far ahead, and nothing that nobody wants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.inputs.decode_cost import DecodeCost
from inkling.service.inputs.decode_queue import AHEAD, HEAVY_BYTES, HEAVY_S, DecodeQueue


def lane(slot: int = 0) -> Lane:
    return Lane(slot, 0, lambda rows: rows)


def step(on: Lane, x: Any = 0) -> Step:
    return Step(on, x, 0, 0, 0.0)


class Queue:
    """A queue in which `x` is a step's cost, in seconds or as a DecodeCost."""

    def __init__(self, threads: int = 4) -> None:
        self.queue: DecodeQueue[str] = DecodeQueue(threads)

    def submit(self, steps: list[Step]) -> None:
        self.queue.submit("owner", lambda x: x if isinstance(x, DecodeCost) else DecodeCost(x, 0), steps)

    def take(self) -> Step | None:
        taken = self.queue.take()
        if taken is None:
            return None
        assert taken[1] == "owner"
        return taken[0]

    def decoded(self, done: Step, good: bool = True, seconds: float = 0.001) -> None:
        self.queue.decoded(done, good, seconds)


def test_one_frame_of_a_lane_at_a_time_and_lanes_in_turn() -> None:
    queue, a, b = Queue(), lane(0), lane(1)
    flood, other = [step(a) for _ in range(3)], step(b)
    queue.submit(flood)
    queue.submit([other])
    assert queue.take() is flood[0]
    assert queue.take() is other
    assert queue.take() is None
    queue.decoded(flood[0], True)
    assert queue.take() is flood[1]


def test_a_lane_is_decoded_no_further_ahead_than_allowed() -> None:
    queue, a = Queue(), lane()
    steps = [step(a) for _ in range(AHEAD + 2)]
    queue.submit(steps)
    taken = []
    while (one := queue.take()) is not None:
        queue.decoded(one, True)
        taken.append(one)
    assert taken == steps[:AHEAD]
    queue.queue.answered(steps[:1])
    assert queue.take() is steps[AHEAD]


def test_a_frame_that_cannot_be_decoded_takes_no_place() -> None:
    queue, a = Queue(), lane()
    steps = [step(a) for _ in range(5)]
    queue.submit(steps)
    for expected in steps:
        assert queue.take() is expected
        queue.decoded(expected, False)


def test_what_waits_can_be_taken_back_and_what_has_begun_cannot() -> None:
    queue, a = Queue(), lane()
    first, second, third = (step(a) for _ in range(3))
    queue.submit([first, second, third])
    assert queue.take() is first
    assert not queue.queue.cancel([first])
    assert queue.queue.cancel([second])
    assert not queue.queue.cancel([second])
    queue.decoded(first, True)
    assert queue.take() is third


def test_nothing_of_a_closed_lane_is_decoded_or_handed_on() -> None:
    queue, a = Queue(), lane()
    first, second = step(a), step(a)
    queue.submit([first, second])
    assert queue.take() is first
    queue.queue.close(a)
    assert not queue.queue.waits_for(first)
    queue.decoded(first, True)
    assert queue.take() is None
    a.closed = True
    queue.submit([step(a)])
    assert not queue.queue


def test_the_stream_that_has_used_the_least_time_is_next() -> None:
    """Ten streams of 1 ms a frame beside one of 15 ms: each of them decodes fifteen frames for one of its."""
    queue, slow = Queue(), lane(99)
    quick = [lane(i) for i in range(10)]
    cost = dict.fromkeys(quick, 0.001) | {slow: 0.015}
    queue.submit([step(each) for each in cost for _ in range(200)])
    taken = dict.fromkeys(cost, 0)
    for _ in range(1000):
        one = queue.take()
        assert one is not None
        taken[one.lane] += 1
        queue.decoded(one, False, cost[one.lane])
    used = [taken[each] * cost[each] for each in cost]
    assert max(used) - min(used) <= 0.015


def test_a_stream_does_not_save_up_time_while_it_rests() -> None:
    queue, busy, rested = Queue(), lane(0), lane(1)
    queue.submit([step(rested), *(step(busy) for _ in range(200))])
    for _ in range(101):
        one = queue.take()
        assert one is not None
        queue.decoded(one, False, 0.01)
    queue.submit([step(rested) for _ in range(50)])
    following = []
    for _ in range(20):
        one = queue.take()
        assert one is not None
        following.append(one.lane)
        queue.decoded(one, False, 0.01)
    assert 9 <= following.count(busy) <= 11


@pytest.mark.parametrize(("threads", "most"), [(1, 1), (2, 1), (8, 7)])
def test_heavy_images_leave_a_thread_to_the_light_ones(threads: int, most: int) -> None:
    queue, light = Queue(threads), step(lane(99), 0.001)
    queue.submit([step(lane(i), 2 * HEAVY_S) for i in range(20)])
    heavy = [queue.take() for _ in range(most)]
    assert None not in heavy
    assert queue.take() is None
    queue.submit([light])
    assert queue.take() is light
    assert queue.take() is None
    assert heavy[0] is not None
    queue.decoded(heavy[0])
    assert queue.take() is not None


def test_heavy_images_share_one_account_of_memory() -> None:
    queue = Queue(8)
    half, most = DecodeCost(2 * HEAVY_S, HEAVY_BYTES // 2), DecodeCost(2 * HEAVY_S, 3 * HEAVY_BYTES)
    first, large, second, third = (step(lane(i), cost) for i, cost in enumerate((half, most, half, half)))
    queue.submit([first, large, second, third])
    assert [queue.take() for _ in range(3)] == [first, second, None]  # `large` waits, and so does `third`
    queue.decoded(first)
    assert [queue.take() for _ in range(2)] == [third, None]
    queue.decoded(second)
    queue.queue.close(third.lane)
    queue.decoded(third)  # nobody waits for it, and its memory is given back all the same
    assert queue.take() is large  # more than all there is: alone
    assert queue.take() is None


def test_a_lane_whose_heavy_frame_was_cancelled_is_light_and_the_other_way_round() -> None:
    queue, a, b = Queue(2), lane(0), lane(1)
    heavy, light = step(a, 2 * HEAVY_S), step(a, 0.001)
    other = step(b, 2 * HEAVY_S)
    queue.submit([other, heavy, light])
    assert queue.take() is other
    assert queue.take() is None
    assert queue.queue.cancel([heavy])
    queue.decoded(other)
    assert queue.take() is light


class Queueing(RuleBasedStateMachine):
    """Whatever happens, each lane's frames come out in order, one at a time, and at most AHEAD too early."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
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
        assert self.queue.queue.waits_for(done)
        self.queue.decoded(done, good)
        if good:
            self.ahead[done.lane].append(done)

    @rule(number=st.integers(0, 2))
    def answer(self, number: int) -> None:
        if self.ahead[self.lanes[number]]:
            self.queue.queue.answered([self.ahead[self.lanes[number]].pop(0)])

    @rule(number=st.integers(0, 2))
    def cancel_oldest(self, number: int) -> None:
        if waiting := self.waiting[self.lanes[number]]:
            assert self.queue.queue.cancel([waiting.pop(0)])

    @invariant()
    def never_too_far_ahead(self) -> None:
        assert all(len(ahead) <= AHEAD for ahead in self.ahead.values())


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
