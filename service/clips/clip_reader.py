"""Clips of poses from the body of a request: small ones are read here, others by a process that is kept warm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.service.child_process import child_command, child_environment
from inkling.service.clips.packed_clip import LENGTH, MAX_HEAD, ReaderOutOfMemory, unpack_head
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.clips.pose_clip import is_arrays, parse_clip
from inkling.service.clips.read_worker import ReadRequest
from inkling.service.memory_account import MIB, Share
from inkling.service.protocol.errors import BadClip, TooLarge

INLINE = 256 * 1024
"""Bytes of a body that is read in the server itself: in a few milliseconds."""
INLINE_UNPACKED = 4 * MIB
"""Bytes that such a one may unpack to."""
READ_S = 60.0
"""Seconds that reading one clip may take; 64 MiB of JSON take ten on a busy machine."""
PROCESS = 24 * MIB
"""What the process takes before it has a clip."""
SLACK = 16 * MIB
USUAL, MOST = 1.5, 2.0
"""What reading takes beside the body: arrays in pieces, and then whole. Nearly every text needs less than the first for
each of its bytes; none needs more than the second for each byte that a clip may have."""
JOBS = 50
"""Clips that one process reads."""
LARGE = 48 * MIB
"""A process that was given more is ended afterwards: its heap would stay."""
IDLE_S = 30.0
"""Seconds without a clip after which the process is ended."""


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    socket: socket.socket
    jobs: int = 0


class ClipReader:
    """Reads one large clip at a time. Everything runs on the event loop."""

    def __init__(self, memory: Share, *, max_bytes: int, max_frames: int) -> None:
        """memory: for the process itself. max_bytes: of a clip, as it comes and as arrays."""
        self._memory = memory
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._here, self._there = asyncio.Lock(), asyncio.Lock()
        self._worker: _Worker | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def read(self, body: AsyncIterator[bytes], held: Share) -> PoseClip | TrackedClip:
        """The clip in a body; `held` takes what it takes, at last its arrays.

        Raises BadClip, TooLarge, OverCapacity, and what `body` raises.
        """
        file: int | None = None
        data, size = bytearray(), 0
        try:
            async for chunk in body:
                size += len(chunk)
                if size > self._max_bytes:
                    raise TooLarge(f"a clip of this kind may have at most {self._max_bytes} bytes")
                held.take(len(chunk))
                if file is None and size > INLINE:
                    file = _memory_file(data)
                if file is None:
                    data += chunk
                else:
                    _write(file, chunk)
            if file is None:
                if (clip := await self._read_here(data, held)) is not None:
                    return clip
                file = _memory_file(data)
            async with self._there:
                return await self._read_there(file, size, held)
        finally:
            if file is not None:
                os.close(file)

    async def close(self) -> None:
        """End the process. Idempotent."""
        self._end()
        await asyncio.gather(*self._ending)

    async def _read_here(self, data: bytearray, held: Share) -> PoseClip | TrackedClip | None:
        """None: it is small as it came and large inside, or too large after all."""
        held.take(INLINE_UNPACKED)
        async with self._here:  # one at a time, in a thread: the streams go on
            try:
                clip = await asyncio.to_thread(parse_clip, data, max_bytes=INLINE_UNPACKED, max_frames=self._max_frames)
            except TooLarge:
                held.give(INLINE_UNPACKED)
                return None
        held.change(clip.bytes)
        return clip

    async def _read_there(self, file: int, size: int, held: Share) -> PoseClip | TrackedClip:
        arrays = is_arrays(os.pread(file, 16, 0))
        usual, most = (SLACK + int(USUAL * size), SLACK + int(MOST * self._max_bytes))
        for allowance in (most,) if arrays else (usual, most):
            if size + allowance + PROCESS > held.most:
                break
            held.take(allowance)
            try:
                async with asyncio.timeout(READ_S):
                    clip = await self._ask(file, allowance + (size if arrays else 0))
            except ReaderOutOfMemory:
                held.give(allowance)
                continue
            except TimeoutError:
                self._end()
                raise TooLarge(f"reading the clip took more than {READ_S:g} s: send it in parts") from None
            except (OSError, EOFError, ValueError):  # it ended, or says what it never would by itself
                self._end()
                raise BadClip("the process that reads clips could not read this one") from None
            except asyncio.CancelledError:  # what it still says belongs to nobody
                self._end()
                raise
            held.change(clip.bytes)
            self._rest(allowance)
            return clip
        raise TooLarge(
            f"reading this clip takes more than the {held.most // MIB} MiB that all clips together may take (setting "
            "max_promised_bytes), or than any clip may: send it in parts"
        )

    async def _ask(self, file: int, memory_bytes: int) -> PoseClip | TrackedClip:
        """Raises what the clip deserves; ReaderOutOfMemory; EOFError, OSError and ValueError when the process fails."""
        worker = await self._started()
        request = ReadRequest(memory_bytes=memory_bytes, max_bytes=self._max_bytes, max_frames=self._max_frames)
        socket.send_fds(worker.socket, [request.model_dump_json().encode()], [file])
        (length,) = LENGTH.unpack(await _received(worker.socket, LENGTH.size))
        if length > MAX_HEAD:
            raise ValueError("too long a head")
        head = unpack_head(await _received(worker.socket, length))
        if head.bytes > 2 * self._max_bytes:
            raise ValueError("more than was asked for")
        os.ftruncate(file, 0)  # its memory is needed for the arrays
        clip, arrays = head.arrays()
        for array in arrays:
            await _fill(worker.socket, array)
        return clip

    async def _started(self) -> _Worker:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._worker is not None and self._worker.process.returncode is not None:
            self._end()
        if self._worker is None:
            self._memory.take(PROCESS)
            mine, its = socket.socketpair()
            with its:
                mine.setblocking(False)
                try:
                    process = await asyncio.create_subprocess_exec(
                        *child_command("clips.read_worker"),
                        stdin=its.fileno(),
                        stdout=DEVNULL,
                        stderr=DEVNULL,
                        env=child_environment(),
                        start_new_session=True,  # Ctrl-C is for the server, which then ends its children in order
                    )
                except BaseException:
                    mine.close()
                    self._memory.close()
                    raise
            self._worker = _Worker(process, mine)
        self._worker.jobs += 1
        return self._worker

    def _rest(self, allowance: int) -> None:
        """A clip was read: keep the process for the next one, for a while."""
        if self._worker is None:
            return
        if allowance > LARGE or self._worker.jobs >= JOBS:
            self._end()
        else:
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._end)

    def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.socket.close()
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
            self._memory.close()
            task = asyncio.get_running_loop().create_task(_reap(worker.process))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _reap(process: asyncio.subprocess.Process) -> None:
    await process.wait()


async def _received(peer: socket.socket, count: int) -> bytes:
    """Exactly so many bytes. Raises EOFError."""
    data = np.empty(count, np.uint8)
    await _fill(peer, data)
    return data.tobytes()


async def _fill(peer: socket.socket, array: NDArray[Any]) -> None:
    """Read an array's bytes. Raises EOFError."""
    loop = asyncio.get_running_loop()
    view, at = array.reshape(-1).view(np.uint8).data, 0
    while at < len(view):
        count = await loop.sock_recv_into(peer, view[at:])
        if not count:
            raise EOFError
        at += count


def _memory_file(begin: bytes | bytearray) -> int:
    """A file without a name, in memory."""
    file = os.memfd_create("clip", os.MFD_CLOEXEC)
    _write(file, begin)
    return file


def _write(file: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
