"""Batched streams equal a plain loop over each track alone, whatever joins, leaves, is reset, dropped or fails.

Both engines are driven: the plain one, and that of a device, on the CPU.

The plain loop (`PlainTrack`, a `Resampler` of its own) learns from the core only which frames were stepped: what was
dropped, and how far a frame had come when its batch failed. Everything else it must get right by itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inkling.models.bundle import Bundle
from inkling.models.clock import Resampler
from inkling.service.protocol.codec import End, ErrorMessage, Reset, Summary
from inkling.service.streams.in_flight import PersonStep
from inkling.service.streams.limits import Limits
from tests.service.rig import ENGINES, FaultyDevice, FaultyEngine, Floats, PlainTrack, Rig, Stream, body, tiny
from tests.support import TinyReference

ERROR = 1e-5
PEOPLE = 3
STEPS_S = (0.0, 0.02, 1 / 30, 1 / 15, 1 / 15, 1 / 15, 0.1, 0.2, 0.4, 1.5, -0.03, -3.0)
"""Time from one frame to the next: too fast, right, too slow, a gap (over 1 s), repeated, backward."""


TIMED = {"kind": "timed_temperature", "first": 3.0, "later": 0.5, "settle_s": 0.4}


def heat(steps: int) -> float:
    """The temperature of `TIMED`, at 15 steps a second."""
    return float(0.5 * 6.0 ** np.exp(-steps / 15 / 0.4))


BUNDLES: dict[str, Bundle] = {}
"""By gap policy."""


@pytest.fixture(scope="module", autouse=True)
def _bundles(tmp_path_factory: pytest.TempPathFactory) -> None:
    for policy in ("hold", "skip"):
        BUNDLES[policy] = tiny(tmp_path_factory.mktemp(policy), gaps={"policy": policy}, calibration=TIMED)


class Twin:
    """One track as the plain loop sees it."""

    def __init__(self, policy: str) -> None:
        self.resampler = Resampler(15.0, "hold" if policy == "hold" else "skip")
        self.plain = PlainTrack(TinyReference(), heat)
        self.epoch = self.answered_epoch = 0
        self.reasons: dict[int, str] = {}
        self.frames: dict[int, tuple[Floats, int, int]] = {}
        """seq -> pose, epoch, repeats of the frames that are to be stepped."""

    def reset(self, reason: str) -> None:
        self.epoch += 1
        self.reasons[self.epoch] = reason

    def see(self, seq: int, pts_s: float, pose: Floats) -> None:
        verdict = self.resampler.push(pts_s)
        if verdict.reset:
            self.reset(verdict.reset)
        if verdict.steps:
            self.frames[seq] = pose, self.epoch, verdict.steps - 1


class Watched:
    """A stream beside its twins."""

    def __init__(self, rig: Rig, policy: str, drop: str) -> None:
        self.stream = Stream(rig, policy=drop)
        self.twins = {track: Twin(policy) for track in range(PEOPLE)}
        self.seen: set[int] = set()
        self.expected: dict[tuple[int, int], np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self.seq = 0
        self.pts_s = 10.0
        self.checked = 0


class Invariance(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.streams: list[Watched] = []
        self.poses = 0

    @initialize(
        policy=st.sampled_from(["hold", "skip"]),
        slots=st.sampled_from([3, 9]),
        batch=st.integers(1, 8),
        engine=st.sampled_from(ENGINES),
    )
    def begin(self, policy: str, slots: int, batch: int, engine: type[FaultyEngine | FaultyDevice]) -> None:
        self.policy = policy
        limits = Limits(slots=slots, max_people=PEOPLE, inbox=3, max_batch=batch, track_timeout_s=1e9)
        self.rig = Rig(BUNDLES[policy], limits, engine)

    def watched(self, at: int) -> Watched:
        return self.streams[at % len(self.streams)]

    # -- what clients do ----------------------------------------------------------------------------------------------
    @precondition(lambda self: len(self.streams) < 5)
    @rule(drop=st.sampled_from(["drop_oldest", "block"]))
    def join(self, drop: str) -> None:
        self.streams.append(Watched(self.rig, self.policy, drop))

    @precondition(lambda self: self.streams)
    @rule(
        at=st.integers(0, 4),
        people=st.sets(st.integers(0, PEOPLE - 1), max_size=PEOPLE),
        step_s=st.sampled_from(STEPS_S),
        times=st.integers(1, 6),
    )
    def frames(self, at: int, people: set[int], step_s: float, times: int) -> None:
        watched = self.watched(at)
        for _ in range(times):
            self.frame(watched, people, step_s)

    def frame(self, watched: Watched, people: set[int], step_s: float) -> None:
        watched.pts_s = max(watched.pts_s + step_s, 0.0)
        poses = {}
        for track in sorted(people):
            self.poses += 1
            poses[track] = body(self.poses)
            watched.twins[track].see(watched.seq, watched.pts_s, poses[track])
        watched.seen |= people
        watched.stream.send(watched.seq, watched.pts_s, poses)
        watched.seq += 1

    @precondition(lambda self: self.streams)
    @rule(at=st.integers(0, 4), track=st.none() | st.integers(0, PEOPLE - 1))
    def reset(self, at: int, track: int | None) -> None:
        self.reset_tracks(self.watched(at), track)

    def reset_tracks(self, watched: Watched, track: int | None) -> None:
        for known in watched.seen if track is None else watched.seen & {track}:
            watched.twins[known].reset("requested")
            watched.twins[known].resampler.restart()
        watched.stream.receive(Reset(track=track))

    @precondition(lambda self: self.streams)
    @rule(at=st.integers(0, 4))
    def leave(self, at: int) -> None:
        watched = self.watched(at)
        self.streams.remove(watched)
        watched.stream.session.close()
        told = len(watched.stream.messages)
        self.late = watched, told

    @precondition(lambda self: self.streams)
    @rule(at=st.integers(0, 4))
    def end(self, at: int) -> None:
        watched = self.watched(at)
        watched.stream.receive(End())
        while not watched.stream.session.closed:
            self.batch()
        assert isinstance(watched.stream.messages[-1], Summary)
        self.check(watched)
        self.streams.remove(watched)

    # -- what the engine does -----------------------------------------------------------------------------------------
    @rule(batches=st.integers(1, 8))
    def run(self, batches: int) -> None:
        for _ in range(batches):
            self.batch()

    @rule()
    def fail(self) -> None:
        self.rig.engine.failing = True
        self.batch()
        self.rig.engine.failing = False

    @rule(row=st.integers(0, 7))
    def fail_one(self, row: int) -> None:
        self.rig.engine.poisoned = row
        self.batch()
        self.rig.engine.poisoned = None

    @precondition(lambda self: self.streams)
    @rule(at=st.integers(0, 4), what=st.sampled_from(["leave", "frames", "reset"]), fails=st.booleans())
    def meanwhile(self, at: int, what: str, fails: bool) -> None:
        """Clients do not wait for a batch to end."""
        watched = self.watched(at)
        self.rig.engine.failing = fails

        def act() -> None:
            if what == "leave":
                self.leave(at)
                self.join("drop_oldest")  # takes over the slots
                self.frame(self.streams[-1], {0, 1, 2}, 0.0)
            elif what == "frames":
                for _ in range(5):
                    self.frame(watched, {0, 1}, 1 / 15)
            else:
                self.reset_tracks(watched, None)
                self.frame(watched, {0, 2}, 1 / 15)

        self.rig.engine.during = act
        self.batch()
        self.rig.engine.during = None
        self.rig.engine.failing = False

    def batch(self) -> None:
        """Run a batch, step the twins of its frames alone, then deliver it."""
        faulty = self.rig.engine.failing or self.rig.engine.poisoned is not None
        if not self.rig.batcher.run_once():
            return
        owners = {watched.stream.session: watched for watched in self.streams}
        outcome = self.rig.outcomes[-1]
        assert faulty or not outcome.failed, "a state that a fault has spoilt would fail again"
        for step in outcome.answered + outcome.failed:
            assert isinstance(step, PersonStep)
            watched = owners.get(step.frame.session)  # type: ignore[call-overload]
            if watched is None:
                continue  # it left
            twin = watched.twins[step.track.id]
            pose, epoch, repeats = twin.frames.pop(step.frame.seq)
            if step in outcome.answered:
                twin.plain.fill(epoch, repeats)
                watched.expected[step.frame.seq, step.track.id] = twin.plain.step(pose, epoch)
            elif twin.plain.held is not None and twin.plain.epoch == epoch:
                twin.plain.fill(epoch, repeats - step.repeats)
        self.rig.deliver()
        for watched in owners.values():
            self.check(watched)

    # -- what must hold -----------------------------------------------------------------------------------------------
    def check(self, watched: Watched) -> None:
        for prediction in watched.stream.predictions[watched.checked :]:
            assert isinstance(prediction.track, int)
            twin = watched.twins[prediction.track]
            expected = watched.expected.pop((prediction.seq, prediction.track))
            assert prediction.probabilities == pytest.approx(expected, abs=ERROR)
            assert prediction.epoch >= twin.answered_epoch
            reason = twin.reasons.get(prediction.epoch) if prediction.epoch != twin.answered_epoch else None
            assert prediction.reset == reason
            twin.answered_epoch = prediction.epoch
        watched.checked = len(watched.stream.predictions)
        sequence = [prediction.seq for prediction in watched.stream.predictions]
        assert sequence == sorted(sequence)

    @invariant()
    def every_frame_is_accounted_for(self) -> None:
        for watched in self.streams:
            session, counts = watched.stream.session, watched.stream.session.counts
            done = counts.stepped + counts.skipped + counts.refused + sum(counts.dropped.values())
            answered = sum(1 for entry in session._pending._entries if getattr(entry, "steps", None) and not entry.left)
            assert counts.received == watched.seq == done + session.waiting + answered
            assert session.waiting <= 3 or session.start.policy == "block"
            if session.start.policy == "block":
                assert counts.dropped["overflow"] == 0

    @invariant()
    def slots_belong_to_the_tracks_of_open_streams(self) -> None:
        if not hasattr(self, "rig"):
            return
        seated = [track.slot for watched in self.streams for track in watched.stream.session.tracks if track.slot]
        assert len({slot.index for slot in seated}) == len(seated) == self.rig.pool.used

    @invariant()
    def who_left_is_told_nothing(self) -> None:
        if hasattr(self, "late"):
            watched, told = self.late
            assert len(watched.stream.messages) == told

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        for watched in list(self.streams):
            watched.stream.receive(End())
        for _ in range(500):
            self.batch()
        for watched in self.streams:
            assert watched.stream.session.closed
            assert not watched.expected
            codes = {message.code for message in watched.stream.messages if isinstance(message, ErrorMessage)}
            assert codes <= {"step_failed", "no_slot", "bad_time"}  # the last: frames of 1.5 s are too few
        assert self.rig.pool.used == 0


Invariance.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestInvariance = Invariance.TestCase
