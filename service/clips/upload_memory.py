"""What clips of poses may hold in memory, all of them together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inkling.service.protocol.errors import OverCapacity

UPLOADS = 128 * 1024 * 1024
"""Bytes of bodies that are held at once, whoever sends them."""


class UploadMemory:
    """Accounts for the bodies that are being received and read."""

    def __init__(self, most: int = UPLOADS) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def clip(self) -> Iterator[HeldClip]:
        """One clip's share, given back in the end."""
        held = HeldClip(self)
        try:
            yield held
        finally:
            self.held -= held.bytes

    def take(self, count: int) -> None:
        """Raises OverCapacity when that is more than there is."""
        if self.held + count > self._most:
            raise OverCapacity(f"clips of {self.held} bytes are being read already: try again in a moment")
        self.held += count


class HeldClip:
    """One clip's share."""

    def __init__(self, memory: UploadMemory) -> None:
        self._memory = memory
        self.bytes = 0

    def take(self, count: int) -> None:
        """Hold so many bytes more. Raises OverCapacity."""
        self._memory.take(count)
        self.bytes += count
