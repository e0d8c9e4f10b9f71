"""A recording whose index is at its end, from a server that does not give parts of a file: it is fetched first.

The file has no name, so it is gone with the process that fetches, however that ends.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import BinaryIO

from inkling.service.sources.failure import Failure
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.http_reader import ResponseBody
from inkling.service.sources.lifecycle import Cause

_READ_BYTES = 2**16
_TELL_EVERY_S = 1.0


def fetch_whole(body: ResponseBody, spool: Spool, told: Callable[[int, int | None], None]) -> BinaryIO:
    """The body as a file that is read from its begin. told: called each second with the bytes so far, and of all.

    Raises Failure: also when it is too large, or the disk is full.
    """
    too_large = Failure(
        Cause.TOO_LARGE,
        f"the recording has more than {spool.max_bytes} bytes (setting max_video_bytes), and its server gives no parts "
        "of it; with its index at the front (ffmpeg -movflags faststart) it plays as it comes",
    )
    if body.length is not None and body.length > spool.max_bytes:
        raise too_large
    try:
        file: BinaryIO = tempfile.TemporaryFile(dir=spool.directory)  # noqa: SIM115 -- the caller closes it
        try:
            if body.length:
                os.posix_fallocate(file.fileno(), 0, body.length)  # a disk that is too full says so now
            size, told_s = 0, -_TELL_EVERY_S
            while data := body.read(_READ_BYTES):
                size += len(data)
                if size > spool.max_bytes:
                    raise too_large
                file.write(data)
                if time.monotonic() - told_s >= _TELL_EVERY_S:
                    told_s = time.monotonic()
                    told(size, body.length)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except BrokenPipeError:  # of `told`: the server has no more use for it
        raise
    except OSError as error:
        raise Failure(
            Cause.NO_STORAGE,
            f"the recording must be fetched whole, and cannot be kept while it plays ({error.strerror}): the operator "
            "makes room, or names another directory (setting clip_dir)",
        ) from None
    return file
