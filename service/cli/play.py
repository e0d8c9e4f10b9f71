"""Play what is captured into a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from inkling.models.resize import Turn, turned
from inkling.service.client.blocking import Stream
from inkling.service.client.capture import Capture
from inkling.service.protocol.codec import Prediction
from inkling.service.protocol.image_binary import Pixels


def play_video(
    stream: Stream,
    capture: Capture,
    *,
    fast: bool = False,
    seconds: float | None = None,
    rotate: Turn = 0,
    shown: Callable[[float, Pixels], None] = lambda pts_s, image: None,
) -> Iterator[Prediction]:
    """Send what is captured, in real time unless `fast`, and yield what comes back; then end the stream.

    In real time a frame for which the server has no credit is left out here, before it is made a JPEG. rotate: by so
    much each picture is turned first. shown: called with each frame that is sent.
    """
    began_s = time.monotonic()
    for pts_s, image in capture:
        if seconds is not None and pts_s >= seconds:
            break
        wait_s = 0.0 if fast or capture.live else began_s + pts_s - time.monotonic()
        yield from stream.received(max(wait_s, 0.0))
        if fast or stream.room:
            pixels = turned(image(), rotate)
            stream.send_image(pixels, pts_s)
            shown(pts_s, pixels)
    yield from stream.finish()
