"""Several streams of one source, as the source holds them: what it gives to one, it gives to all. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from inkling.models.bundle.schema import BundleSpec
from inkling.service.inputs.picture_fit import Fit
from inkling.service.protocol.codec import End, Reset
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.streams.admitted_stream import AdmittedStream


class StreamGroup:
    """Streams of the same pictures, each on a bundle of its own; the first is the source's."""

    def __init__(self, streams: Sequence[AdmittedStream]) -> None:
        self._streams = streams

    @property
    def spec(self) -> BundleSpec:
        """That of the first."""
        return self._streams[0].spec

    @property
    def picture_size(self) -> tuple[int, int, Fit]:
        """As of a stream; the same for each of them."""
        return self._streams[0].picture_size

    @property
    def closed(self) -> bool:
        """Whether any of them is: then all are to be opened anew."""
        return any(stream.closed for stream in self._streams)

    def receive(self, message: ImageFrame | Reset | End) -> None:
        for stream in self._streams:
            stream.receive(message)

    def absent(self) -> None:
        """As of a stream."""
        for stream in self._streams:
            stream.absent()

    async def writable(self) -> None:
        """Wait until each has room."""
        for stream in self._streams:
            await stream.writable()

    async def finished(self) -> None:
        """Wait until each is closed."""
        for stream in self._streams:
            await stream.finished()

    def close(self, reason: str) -> None:
        for stream in self._streams:
            stream.close(reason)
