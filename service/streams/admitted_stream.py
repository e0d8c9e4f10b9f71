"""What a shell holds of an admitted stream: the session, with a clock and with waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from inkling.models.bundle.schema import BundleSpec
from inkling.service.inputs.picture_fit import Fit
from inkling.service.protocol.codec import End, Flush, Reset, Start, Token
from inkling.service.protocol.errors import ServiceError
from inkling.service.streams.intake import FrameMessage
from inkling.service.streams.session import Session
from inkling.service.streams.stats import StreamInfo

log = logging.getLogger(__name__)


class AdmittedStream:
    """A stream that the hub has admitted, as a shell holds it until it ends."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self.last_message_s = clock()
        """When the last message came, by the same clock."""
        self._finished = asyncio.Event()
        session.on_close.append(self._finished.set)

    @property
    def stream(self) -> str:
        """Its id, as in `Ready.stream`."""
        return self._session.stream

    @property
    def spec(self) -> BundleSpec:
        """The bundle that it runs on."""
        return self._session.spec

    @property
    def picture_size(self) -> tuple[int, int, Fit]:
        """Height and width of what is seen of a picture, and how it is fitted into them; more of it is of no use.

        Raises UnsupportedInput when the stream takes no pictures.
        """
        return self._session.picture_size

    def receive(self, message: Start | FrameMessage | Reset | Flush | End | Token) -> None:
        """Take one decoded message; answers go to the outbox, now or later.

        Refusals that the stream survives (BadPose, TooManyPeople, NoSlot, ...) go to the outbox as `error` messages.
        Raises OutOfOrder (a second start, anything after end), BadMessage (a flood of flushes) and UnsupportedInput (an
        image among poses, or the reverse): send it and close.
        After `close` it does nothing.
        """
        self.last_message_s = now_s = self._clock()
        self._session.receive(message, now_s)

    def absent(self) -> None:
        """No frame has come for longer than anybody may be lost: whoever was there has left, see `Session.absent`."""
        self._session.absent()

    def refuse(self, error: ServiceError) -> None:
        """Count and answer a frame that `protocol.decode` refused (an error whose `close` is None)."""
        self._session.refuse(error)

    async def writable(self) -> None:
        """Policy `block`: wait until the inbox has room (or the stream is closed). `drop_oldest`: return at once."""
        session = self._session
        if session.start.policy != "block":
            return
        while session.full and not session.closed:
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            session.wake = lambda room=room: room.done() or room.set_result(None)
            try:
                await room
            finally:
                session.wake = None

    @property
    def full(self) -> bool:
        """Whether the inbox is full, so that a stream with policy `block` should not receive more now."""
        return self._session.full and not self._session.closed

    def call_when_writable(self, call: Callable[[], None]) -> None:
        """Call once when the inbox has room again, or the stream is closed; instead of `writable`."""
        session = self._session

        def wake() -> None:
            session.wake = None
            call()

        session.wake = wake

    @property
    def closed(self) -> bool:
        """True after `close`, and after the summary was sent."""
        return self._session.closed

    def info(self, now_s: float) -> StreamInfo:
        """What `/v1/streams` shows of it."""
        session = self._session
        return StreamInfo(
            stream=session.stream,
            bundle=session.spec.name,
            version=session.spec.version,
            policy=session.start.policy,
            since_s=now_s - session.opened_s,
            tracks=len(session.tracks),
            waiting=session.waiting,
            counts=session.tally(),
        )

    async def finished(self) -> None:
        """Wait until the stream is closed, e.g. for everything after `End` to be answered."""
        await self._finished.wait()

    def close(self, reason: str) -> None:
        """Drop what is pending, give the slots back, send nothing more. Idempotent; a no-op after the summary."""
        if not self._session.closed:
            log.debug("stream %s is closed: %s", self.stream, reason)
            self._session.close()
