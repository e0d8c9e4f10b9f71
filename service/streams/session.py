"""One stream, from its messages to its answers. Pure: steps go to a queue, answers to an outlet, time comes in.

    receive -> Tracks (clock, epoch, slot) -> PendingFrames -> StepQueue (the batcher)
    PersonStep.answered -> step_done -> PendingFrames -> Responder -> Outlet

Frames are answered in the order in which they came, whatever order their steps end in. A frame is settled when each of
its people is; then its predictions and events are sent together, and only then those of the next frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Protocol

from inkling.models.bundle.schema import BundleSpec
from inkling.service.engine.scheduler import Lane, Prepare, StepQueue
from inkling.service.engine.state_pool import StatePool
from inkling.service.memory_account import Share
from inkling.service.protocol.codec import End, Flush, PackedPose, Reset, Start, Token
from inkling.service.protocol.errors import (
    BadPose,
    BadTime,
    DoubtfulPose,
    Draining,
    NoSlot,
    OutOfOrder,
    OverCapacity,
    PeopleOverQuota,
    ServiceError,
    StepFailed,
    TooManyPeople,
    UnsupportedInput,
)
from inkling.service.protocol.image_binary import EncodedImage, ImageFrame
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.early_decision import early_decision_terms
from inkling.service.streams.in_flight import FrameInFlight, PersonStep
from inkling.service.streams.limits import Limits
from inkling.service.streams.pending import PendingFrames
from inkling.service.streams.responder import Outlet, Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.time_watch import SKIPPED_IN_A_TICK, TimeWatch
from inkling.service.streams.tracks import PeopleQuota, Track, Tracks

FrameMessage = PackedPose | EncodedImage | ImageFrame


class Mapper(Protocol):
    """What a session needs to know of its kind of input."""

    @property
    def prepare(self) -> Prepare: ...

    def accept(self, frame: Any, /) -> Any:
        """A sequence with a row for each of the frame's tracks, for the queue. Raises what refuses this one frame."""


class Session:
    """The server's side of one stream. Every method runs on the event loop.

    wake: called when the inbox has room and on closing, while a shell waits for that. on_close: called once, when the
    session is closed or has finished.
    """

    def __init__(
        self,
        stream: str,
        spec: BundleSpec,
        start: Start,
        limits: Limits,
        mapper: Mapper,
        pool: StatePool,
        queue: StepQueue,
        outlet: Outlet,
        now_s: float,
        quota: PeopleQuota | None = None,
        memory: Share | None = None,
    ) -> None:
        """Sends `Ready`. quota: of the people of several streams. memory: for images that wait.

        Raises UnknownErrorRate.
        """
        self.stream = stream
        self.spec = spec
        self.start = start
        self.opened_s = now_s
        self.counts = Counts()
        self.tracks = Tracks(
            spec,
            pool,
            mapper.prepare,
            queue.close,
            limits.max_people,
            limits.track_timeout_s,
            early_decision_terms(spec, start.error_rate),
            quota,
        )
        self.closed = False
        self.wake: Callable[[], None] | None = None
        self.on_close: list[Callable[[], None]] = []
        self._limits = limits
        self._mapper = mapper
        self._pending = PendingFrames(limits.inbox, queue, drop_oldest=start.policy == "drop_oldest", memory=memory)
        self._responder = Responder(spec, start, self.counts, outlet)
        self._time_watch = TimeWatch(spec.rate_hz, spec.gaps.max_gap_s)
        self._silent = 0  # frames settled since the client last heard of it
        self._last = (0, 0.0)  # seq and pts_s of the frame settled last
        self._ending = False
        self._draining = False
        self._poses = start.input == "pose"
        self._patience = max(1, limits.inbox // 2)  # silent frames after which the client hears of them
        self._responder.ready(stream, limits.inbox)

    @property
    def waiting(self) -> int:
        """Frames with steps that are not answered."""
        return self._pending.waiting

    @property
    def full(self) -> bool:
        """Whether the inbox is full: policy `block` takes no frame now, `drop_oldest` drops one for the next."""
        return self._pending.full

    # -- in ---------------------------------------------------------------------------------------------------------
    def receive(self, message: Start | FrameMessage | Reset | Flush | End | Token, now_s: float) -> None:
        """Take one message.

        Raises OutOfOrder for a second start and for anything after end, BadMessage for a flood of flushes,
        UnsupportedInput for an image among poses and the reverse, OverCapacity for an image for which there is no
        memory, where none may be dropped.
        """
        if self.closed or self._draining:  # the client cannot know yet
            return
        if self._ending:
            raise OutOfOrder("nothing may follow 'end'")
        if type(message) is PackedPose or isinstance(message, EncodedImage | ImageFrame):
            if (type(message) is PackedPose) is not self._poses:
                raise UnsupportedInput(f"this stream was started with input {self.start.input!r}")
            self.counts.received += 1
            try:
                self._take_frame(message, now_s)
            except OverCapacity:
                self.counts.refused += 1
                raise
            except ServiceError as error:
                self.counts.refused += 1
                self._responder.error(error, message.seq)
        elif isinstance(message, Reset):
            self._reset(message.track)
        elif isinstance(message, Flush):
            self._pending.mark(message.id)
            self._send_settled(now_s)
        elif isinstance(message, End):
            self._ending = True
            self._send_settled(now_s)
        else:
            raise OutOfOrder("the stream has started: open another connection for another stream")

    def refuse(self, error: ServiceError) -> None:
        """Count and answer a frame that could not be decoded."""
        if not (self.closed or self._draining or self._ending):
            self.counts.received += 1
            self.counts.refused += 1
            self._responder.error(error)

    def drain(self, now_s: float) -> None:
        """The server shuts down: say so, answer what is pending, then the summary. Later messages are ignored."""
        if self.closed or self._draining:
            return
        self._draining = self._ending = True
        self._responder.error(
            Draining("the server is shutting down: pending frames are answered, then the stream ends")
        )
        self._send_settled(now_s)

    def fail(self, error: ServiceError) -> None:
        """Say why the stream cannot go on, and close it."""
        if not self.closed:
            self._responder.error(error)
            self.close()

    def close(self) -> None:
        """Drop what is pending, give the slots back, send nothing more. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.tracks.close()
        for _ in range(self._pending.clear()):
            self._responder.drop("closed")
        if self.wake is not None:
            self.wake()
        for call in self.on_close:
            call()
        self.on_close.clear()

    def tally(self) -> Counts:
        """The counts up to now."""
        self.counts.tracks = self.tracks.seen
        return self.counts

    def _take_frame(self, message: FrameMessage, now_s: float) -> None:
        pts_s = max(now_s - self.opened_s, 0.0) if message.pts_s is None else message.pts_s
        people = message.tracks
        if not 0 <= pts_s < math.inf:
            raise BadTime(f"pts_s must be seconds, 0 or later, not {pts_s}")
        if len(people) > self._limits.max_people:
            raise TooManyPeople(f"{len(people)} people in one frame; at most {self._limits.max_people} are watched")
        x = self._mapper.accept(message)
        frame = FrameInFlight(self, message.seq, pts_s, now_s)
        if type(message) is PackedPose:
            if message.refused is not None:
                frame.refused = BadPose(message.refused)
            if message.doubt is not None:
                self._responder.error(DoubtfulPose(message.doubt))
        without_slot = False
        for row, track_id in enumerate(people):
            track = self.tracks.find(track_id, pts_s)
            epoch = track.epoch
            verdict = track.resampler.push(pts_s)
            if verdict.reset is not None:
                track.reset(verdict.reset)
                self._responder.warn(self._time_watch.reset(self.counts.taken, pts_s, now_s))
            if verdict.steps:
                lane = track.lane or self._take_slot(track, people, frame)
                if lane is None:
                    without_slot = True
                else:
                    frame.steps.append(PersonStep(lane, x[row], verdict.steps - 1, frame, track))
            if track.epoch != epoch:
                self._count_reset(track)
        if len(self.tracks) > 1 or not frame.steps:  # else the only one is here
            for track in self.tracks.expire(pts_s):
                self._end_event(track, frame)
        if frame.steps:
            if not self._poses and isinstance(message, EncodedImage) and not self._hold(frame, len(message.data)):
                self._responder.drop("memory")
                self._send_settled(now_s)
                return
            if not self._pending.submit(frame):
                return  # it waits, and nothing else has changed
            self._responder.drop("overflow")
        else:
            if without_slot:
                self._responder.drop("no_slot")
            else:
                self.counts.skipped += 1
                if (number := self.counts.taken) % SKIPPED_IN_A_TICK == 0:
                    self._responder.warn(self._time_watch.skipped(number, pts_s, now_s))
            self._pending.append_silent(frame)
        self._send_settled(now_s)

    def _hold(self, frame: FrameInFlight, count: int) -> bool:
        """Whether there is memory for its image; if not, it is dropped. Raises OverCapacity for policy `block`."""
        pending = self._pending
        before = pending.waiting
        try:
            pending.hold(frame, count)
        except OverCapacity:
            if self.start.policy == "block":
                raise
            pending.give_up(frame)
            return False
        finally:
            for _ in range(before - pending.waiting):
                self._responder.drop("memory")
        return True

    def _take_slot(self, track: Track, people: Collection[TrackId], frame: FrameInFlight) -> Lane | None:
        """A slot for a track that has none; None, and an error for the first time, when there is none to have."""
        try:
            lane, evicted = self.tracks.give_slot(track, people)
        except (NoSlot, TooManyPeople, PeopleOverQuota) as error:
            if not track.refusal_sent:
                track.refusal_sent = True
                self._responder.error(error)
            return None
        if evicted is not None:
            self._end_event(evicted, frame)
        return lane

    def _end_event(self, track: Track, frame: FrameInFlight) -> None:
        """The track gave its slot back: its action, if one is under way, ends with this frame."""
        for event in track.detector.end():
            frame.ended = [*(frame.ended or ()), (track, event)]

    def _reset(self, track_id: TrackId | None) -> None:
        """A reset waits for nothing: frames sent before it still belong to the old epoch, those after to the new."""
        track = None if track_id is None else self.tracks.get(track_id)
        for chosen in self.tracks if track_id is None else (track,):
            if chosen is not None:
                chosen.reset("requested")
                chosen.resampler.restart()
                self._count_reset(chosen)

    def _count_reset(self, track: Track) -> None:
        if track.reason is not None:
            self.counts.resets[track.reason] += 1

    # -- out --------------------------------------------------------------------------------------------------------
    def step_done(self, step: PersonStep, now_s: float) -> None:
        """A step came back (`FrameOwner`). Ignored when the stream was closed meanwhile."""
        if self.closed:
            return
        if self._pending.step_done(step.frame):
            self._send_settled(now_s)

    def _send_settled(self, now_s: float) -> None:
        """Send what is settled, up to the first frame that is not."""
        for entry in self._pending.take_settled():
            if isinstance(entry, FrameInFlight):
                self._answer(entry)
            else:
                self._responder.flushed(entry.id)
        if self._silent >= self._patience:
            self._silent = 0
            self._responder.credit(self._last[0])
        if self._ending and not self._pending:
            self._finish(now_s)
        elif self.wake is not None and not self.full:
            self.wake()

    def _answer(self, frame: FrameInFlight) -> None:
        self._last = (frame.seq, frame.pts_s)
        for track, event in frame.ended or ():
            self._responder.event(frame.seq, frame.pts_s, track, event)
        if frame.refused is not None:
            self._responder.error(frame.refused, frame.seq)
        if not frame.steps:
            self._silent += frame.frames
            return
        predicted = failed = False
        refused: ServiceError | None = None
        for step in frame.steps:
            step.track.waiting -= 1
            if step.error is not None:
                refused = step.error
            elif step.probabilities is None:
                failed = True
            else:
                predicted = True
                self._responder.prediction(frame, step, step.probabilities, self._pending.waiting)
        if predicted:
            self.counts.stepped += 1
            self._silent = 0
        elif refused is not None:
            self.counts.refused += 1
        else:
            self._responder.drop("failed")
        if refused is not None:
            self._responder.error(refused, frame.seq)
        if failed:
            error = StepFailed("the model could not be run on this frame; states are as they were before it")
            self._responder.error(error, frame.seq)
        frame.steps.clear()  # each refers to the frame: spare the garbage collector the ring

    def _finish(self, now_s: float) -> None:
        """Everything is answered: what is under way ends, the slots go back, and the summary is the last word."""
        for track in self.tracks:
            for event in track.detector.end():
                self._responder.event(*self._last, track, event)
        self.tally()
        self._responder.summary(now_s - self.opened_s)
        self.close()
