"""`/v1/clips`: whole clips in, poses or video, timelines out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from inkling.service.access.middleware import IDENTITY
from inkling.service.access.roles import Identity, Role
from inkling.service.bootstrap import Core
from inkling.service.clips.jobs import ClipOwner, VideoJob
from inkling.service.clips.pose_clip import WANTED, found, is_arrays, is_text
from inkling.service.clips.scoring import ScoredClip, score
from inkling.service.http.schemas import ClipAnswer, ClipStatus, ErrorAnswer, clip_answer, clip_status
from inkling.service.inputs.wants import NO_PERCEPTION, takes_both, unsupported
from inkling.service.memory_account import Share
from inkling.service.patience import patience
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import BadMessage, Cancelled, IdleTimeout, TooLarge, UnsupportedInput
from inkling.service.protocol.messages import PictureSide
from inkling.service.streams.early_decision import early_decision_terms

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
    status: {"model": ErrorAnswer} for status in (404, 408, 409, 413, 415, 422, 429, 503)
}

JSON = "application/json"
LONG = 2**20
"""Bytes of a long clip's arrays: some minutes of one person."""
PEEK = 192
"""First bytes of a body, which tell what it is."""


def clip_router(core: Callable[[], Core]) -> APIRouter:
    """The routes; `core` is asked at each request."""
    router = APIRouter(prefix="/v1/clips", tags=["clips"])
    turn = asyncio.Lock()

    @router.post("", openapi_extra=BODY, response_model=ClipAnswer, responses=_ERRORS | {202: {"model": ClipStatus}})
    async def clips(
        request: Request,
        bundle: str,
        version: str | None = None,
        skeleton: Annotated[str | None, Query(description="of poses; else the clip's own, else the bundle's")] = None,
        width: Annotated[
            PictureSide | None, Query(description="of the picture in pixels, for poses from 0 to 1")
        ] = None,
        height: Annotated[PictureSide | None, Query(description="likewise")] = None,
        fps: Annotated[float | None, Query(description="else the clip's own times", gt=0, le=1e4)] = None,
        error_rate: Annotated[
            float | None,
            Query(description="decide, and be wrong at most so often: one that the bundle promises", gt=0, lt=1),
        ] = None,
        wait: Annotated[bool, Query(description="false: answer at once, see GET; videos only")] = True,
    ) -> Response:
        """Score a clip: the predictions that a stream of its frames would have got.

        Poses as JSON, `.npz`, `.npy` or `.csv`, or a video file, as the body itself. A request that is given up cancels
        its clip.
        """
        served, sender = core(), _sender(request)
        quotas = served.access.quotas
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise BadMessage("send the file itself as the body, not a form: curl --data-binary @FILE")
        spec = served.hub.spec(bundle, version)
        early_decision_terms(spec, error_rate)  # before anything large is sent in vain
        head, body = await _peek(_timely(request.stream(), served.settings.sockets.idle_timeout_s))
        start = Start(bundle=bundle, version=version, policy="block", error_rate=error_rate, unknown=True)
        poses = start.model_copy(update={"skeleton": skeleton, "width": width, "height": height})
        owner = ClipOwner(sender.id, quotas.people_of(sender))
        if is_arrays(head) or is_text(head):
            _check_length(request, served.settings.clips.max_bytes)
            quotas.open_stream(sender)
            with quotas.stream_of(sender):
                return await _score_poses(served, turn, body, poses, fps, owner)
        if not served.hub.takes_pictures(spec):
            what = found(head) or "a file of another kind"
            if takes_both(spec):
                raise unsupported(spec, "frame", perception=False)
            takes = f"bundle {spec.name} takes input 'pose', not 'frame', and this is {what}"
            raise UnsupportedInput(f"{takes}; {WANTED}; {NO_PERCEPTION}")
        _check_length(request, served.settings.clips.max_video_bytes)
        job = await _received(served, body, start.model_copy(update={"input": "frame"}), fps, sender, owner)
        if not wait:
            row = clip_status(job, served.clips.left_s(job), result=False)
            return _json(row.model_dump_json(exclude_none=True), 202)
        scored = await _unless_gone(request, served, job)
        return StreamingResponse(clip_answer(scored), media_type=JSON)

    @router.get("")
    async def listed(request: Request) -> list[ClipStatus]:
        """The videos being scored and those lately scored, the oldest first: your own; of an operator all of them."""
        clips = core().clips
        return [clip_status(job, clips.left_s(job), result=False) for job in clips.all(_of(request))]

    @router.get("/{clip}", response_model=ClipStatus, responses={404: {"model": ErrorAnswer}})
    async def status(clip: str, request: Request) -> Response:
        """How far a video is; once it is done, its timeline as `result`, unless somebody waited for it. Videos of other
        tokens are not found, but by an operator.

        Kept for ten minutes, or until many others are done.
        """
        clips = core().clips
        job = clips.get(clip, _of(request))
        left_s = clips.left_s(job)
        return _json(await asyncio.to_thread(lambda: clip_status(job, left_s).model_dump_json(exclude_none=True)))

    @router.delete("/{clip}", status_code=204, responses={404: {"model": ErrorAnswer}})
    async def cancel(clip: str, request: Request) -> None:
        """Cancel a video, or forget one that has ended."""
        core().clips.cancel(clip, _of(request))

    return router


def _sender(request: Request) -> Identity:
    sender: Identity = request.scope[IDENTITY]
    return sender


def _of(request: Request) -> str | None:
    """Whose clips the sender may see; None: everybody's."""
    sender = _sender(request)
    return None if sender.may(Role.OPERATE) else sender.id


async def _received(
    core: Core, body: AsyncIterator[bytes], start: Start, fps: float | None, sender: Identity, owner: ClipOwner
) -> VideoJob:
    """A video that is being scored; it counts as a stream of its sender until that is over."""
    quotas = core.access.quotas
    quotas.open_stream(sender)
    with contextlib.ExitStack() as share:
        share.enter_context(quotas.stream_of(sender))
        job = await core.clips.receive(body, start, fps, owner)
        if job.task is not None:
            rest = share.pop_all()
            job.task.add_done_callback(lambda task: rest.close())
    return job


async def _score_poses(
    core: Core,
    turn: asyncio.Lock,
    body: AsyncIterator[bytes],
    start: Start,
    fps: float | None,
    owner: ClipOwner,
) -> Response:
    """turn: of the long clips, of which one is scored at a time: they leave the model to the streams in between."""
    held = core.hub.memory.share("clips")
    try:
        clip = (await core.reader.read(body, held)).at(fps)
        said = {
            "skeleton": start.skeleton or clip.skeleton,
            "width": start.width or clip.width,
            "height": start.height or clip.height,
        }
        async with turn if held.bytes > LONG else contextlib.nullcontext():
            scored = await score(core.hub, start.model_copy(update=said), clip, held, owner.quota)
    except BaseException:
        held.close()
        raise
    core.metrics.clips[scored.spec.full_name] += 1
    return _ScoredPoses(scored, held)


class _ScoredPoses(StreamingResponse):
    """The answer, in pieces. Its clip's share of the memory goes back when it was sent."""

    def __init__(self, scored: ScoredClip, held: Share) -> None:
        super().__init__(clip_answer(scored), media_type=JSON)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


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
    return Response(body, status, media_type=JSON)
