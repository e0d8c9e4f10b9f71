from __future__ import annotations

import numpy as np

from inkling.service.engine.scheduler import Lane, Scheduler, Step

X = np.zeros(1)


def lane(slot: int = 0) -> Lane:
    return Lane(slot, 0, lambda rows: rows)


def step(on: Lane, epoch: int = 0, repeats: int = 0) -> Step:
    return Step(on, X, epoch, repeats, 0.0)


def test_steps_of_one_lane_run_in_order_and_one_at_a_time() -> None:
    scheduler, track = Scheduler(), lane()
    first, second = step(track), step(track)
    scheduler.submit([first, second])
    assert scheduler.take(8) == [first]
    assert scheduler.take(8) == []
    scheduler.complete([first], None)
    assert scheduler.take(8) == [second]
    scheduler.complete([second], None)
    assert not scheduler


def test_the_longest_waiting_lanes_go_first() -> None:
    scheduler = Scheduler()
    steps = [step(lane(slot)) for slot in range(5)]
    scheduler.submit(steps)
    assert scheduler.take(2) == steps[:2]
    assert scheduler.take(2) == steps[2:4]
    assert scheduler.take(2) == steps[4:]


def test_a_lane_with_many_steps_gets_one_turn_in_each_round() -> None:
    scheduler, greedy, modest = Scheduler(), lane(0), lane(1)
    flood = [step(greedy) for _ in range(9)]
    scheduler.submit(flood)
    scheduler.submit([step(modest)])
    order = []
    while taken := scheduler.take(1):
        order.append(taken[0].lane)
        scheduler.complete(taken, None)
    assert order[:3] == [greedy, modest, greedy]
    assert len(order) == 10


def test_a_step_with_repeats_takes_as_many_turns_before_its_own() -> None:
    scheduler, track = Scheduler(), lane()
    scheduler.submit([step(track)])
    scheduler.complete(scheduler.take(1), None)
    held = step(track, repeats=2)
    scheduler.submit([held])
    left = []
    while taken := scheduler.take(1):
        left.append(taken[0].repeats)
        scheduler.complete(taken, None)
    assert left == [2, 1, 0]


def test_nothing_is_held_over_a_reset() -> None:
    scheduler, track = Scheduler(), lane()
    scheduler.submit([step(track, epoch=0)])
    scheduler.complete(scheduler.take(1), None)
    scheduler.submit([step(track, epoch=1, repeats=3)])
    assert [taken.repeats for taken in scheduler.take(1)] == [0]


def test_a_failed_step_is_over_and_is_not_held() -> None:
    scheduler, track = Scheduler(), lane()
    first, second = step(track), step(track, repeats=2)
    scheduler.submit([first, second])
    scheduler.complete(scheduler.take(1), [False])
    assert track.held is None
    assert scheduler.take(1) == [second]
    assert second.repeats == 0


def test_what_has_not_begun_can_be_taken_back() -> None:
    scheduler, track = Scheduler(), lane()
    first, second, third = step(track), step(track), step(track)
    scheduler.submit([first, second, third])
    assert scheduler.take(1) == [first]
    assert not scheduler.cancel([first])
    assert scheduler.cancel([second])
    assert not scheduler.cancel([second])
    scheduler.complete([first], None)
    assert scheduler.take(1) == [third]


def test_a_step_between_two_of_its_repeats_has_begun() -> None:
    scheduler, track = Scheduler(), lane()
    scheduler.submit([step(track)])
    scheduler.complete(scheduler.take(1), None)
    held = step(track, repeats=2)
    scheduler.submit([held])
    scheduler.complete(scheduler.take(1), None)
    assert not scheduler.cancel([held])


def test_people_of_a_frame_are_taken_back_together_or_not_at_all() -> None:
    scheduler = Scheduler()
    begun, waiting = step(lane(0)), step(lane(1))
    scheduler.submit([begun, waiting])
    assert scheduler.take(1) == [begun]
    assert not scheduler.cancel([begun, waiting])
    assert scheduler.take(1) == [waiting]


def test_a_lane_keeps_its_turn_when_its_oldest_step_is_taken_back() -> None:
    scheduler, first, second = Scheduler(), lane(0), lane(1)
    old, new = step(first), step(first)
    scheduler.submit([old, new, step(second)])
    scheduler.cancel([old])
    assert scheduler.take(1) == [new]


def test_a_lane_without_steps_left_is_passed_over_and_comes_back() -> None:
    scheduler, track = Scheduler(), lane()
    gone = step(track)
    scheduler.submit([gone])
    scheduler.cancel([gone])
    assert scheduler
    assert scheduler.take(1) == []
    again = step(track)
    scheduler.submit([again])
    assert scheduler.take(1) == [again]


def test_a_closed_lane_runs_nothing_more() -> None:
    scheduler, track, other = Scheduler(), lane(0), lane(1)
    running, waiting, ready = step(track), step(track), step(other)
    scheduler.submit([running, waiting])
    assert scheduler.take(1) == [running]
    scheduler.submit([ready])
    scheduler.close(track)
    scheduler.close(other)
    scheduler.complete([running], None)
    scheduler.submit([step(track), step(other)])
    assert scheduler.take(8) == []
    assert not scheduler
