from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import DecisionRule
from inkling.models.clock import Resampler
from inkling.service.engine.scheduler import Lane, Scheduler, Step
from inkling.service.memory_account import MemoryAccount
from inkling.service.protocol.errors import BadMessage, OverCapacity, ServiceError
from inkling.service.streams.event_detector import DetectedEvent, EventDetector
from inkling.service.streams.in_flight import FlushMarker, FrameInFlight, FramePerception, PersonStep
from inkling.service.streams.pending import FREE, MARKERS, PendingFrames
from inkling.service.streams.tracks import Track

X = np.zeros(1)


class Stage:
    """Pending frames before a bare scheduler, and the owner of the frames."""

    def __init__(self, limit: int = 3, *, drop_oldest: bool = True) -> None:
        self.scheduler = Scheduler()
        self.pending = PendingFrames(limit, self.scheduler, drop_oldest=drop_oldest)
        self.people: dict[int, tuple[Track, Lane]] = {}

    def step_done(self, step: PersonStep, now_s: float) -> None:
        self.pending.step_done(step.frame)

    def perceived(self, picture: FramePerception, now_s: float) -> None:
        self.pending.perceived(picture.frame)

    def fail(self, error: ServiceError) -> None:
        raise AssertionError(error)

    def person(self, track_id: int) -> tuple[Track, Lane]:
        if track_id not in self.people:
            track = Track(track_id, 0.0, Resampler(15.0), EventDetector(DecisionRule(), None))
            self.people[track_id] = track, Lane(track_id, 0, lambda rows: rows)
        return self.people[track_id]

    def frame(self, seq: int, *people: int) -> FrameInFlight:
        frame = FrameInFlight(self, seq, seq / 15, 0.0)
        for track, lane in map(self.person, people):
            frame.steps.append(PersonStep(lane, X, 0, frame, track))
        return frame

    def submit(self, seq: int, *people: int) -> bool:
        return self.pending.submit(self.frame(seq, *(people or (1,))))

    def silent(self, seq: int, *ended: tuple[Track, DetectedEvent]) -> None:
        frame = self.frame(seq)
        frame.ended = list(ended) or None
        self.pending.append_silent(frame)

    def begin(self, limit: int = 8) -> list[Step]:
        return self.scheduler.take(limit)

    def finish(self, steps: list[Step]) -> None:
        self.scheduler.complete(steps, None)
        for step in steps:
            step.failed(0.0)

    def take_settled(self) -> list[Any]:
        """seq of each frame (with the number of those that it stands for), id of each flush."""
        out: list[Any] = []
        for entry in self.pending.take_settled():
            if isinstance(entry, FlushMarker):
                out.append(f"flush {entry.id}")
            else:
                for step in entry.steps:
                    step.track.waiting -= 1
                out.append(entry.seq if entry.steps else (entry.seq, entry.frames))
        return out


def test_frames_come_out_in_order_whatever_order_they_settle_in() -> None:
    stage = Stage()
    stage.submit(0, 1)
    stage.submit(1, 2)
    first, second = stage.begin()
    stage.finish([second])
    assert stage.take_settled() == []
    stage.finish([first])
    assert stage.take_settled() == [0, 1]
    assert (len(stage.pending), stage.pending.waiting) == (0, 0)


def test_a_frame_is_settled_when_each_of_its_people_is() -> None:
    stage = Stage()
    frame = stage.frame(0, 1, 2)
    assert stage.pending.submit(frame) is False
    assert stage.pending.step_done(frame) is False
    assert stage.pending.waiting == 1
    assert stage.pending.step_done(frame) is True
    assert stage.pending.waiting == 0
    assert stage.take_settled() == [0]


def test_a_flush_keeps_its_place() -> None:
    stage = Stage()
    stage.pending.mark(1)
    stage.submit(0)
    stage.pending.mark(2)
    stage.silent(1)
    assert stage.take_settled() == ["flush 1"]
    stage.finish(stage.begin())
    assert stage.take_settled() == [0, "flush 2", (1, 1)]


def test_flushes_beyond_the_limit_are_refused_until_some_are_answered() -> None:
    stage = Stage()
    for number in range(MARKERS):
        stage.pending.mark(number)
    with pytest.raises(BadMessage, match="flushes wait"):
        stage.pending.mark(MARKERS)
    assert len(stage.take_settled()) == MARKERS
    stage.pending.mark(0)


def test_a_full_inbox_drops_the_oldest_frame_that_has_not_begun() -> None:
    stage = Stage(limit=2)
    assert [stage.submit(0), stage.submit(1)] == [False, False]
    begun = stage.begin()
    assert stage.pending.full
    assert stage.submit(2) is True
    assert (stage.pending.waiting, stage.person(1)[0].waiting) == (2, 2)
    stage.finish(begun)
    stage.finish(stage.begin())
    assert stage.take_settled() == [0, 2]


def test_when_all_have_begun_the_new_frame_is_dropped_and_keeps_its_place() -> None:
    stage = Stage(limit=1)
    stage.submit(0)
    begun = stage.begin()
    assert stage.submit(1) is True
    stage.finish(begun)
    assert stage.take_settled() == [0, (1, 1)]
    assert stage.person(1)[0].waiting == 0


def test_a_frame_of_which_one_person_has_begun_is_not_dropped() -> None:
    stage = Stage(limit=1)
    stage.submit(0, 1, 2)
    begun = stage.begin(1)
    assert stage.submit(1, 3) is True
    stage.finish(begun)
    stage.finish(stage.begin())
    assert stage.take_settled() == [0, (1, 1)]


def test_with_policy_block_every_frame_is_taken() -> None:
    stage = Stage(limit=1, drop_oldest=False)
    assert [stage.submit(0), stage.submit(1)] == [False, False]
    assert stage.pending.full
    assert stage.pending.waiting == 2


def test_frames_without_steps_merge_while_they_wait() -> None:
    stage = Stage()
    stage.submit(0)
    for seq in range(1, 100):
        stage.silent(seq)
    assert len(stage.pending) == 2
    stage.finish(stage.begin())
    assert stage.take_settled() == [0, (99, 99)]


def test_a_frame_at_which_something_ended_merges_with_none() -> None:
    stage = Stage()
    ended = (stage.person(7)[0], DetectedEvent("end", 0, 0.1))
    stage.submit(0)
    stage.silent(1)
    stage.silent(2, ended)
    stage.silent(3)
    stage.silent(4)
    stage.finish(stage.begin())
    assert stage.take_settled() == [0, (1, 1), (2, 1), (4, 2)]


def test_a_dropped_frame_at_which_something_ended_keeps_its_place() -> None:
    stage = Stage(limit=1)
    frame = stage.frame(0, 1)
    frame.ended = [(stage.person(7)[0], DetectedEvent("end", 0, 0.1))]
    stage.pending.submit(frame)
    assert stage.submit(1) is True
    assert stage.take_settled() == [(0, 1)]
    stage.finish(stage.begin())
    assert stage.take_settled() == [1]


def test_clearing_counts_the_frames_with_steps_and_takes_new_ones() -> None:
    stage = Stage()
    stage.submit(0)
    stage.silent(1)
    stage.pending.mark(1)
    stage.submit(2)
    assert stage.pending.clear() == 2
    assert (len(stage.pending), stage.pending.waiting, stage.pending.full) == (0, 0, False)


ACTIONS = st.sampled_from(["one", "two", "silent", "begin", "finish", "settle", "flush"])


@given(st.lists(ACTIONS, max_size=60), st.integers(1, 4), st.booleans())
def test_nothing_is_lost_doubled_or_out_of_order(actions: list[str], limit: int, drop_oldest: bool) -> None:
    stage = Stage(limit, drop_oldest=drop_oldest)
    sent = silent = dropped = 0
    begun: list[Step] = []
    out: list[Any] = []
    for action in [*actions, *["finish", "begin"] * 80, "finish", "settle"]:
        match action:
            case "one" | "two":
                dropped += stage.submit(sent, *((1,) if action == "one" else (1, 2)))
                sent += 1
                assert not drop_oldest or stage.pending.waiting <= limit
            case "silent":
                stage.silent(sent)
                silent += 1
                sent += 1
            case "begin":
                begun += stage.begin(1)
            case "finish":
                stage.finish(begun[:1])
                begun = begun[1:]
            case "settle":
                out += stage.take_settled()
            case "flush":
                stage.pending.mark(sent)
    order = [int(entry.removeprefix("flush ")) - 0.5 if isinstance(entry, str) else entry for entry in out]
    order = [entry[0] if isinstance(entry, tuple) else entry for entry in order]
    assert order == sorted(order)
    answered = sum(isinstance(entry, int) for entry in out)
    assert drop_oldest or not dropped
    assert answered == sent - silent - dropped
    assert sum(isinstance(entry, str) for entry in out) == actions.count("flush")
    assert (len(stage.pending), stage.pending.waiting) == (0, 0)
    assert all(track.waiting == 0 for track, _ in stage.people.values())


# -- images that wait ------------------------------------------------------------------------------------------------
def images(account: MemoryAccount, *, drop_oldest: bool = True) -> Stage:
    stage = Stage(8)
    stage.pending = PendingFrames(8, stage.scheduler, drop_oldest=drop_oldest, memory=account.share("images"))
    return stage


def image(stage: Stage, seq: int, count: int) -> FrameInFlight:
    frame = stage.frame(seq, 1)
    stage.pending.hold(frame, count)
    stage.pending.submit(frame)
    return frame


def test_small_images_are_not_accounted_for_and_large_ones_until_they_are_answered() -> None:
    account = MemoryAccount(100 * FREE)
    stage = images(account)
    image(stage, 0, FREE)
    assert account.promised["images"] == 0
    image(stage, 1, 3 * FREE)
    assert account.promised["images"] == 3 * FREE
    for _ in range(2):
        for step in (steps := stage.begin()):
            stage.step_done(cast(PersonStep, step), 0.0)
        stage.finish(steps)
    assert account.promised["images"] == 0


def test_a_picture_that_is_stepped_beside_its_people_is_accounted_for_until_they_are_answered() -> None:
    account = MemoryAccount(100 * FREE)
    for fitted, then in ((0, 0), (2 * FREE, 2 * FREE)):
        stage = images(account)
        frame = stage.frame(0, 1)
        stage.pending.hold(frame, 3 * FREE, fitted)
        frame.left, stage.pending.waiting = 1, 1
        stage.pending._entries.append(frame)
        stage.pending.perceived(frame)
        assert account.promised["images"] == then
        for step in (steps := stage.begin()):
            stage.step_done(cast(PersonStep, step), 0.0)
        stage.finish(steps)
        assert account.promised["images"] == 0


def test_without_memory_a_live_stream_drops_the_oldest_of_its_own_images() -> None:
    account = MemoryAccount(8 * FREE)  # of which images get half
    stage, other = images(account), images(account)
    image(other, 0, 3 * FREE)
    for seq in range(4):
        image(stage, seq, 2 * FREE)
    assert (stage.pending.waiting, other.pending.waiting) == (1, 1)
    assert account.promised["images"] == 3 * FREE
    with pytest.raises(OverCapacity):
        image(stage, 9, 9 * FREE)
    stage.pending.clear()
    other.pending.clear()
    assert account.promised["images"] == 0


def test_a_stream_that_drops_nothing_is_full_when_there_is_no_memory_for_another_image() -> None:
    account = MemoryAccount(8 * FREE)
    stage, other = images(account, drop_oldest=False), images(account, drop_oldest=False)
    image(stage, 0, 3 * FREE)
    assert stage.pending.full
    assert not other.pending.full, "with nothing of its own under way nothing would wake it"
    with pytest.raises(OverCapacity):
        image(other, 0, 4 * FREE)
    image(other, 0, FREE)
