"""Only the frames that are as they were sent: what the decoder knows of damage decides, nothing is guessed.

A frame that lacks a part of itself, or refers to one that does, looks like a scene with sudden movement. So after
damage every frame is left out up to the next one that refers to no other (a key frame).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Any

import av

from inkling.models.transport_stream import LossFinder

STRICT = {"err_detect": "explode"}
"""Options of the decoder: an error that it would cover up is raised."""


class Damage(StrEnum):
    """Why a frame was left out."""

    LOST = "lost"  # parts of it, on the way
    BROKEN = "broken"  # it could not be decoded
    DEPENDENT = "dependent"  # it refers to one that is damaged or missing


_SAID = {
    Damage.LOST: "lost parts on the way",
    Damage.BROKEN: "could not be decoded",
    Damage.DEPENDENT: "refer to a damaged or missing one",
}


def said_of_damage(left_out: Mapping[Damage, int]) -> list[str]:
    """A sentence, if any frame was left out."""
    total = sum(left_out.values())
    causes = "; ".join(f"{count} {_SAID[cause]}" for cause, count in Counter(left_out).most_common() if count)
    return [f"{total} damaged frames were left out: {causes}"] if total else []


_RECOVERING = ("h264", "hevc")
"""Decoders that, once flushed, give nothing before they have recovered, also where streams have no key frames."""


class CleanDecoder:
    """Decodes the packets of one video stream, and leaves out what is damaged. For one thread.

    left_out: frames (of packets that gave none: packets) that were not given, by cause.
    """

    def __init__(self, stream: Any, losses: LossFinder | None = None, aspect: Fraction | None = None) -> None:
        """stream: its codec is not yet open, and has `STRICT` among its options. losses: fed with the file's bytes.

        aspect: width by height of a pixel; None: as the file says. Each frame has it as its `opaque`.
        """
        self.aspect = aspect
        self._stream = stream
        self._codec = stream.codec_context
        self._losses = losses
        self._recovers = self._codec.name in _RECOVERING
        self._waiting = True  # for a clean start: also at the beginning, where a stream may be joined in its middle
        self._first_pts: int | None = None  # of the last key frame that was waited for
        self._suspect = False  # the next packet may be the one that the demuxer meant
        self._inside = 0  # packets whose frames are still to come
        self._place: int | None = None  # of the last piece of a transport stream
        self.left_out: Counter[Damage] = Counter()
        self.failed = 0
        """Packets in a row that could not be decoded."""
        self.error: Exception | None = None
        """What the decoder said of the last one."""

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """The clean frames that a packet completes; None: those that are left at the end.

        Raises EOFError after the end, MemoryError.
        """
        packet = packet if packet is None or packet.size else None
        if packet is not None and self._lacks_a_part(packet):
            frames = self._drain()
            self.left_out[Damage.LOST] += 1
            return frames
        return [self._seen(frame) for frame in self._frames(packet) if self._is_clean(frame)]

    def begin_anew(self) -> None:
        """Something is missing before the next packet."""
        if not self._waiting:
            self._flush()

    def _lacks_a_part(self, packet: av.Packet[Any]) -> bool:
        # ffmpeg's parser hands over a frame when it has seen the next one begin, with the mark that the demuxer has set
        # by then: it belongs to this packet or to the next one.
        marked, self._suspect = packet.is_corrupt or self._suspect, packet.is_corrupt
        if self._losses is not None:
            self._place = self._place if packet.pos is None else packet.pos
            marked = marked or (self._place is not None and self._losses.is_damaged(self._stream.id, self._place))
        return bool(marked)

    def _drain(self) -> list[av.VideoFrame]:
        """The frames before, which the decoder holds back for their order."""
        frames = [] if self._waiting else [self._seen(frame) for frame in self._frames(None) if self._is_clean(frame)]
        self._flush()
        return frames

    def _flush(self) -> None:
        """Make the decoder forget what it has: frames that it holds back for their order too."""
        self._waiting, self._first_pts = True, None
        self.left_out[Damage.DEPENDENT] += self._inside
        self._inside = 0
        self._codec.flush_buffers()

    def _frames(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            frames: list[av.VideoFrame] = self._codec.decode(packet)
        except (EOFError, MemoryError):
            raise
        except (av.FFmpegError, ValueError) as error:
            self.error = error
            self.failed += 1
            self.left_out[Damage.DEPENDENT if self._waiting and self._recovers else Damage.BROKEN] += 1
            self.begin_anew()
            return []
        self.failed = 0
        self._inside = max(self._inside + (packet is not None) - len(frames), 0)
        return frames

    def _is_clean(self, frame: av.VideoFrame) -> bool:
        if frame.is_corrupt:
            self.left_out[Damage.BROKEN] += 1
            self._flush()
            return False
        if self._waiting and (frame.key_frame or self._recovers):
            self._waiting, self._first_pts = False, frame.pts
        elif self._waiting or self._leads(frame):
            self.left_out[Damage.DEPENDENT] += 1
            return False
        return True

    def _seen(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame, with the shape of its pixels for whoever converts it."""
        frame.opaque = self.aspect or self._stream.sample_aspect_ratio or self._codec.sample_aspect_ratio
        return frame

    def _leads(self, frame: av.VideoFrame) -> bool:
        """Whether it is shown before the key frame that was waited for, and so may refer to what was before that."""
        return self._first_pts is not None and frame.pts is not None and frame.pts < self._first_pts
