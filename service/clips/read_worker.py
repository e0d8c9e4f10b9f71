"""The process that reads large clips of poses (`python -m inkling.service.clips.read_worker`).

A process of its own, because a parser of JSON holds the interpreter, and with it every stream, and because only the
kernel can bound what a parser takes. Standard input is a socket: a `ReadRequest` comes with the file it is about, the
clip goes back as `packed_clip` has it. The process ends when the server closes the socket.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import socket

from pydantic import BaseModel

from inkling.service.child_process import data_bytes
from inkling.service.clips.packed_clip import pack_clip, pack_error
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.clips.pose_clip import is_arrays, parse_clip
from inkling.service.protocol.errors import ServiceError

MAX_REQUEST = 4096
NICE = 10
"""Streams come first."""


class ReadRequest(BaseModel):
    """One clip. memory_bytes: what reading it may take, beside the file. The others are `parse_clip`'s."""

    memory_bytes: int
    max_bytes: int
    max_frames: int


def answer(request: ReadRequest, file: int, base: int) -> list[bytes | memoryview]:
    """Everything to be said about the clip in `file`. base: bytes of this process before it."""
    resource.setrlimit(resource.RLIMIT_DATA, (base + request.memory_bytes, resource.RLIM_INFINITY))
    try:
        return pack_clip(_read(request, file))
    except (ServiceError, MemoryError) as error:
        return [pack_error(error)]
    finally:
        os.close(file)


def _read(request: ReadRequest, file: int) -> PoseClip | TrackedClip:
    bounds = {"max_bytes": request.max_bytes, "max_frames": request.max_frames}
    if is_arrays(os.pread(file, 16, 0)):  # its reader wants all of it: then the file need not be there too
        os.lseek(file, 0, os.SEEK_SET)
        with os.fdopen(os.dup(file), "rb", buffering=0) as whole:
            data = whole.readall()
        os.ftruncate(file, 0)
        return parse_clip(data or b"", **bounds)
    with mmap.mmap(file, 0, prot=mmap.PROT_READ) as text:
        return parse_clip(text, **bounds)


def serve(server: socket.socket) -> None:
    """Answer one request after the other until the server closes the socket."""
    base = data_bytes()
    while True:
        request, files, _, _ = socket.recv_fds(server, MAX_REQUEST, 1)
        if not request or not files:
            return
        for part in answer(ReadRequest.model_validate_json(request), files[0], base):
            server.sendall(part)


def main() -> None:
    """Serve the socket that is standard input."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError), socket.socket(fileno=os.dup(0)) as server:
        serve(server)


if __name__ == "__main__":
    main()
