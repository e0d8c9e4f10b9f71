"""RTP packets that were lost on the way. ffmpeg's demuxer notices, and says so only in its log.

Its decoders do not notice all: where a whole frame is missing, the next one is decoded with a wrong reference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import av.logging

_SAID = "RTP: missed"
OVER_TCP = {"reorder_queue_size": "2"}
"""An option of the demuxer. Else it would not look at the numbers of packets over TCP, where the network loses none;
but cameras do, before they send."""


class RtpLosses(logging.Handler):
    """Marks the packets beside which something is missing. For one container and thread."""

    def __init__(self) -> None:
        super().__init__()
        self._missed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Called from within the call that reads the packet after the loss."""
        self._missed = self._missed or record.getMessage().startswith(_SAID)

    def marked(self, packets: Iterator[Any]) -> Iterator[Any]:
        """The packets; what is read when a loss is noticed has a mark as one that the demuxer knows to be damaged."""
        for packet in packets:
            if self._missed and packet.size:
                self._missed = False
                packet.is_corrupt = True
            yield packet

    @classmethod
    def watch(cls) -> RtpLosses:
        """Listen to what ffmpeg says of RTSP, from now on."""
        losses = cls()
        logger = logging.getLogger("libav.rtsp")
        logger.setLevel(logging.INFO)
        logger.addHandler(losses)
        logging.getLogger("libav").propagate = False
        av.logging.set_level(av.logging.INFO)
        av.logging.set_skip_repeated(False)  # one loss after the other is said in the same words
        return losses
