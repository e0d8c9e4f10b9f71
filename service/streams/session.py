"""One stream, from its messages to its answers. Pure: steps go to a queue, answers to an outlet, time comes in.

    receive -> Tracks (clock, epoch, slot) -> PendingFrames -> StepQueue (the batcher)
    PersonStep.answered -> step_done -> PendingFrames -> Responder -> Outlet

Frames are answered in the order in which they came, whatever order their steps end in. A frame is settled when each of
its people is; then its predictions and events are sent together, and only then those of the next frame.
"""

from __future__ import annotations

from collections.abc import Callable

from inkling.models.bundle.schema import BundleSpec
from inkling.service.engine.scheduler import StepQueue
from inkling.service.engine.state_pool import StatePool
from inkling.service.inputs.picture_fit import Fit
from inkling.service.memory_account import Share
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.codec import End, Flush, PackedPose, Reset, Start, Token
from inkling.service.protocol.errors import (
    Draining,
    OutOfOrder,
    OverCapacity,
    ServiceError,
    StepFailed,
    UnsupportedInput,
)
from inkling.service.protocol.image_binary import EncodedImage, ImageFrame
from inkling.service.streams.camera_intake import CameraIntake
from inkling.service.streams.early_decision import early_decision_terms
from inkling.service.streams.in_flight import FrameInFlight, FramePerception, PersonStep
from inkling.service.streams.intake import FrameIntake, FrameMessage, Intake, Mapper
from inkling.service.streams.limits import Limits
from inkling.service.streams.pending import PendingFrames
from inkling.service.streams.people_steps import PeopleSteps
from inkling.service.streams.responder import Outlet, Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.time_watch import TimeWatch
from inkling.service.streams.tracks import PeopleQuota, Tracks


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
        perception: StreamPerception | None = None,
    ) -> None:
        """Sends `Ready`. quota: of the people of several streams. memory: for images that wait. perception: of a stream
        of images whose people are to be found.

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
            limits.track_timeout_s if perception is None else perception.lost_s,
            early_decision_terms(spec, start.error_rate),
            quota,
        )
        self.closed = False
        self.wake: Callable[[], None] | None = None
        self.on_close: list[Callable[[], None]] = []
        self._perception = perception
        self._pending = PendingFrames(
            limits.inbox,
            queue,
            None if perception is None else perception.queue,
            drop_oldest=start.policy == "drop_oldest",
            memory=memory,
        )
        self._responder = Responder(spec, start, self.counts, outlet)
        time_watch = TimeWatch(spec.rate_hz, spec.gaps.max_gap_s)
        self._camera: CameraIntake | None = None
        self._intake: Intake
        if perception is None:
            people = PeopleSteps(self.tracks, self.counts, self._responder, time_watch)
            self._intake = FrameIntake(
                self, mapper, limits, people, self._pending, self._responder, self.counts, time_watch
            )
        else:
            people = PeopleSteps(self.tracks, self.counts, self._responder, None)
            self._intake = self._camera = CameraIntake(
                self, spec, perception, people, self._pending, self._responder, self.counts, time_watch
            )
        self._silent = 0  # frames settled since the client last heard of it
        self._last = (0, 0.0)  # seq and pts_s of the frame settled last
        self._absent = False  # no frame is expected, see `absent`
        self._ending = False
        self._draining = False
        self._poses = start.input == "pose"
        self._patience = max(1, limits.inbox // 2)  # silent frames after which the client hears of them
        # Who is told of people's places gets them in the pixels that were sent, so nothing is said of smaller ones.
        seen_size = (perception.side, perception.side) if perception is not None and not start.people else None
        self._responder.ready(stream, limits.inbox, seen_size, None if perception is None else perception.skeleton)

    @property
    def waiting(self) -> int:
        """Frames with steps that are not answered."""
        return self._pending.waiting

    @property
    def full(self) -> bool:
        """Whether the inbox is full: policy `block` takes no frame now, `drop_oldest` drops one for the next."""
        return self._pending.full

    @property
    def picture_size(self) -> tuple[int, int, Fit]:
        """Height and width of what is seen of a picture, and how it is fitted. Raises UnsupportedInput."""
        if self._perception is not None:
            return (*self._perception.mapper.within, "within")
        given = self.spec.frame
        if given is None:
            raise UnsupportedInput(f"bundle {self.spec.name} takes input 'pose', and this stream no pictures")
        return given.height, given.width, given.fit

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
            self._absent = False
            try:
                if self._intake.take(message, self.opened_s, now_s):
                    self._send_settled(now_s)
            except OverCapacity:
                self.counts.refused += 1
                raise
            except ServiceError as error:
                self.counts.refused += 1
                self._responder.error(error, message.seq)
        elif isinstance(message, Reset):
            self._intake.reset(message.track)
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

    def absent(self) -> None:
        """No frame has come for longer than anybody may be lost, and none is on its way: whoever was there has left.

        Their actions end and their slots are given back now, not with a frame that may never come; at once, or as soon
        as what waits is answered.
        """
        self._absent = True
        self._leave()

    def _leave(self) -> None:
        """If nothing waits, everybody has left."""
        if self.closed or self._ending or self._pending:
            return
        self._absent = False
        for track in self.tracks.vacate():
            for event in track.detector.end():
                self._responder.event(*self._last, track, event)

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
        if self._perception is not None:
            self._perception.close()
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

    # -- out --------------------------------------------------------------------------------------------------------
    def perceived(self, picture: FramePerception, now_s: float) -> None:
        """A picture came back (`FrameOwner`). Ignored when the stream was closed meanwhile."""
        if self.closed or self._camera is None:
            return
        self._camera.perceived(picture, now_s)
        if self._pending.perceived(picture.frame):
            self._send_settled(now_s)

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
        if self._absent:
            self._leave()
        if self._ending and not self._pending:
            self._finish(now_s)
        elif self.wake is not None and not self.full:
            self.wake()

    def _answer(self, frame: FrameInFlight) -> None:
        self._last = (frame.seq, frame.pts_s)
        for track, event in frame.ended or ():
            self._responder.event(frame.seq, frame.pts_s, track, event)
        if frame.people is not None:
            self._responder.people(frame.seq, frame.pts_s, frame.people)
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
