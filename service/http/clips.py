"""`/v1/clips`: whole clips in, poses or video, timelines out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from inkling.service.bootstrap import Core
from inkling.service.clips.jobs import VideoJob
from inkling.service.clips.pose_clip import WANTED, PoseClip, TrackedClip, found, is_text, parse_clip
from inkling.service.clips.scoring import ScoredClip, score
from inkling.service.clips.upload_memory import HeldClip, UploadMemory
from inkling.service.http.schemas import ClipAnswer, ClipStatus, ErrorAnswer, clip_answer, clip_status
from inkling.service.patience import patience
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import BadMessage, Cancelled, IdleTimeout, TooLarge, UnsupportedInput
from inkling.service.streams.early_decision import early_decision_terms
from inkling.service.streams.hub import NO_EYES

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "video/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (404, 408, 409, 413, 415, 422, 503)
}

PEEK = 192
"""First bytes of a body, which tell what it is."""


def clip_router(core: Callable[[], Core]) -> APIRouter:
    """The routes; `core` is asked at each request."""
    router = APIRouter(prefix="/v1/clips", tags=["clips"])
    memory, parser = UploadMemory(), asyncio.Lock()

    @router.post("", openapi_extra=BODY, response_model=ClipAnswer, responses=_ERRORS | {202: {"model": ClipStatus}})
    async def clips(
        request: Request,
        bundle: str,
        version: str | None = None,
        skeleton: Annotated[str | None, Query(description="of poses; else the clip's own, else the bundle's")] = None,
        width: Annotated[int | None, Query(description="of the picture in pixels, for poses from 0 to 1", gt=0)] = None,
        height: Annotated[int | None, Query(description="likewise", gt=0)] = None,
        fps: Annotated[float | None, Query(description="else the clip's own times", gt=0, le=1e4)] = None,
        error_rate: Annotated[
            float | None, Query(description="decide, and be wrong at most so often: one that the bundle promises")
        ] = None,
        wait: Annotated[bool, Query(description="false: answer at once, see GET; videos only")] = True,
    ) -> Response:
        """Score a clip: the predictions that a stream of its frames would have got.

        Poses as JSON, `.npz`, `.npy` or `.csv`, or a video file, as the body itself. A request that is given up cancels
        its clip.
        """
        served = core()
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise BadMessage("send the file itself as the body, not a form: curl --data-binary @FILE")
        spec = served.hub.spec(bundle, version)
        early_decision_terms(spec, error_rate)  # before anything large is sent in vain
        head, body = await _peek(_timely(request.stream(), served.settings.sockets.idle_timeout_s))
        start = Start(bundle=bundle, version=version, policy="block", error_rate=error_rate)
        poses = start.model_copy(update={"skeleton": skeleton, "width": width, "height": height})
        if head.startswith((b"PK", b"\x93NUMPY")) or is_text(head):
            _check_length(request, served.settings.clips.max_bytes)
            scored = await _score_poses(served, memory, parser, body, poses, fps)
        elif not served.hub.takes_pictures(spec):
            what = found(head) or "a file of another kind"
            takes = f"bundle {spec.name} takes input 'pose', not 'frame', and this is {what}"
            raise UnsupportedInput(f"{takes}; {WANTED}; {NO_EYES}")
        else:
            _check_length(request, served.settings.clips.max_video_bytes)
            job = await served.clips.receive(body, start.model_copy(update={"input": "frame"}), fps)
            if not wait:
                return _json(clip_status(job, result=False).model_dump_json(exclude_none=True), 202)
            scored = await _unless_gone(request, served, job)
        return _json(await asyncio.to_thread(clip_answer, scored))

    @router.get("")
    async def listed() -> list[ClipStatus]:
        """The videos being scored and those lately scored, the oldest first."""
        return [clip_status(job, result=False) for job in core().clips.all()]

    @router.get("/{clip}", response_model=ClipStatus, responses={404: {"model": ErrorAnswer}})
    async def status(clip: str) -> Response:
        """How far a video is; once it is done, its timeline as `result`, unless somebody waited for it.

        Kept for ten minutes, or until many others are done.
        """
        job = core().clips.get(clip)
        return _json(await asyncio.to_thread(lambda: clip_status(job).model_dump_json(exclude_none=True)))

    @router.delete("/{clip}", status_code=204, responses={404: {"model": ErrorAnswer}})
    async def cancel(clip: str) -> None:
        """Cancel a video, or forget one that has ended."""
        core().clips.cancel(clip)

    return router


async def _score_poses(
    core: Core, memory: UploadMemory, parser: asyncio.Lock, body: AsyncIterator[bytes], start: Start, fps: float | None
) -> ScoredClip:
    with memory.clip() as held:
        clip = (await _parsed(core, held, parser, body)).at(fps)
        said = {
            "skeleton": start.skeleton or clip.skeleton,
            "width": start.width or clip.width,
            "height": start.height or clip.height,
        }
        scored = await score(core.hub, start.model_copy(update=said), clip)
    core.metrics.clips[scored.spec.full_name] += 1
    return scored


async def _parsed(
    core: Core, held: HeldClip, parser: asyncio.Lock, body: AsyncIterator[bytes]
) -> PoseClip | TrackedClip:
    limit, frames = core.settings.clips.max_bytes, core.settings.clips.max_frames
    data = bytearray()
    async for chunk in body:
        held.take(len(chunk))
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a clip of this kind may have at most {limit} bytes")
    async with parser:  # one at a time, in a thread: the streams go on
        return await asyncio.to_thread(parse_clip, data, max_bytes=limit, max_frames=frames)


async def _unless_gone(request: Request, core: Core, job: VideoJob) -> ScoredClip:
    """The job's result. A client that goes away cancels its job."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    result = asyncio.create_task(core.clips.result(job))
    watch = asyncio.create_task(gone())
    try:
        await asyncio.wait([result, watch], return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise Cancelled("the client went away")
        return result.result()
    finally:
        result.cancel()
        watch.cancel()


async def _timely(chunks: AsyncIterator[bytes], stall_s: float) -> AsyncIterator[bytes]:
    """The same, from a sender that does not stall. Raises IdleTimeout."""
    while True:
        try:
            async with patience(stall_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise IdleTimeout(f"nothing of the clip came for {stall_s:g} s") from None
        if chunk is None:
            return
        yield chunk


async def _peek(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, white space before them left out, and the whole body from its beginning.

    White space beyond 64 KiB is not looked through: whatever follows it is neither JSON nor a video.
    """
    read = bytearray()
    head = b""
    async for chunk in chunks:
        read += chunk
        head = bytes(read).lstrip()[:PEEK]
        if len(head) == PEEK or len(read) > 65536:
            break

    async def whole() -> AsyncIterator[bytes]:
        yield bytes(read)
        async for chunk in chunks:
            yield chunk

    return head, whole()


def _check_length(request: Request, limit: int) -> None:
    """Raises TooLarge as soon as it is known to be; what the client does not say is found out later."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise TooLarge(f"a clip of this kind may have at most {limit} bytes")


def _json(body: bytes | str, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
