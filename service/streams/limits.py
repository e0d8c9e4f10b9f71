"""What one server takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on. inbox: unanswered frames of a stream (= its credits). slots: tracks per bundle.

    max_pixels: of one image. max_followers: over all streams.
    """

    max_streams: int = 256
    slots: int = 1024
    max_people: int = 32
    inbox: int = 8
    max_batch: int = 256
    track_timeout_s: float = 10.0
    max_pixels: int = 4096 * 4096
    max_followers: int = 256
