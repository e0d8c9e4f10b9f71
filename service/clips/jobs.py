"""Videos on their way to a timeline: received into a file, scored, kept for a while; to be watched and cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from inkling.models.clean_decoding import Damage
from inkling.service.clips.scoring import ScoredClip, score_frames
from inkling.service.clips.video_frames import VideoLimits, VideoProgress, video_frames
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import (
    Cancelled,
    Internal,
    NoStorage,
    OverCapacity,
    ServiceError,
    TooLarge,
    UnknownClip,
)
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.streams.hub import Hub
from inkling.service.streams.tracks import PeopleQuota

log = logging.getLogger(__name__)

ClipState = Literal["receiving", "scoring", "done", "failed", "cancelled"]

KEEP_JOBS = 32
"""Finished clips that are remembered."""
KEEP_S = 600.0
KEEP_PREDICTIONS = 100_000
"""In the timelines that are remembered, all together: two hours of video at 15 Hz."""
LOOK_S = 10.0
"""Seconds after which it shows how long a video takes."""
HOPELESS = 1.25
"""A video that seems to take so many times what it may is given up at once."""
UPLOADS = 8
"""Videos that may be on their way in for each one that may be scored: a slow sender holds no place."""
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClipOwner:
    """Whose clip it is. id: of the token that posted it. quota: of the people who are watched for that token."""

    id: str
    quota: PeopleQuota | None = None


NOBODY = ClipOwner("")
"""Its clips are seen by those alone who see everybody's."""


@dataclass(slots=True, eq=False)
class VideoJob:
    """One video. timeline: once it is done; error: once it has failed."""

    id: str
    owner: ClipOwner
    start: Start
    fps: float | None
    state: ClipState = "receiving"
    bytes: int = 0
    progress: VideoProgress = field(default_factory=VideoProgress)
    timeline: ScoredClip | None = None
    error: ServiceError | None = None
    ends_s: float | None = None
    ended_s: float | None = None
    task: asyncio.Task[None] | None = None


class VideoJobs:
    """The videos of one server. Everything runs on the event loop."""

    def __init__(
        self,
        hub: Hub,
        limits: VideoLimits,
        *,
        max_jobs: int,
        max_bytes: int,
        max_s: float,
        scored: Callable[[str], None],
        damaged: Callable[[Mapping[Damage, int]], None] = lambda counts: None,
        directory: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """max_jobs: scored at once. max_bytes: of one file. max_s: for scoring one.

        scored: called with the bundle's name for each video. damaged: with the frames that were left out, by cause."""
        self._hub = hub
        self._limits = limits
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._max_s = max_s
        self._scored = scored
        self._damaged = damaged
        self._directory = directory
        self._clock = clock
        self._jobs: dict[str, VideoJob] = {}
        try:
            self._new_file().close()
        except NoStorage as error:  # streams can be served all the same, and the disk may be emptied
            log.error("no videos can be scored: %s", error)

    def all(self, of: str | None = None) -> list[VideoJob]:
        """Those at work and those remembered, oldest first; of that owner alone, unless that is None."""
        self._forget_old()
        return [job for job in self._jobs.values() if of in (None, job.owner.id)]

    def get(self, job_id: str, of: str | None = None) -> VideoJob:
        """One of them, as `all` has them. Raises UnknownClip, and does not say that it is somebody else's."""
        self._forget_old()
        job = self._jobs.get(job_id)
        if job is None or of not in (None, job.owner.id):
            raise UnknownClip("no such clip here; results are kept for ten minutes")
        return job

    async def receive(
        self, body: AsyncIterator[bytes], start: Start, fps: float | None, owner: ClipOwner = NOBODY
    ) -> VideoJob:
        """Take a video in, and begin to score it. It has a place among those being scored only once it is here.

        Raises OverCapacity, TooLarge, NoStorage, Cancelled, what `body` raises.
        """
        self._check_place()
        if self._count("receiving") >= self._max_jobs * UPLOADS:
            raise OverCapacity(f"{self._max_jobs * UPLOADS} videos are being sent: try again later")
        file = self._new_file()
        job = VideoJob(secrets.token_urlsafe(9), owner, start, fps)
        self._jobs[job.id] = job
        try:
            await self._fill(job, file, body)
            if job.state == "cancelled":  # meanwhile
                raise Cancelled("the clip was cancelled")
            self._check_place()
        except OSError as error:
            _close(file)
            del self._jobs[job.id]
            raise _unwritable(error) from error
        except BaseException:
            _close(file)
            del self._jobs[job.id]
            raise
        job.state, job.ends_s = "scoring", self._clock() + self._max_s
        job.task = asyncio.create_task(self._run(job, file), name=f"clip {job.id}")
        # Not a `finally` of the task: one that is cancelled before it has begun runs nothing of its own.
        job.task.add_done_callback(lambda task: self._end(job, file, cancelled=task.cancelled()))
        return job

    def cancel(self, job_id: str, of: str | None = None) -> None:
        """Stop a clip, or forget one that has ended. Raises UnknownClip."""
        job = self.get(job_id, of)
        if job.ended_s is not None:
            del self._jobs[job_id]
        elif job.task is not None:
            job.task.cancel()
        else:
            job.state = "cancelled"  # seen with the next bytes that come

    async def result(self, job: VideoJob) -> ScoredClip:
        """Wait for a clip to end, once: its timeline is not kept. A wait that is cancelled itself cancels the clip.

        Raises its error, Cancelled.
        """
        if job.task is None:
            raise ValueError("the clip is still being received")
        try:
            await asyncio.wait([job.task])
        except asyncio.CancelledError:
            job.task.cancel()
            raise
        if job.timeline is None:
            raise job.error or Cancelled("the clip was cancelled")
        timeline, job.timeline = job.timeline, None  # who waited has it; nobody will ask for it again
        return timeline

    async def stop(self) -> None:
        """Cancel what is at work."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _count(self, state: ClipState) -> int:
        return sum(job.state == state and job.ended_s is None for job in self._jobs.values())

    def _check_place(self) -> None:
        """Raises OverCapacity."""
        if self._count("scoring") >= self._max_jobs:
            raise OverCapacity(f"{self._max_jobs} videos are being scored: try again later")

    def _new_file(self) -> IO[bytes]:
        """Raises NoStorage."""
        try:
            return tempfile.NamedTemporaryFile(prefix="inkling-", suffix=".video", dir=self._directory)
        except OSError as error:
            raise _unwritable(error) from error

    async def _fill(self, job: VideoJob, file: IO[bytes], body: AsyncIterator[bytes]) -> None:
        waiting = bytearray()
        async for chunk in body:
            if job.state == "cancelled":
                break
            job.bytes += len(chunk)
            if job.bytes > self._max_bytes:
                raise TooLarge(f"a video may have at most {self._max_bytes} bytes")
            if sum(job.bytes for job in self._jobs.values() if job.ended_s is None) > self._max_jobs * self._max_bytes:
                raise OverCapacity("the room for videos is used up: try again later")
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(_finish, file, bytes(waiting))

    async def _run(self, job: VideoJob, file: IO[bytes]) -> None:
        try:
            async with asyncio.timeout(self._max_s):
                with self._hub.memory.share("videos") as held:
                    frames = video_frames(Path(file.name), self._limits, job.progress, held, job.fps)
                    frames = self._hopeful(job, frames)
                    job.timeline = await score_frames(
                        self._hub, job.start, frames, held, job.progress.warnings, job.owner.quota
                    )
            job.state = "done"
            self._scored(job.timeline.spec.full_name)
        except ServiceError as error:
            job.state, job.error = "failed", error
        except TimeoutError:
            said = f"the video was not scored within {self._max_s:g} s (frame {job.progress.frames} was reached)"
            job.state, job.error = "failed", TooLarge(f"{said}: send it in parts, or smaller pictures")
        except Exception:
            log.exception("a clip failed")
            job.state = "failed"
            job.error = Internal("the server failed; the operator finds the cause in its log")

    async def _hopeful(
        self, job: VideoJob, frames: AsyncGenerator[ImageFrame, None]
    ) -> AsyncGenerator[ImageFrame, None]:
        """The same frames, as long as there is hope that all are scored in time. Raises TooLarge."""
        began_s = self._clock()
        async with contextlib.aclosing(frames):
            async for frame in frames:
                yield frame
                spent_s, share = self._clock() - began_s, job.progress.share
                if share and spent_s > LOOK_S and spent_s / share > HOPELESS * self._max_s:
                    raise TooLarge(
                        f"at this rate the video takes {spent_s / share:.0f} s, and one may take {self._max_s:g} s: "
                        "send it in parts, or smaller pictures"
                    )

    def left_s(self, job: VideoJob) -> float | None:
        """Seconds in which a video that is being scored is done, or given up."""
        return None if job.ends_s is None or job.ended_s is not None else max(job.ends_s - self._clock(), 0.0)

    def _end(self, job: VideoJob, file: IO[bytes], *, cancelled: bool) -> None:
        if cancelled:
            job.state = "cancelled"
        _close(file)
        self._damaged(job.progress.damaged)
        job.ended_s = self._clock()
        self._forget_old()

    def _forget_old(self) -> None:
        now_s = self._clock()
        for job in list(self._jobs.values()):
            if job.ended_s is not None and now_s - job.ended_s > KEEP_S:
                del self._jobs[job.id]
        while (gone := crowded_out([job for job in self._jobs.values() if job.ended_s is not None])) is not None:
            del self._jobs[gone.id]


def crowded_out(ended: list[VideoJob]) -> VideoJob | None:
    """Which of too many remembered clips goes: the oldest of the owner who keeps most; never the last one of all.

    ended: oldest first. By owners, so that nobody's clips push out those of others.
    """
    held = sum(map(_predictions, ended))
    if len(ended) <= 1 or (len(ended) <= KEEP_JOBS and held <= KEEP_PREDICTIONS):
        return None
    shares: Counter[str] = Counter()
    for job in ended:
        shares[job.owner.id] += KEEP_PREDICTIONS + KEEP_JOBS * _predictions(job)  # both limits weigh the same
    most = max(shares.values())
    return next(job for job in ended if shares[job.owner.id] == most)


def _predictions(job: VideoJob) -> int:
    return len(job.timeline.predictions) if job.timeline is not None else 0


def video_limits(max_pixels: int, max_frames: int) -> VideoLimits:
    """Limits with as many threads as this process has cores."""
    return VideoLimits(max_pixels, max_frames, len(os.sched_getaffinity(0)))


def _unwritable(error: OSError) -> NoStorage:
    return NoStorage(
        f"videos cannot be kept while they are scored ({error.strerror}): the operator makes room, or names another "
        "directory (setting clip_dir)"
    )


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what could not be written is not written now either
        file.close()


def _finish(file: IO[bytes], rest: bytes) -> None:
    file.write(rest)
    file.flush()
