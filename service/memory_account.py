"""One account of the memory that is promised to clients, whatever for. Pure; on the event loop only.

    account = MemoryAccount(256 * MIB)
    with account.share("clips") as share:
        share.take(len(chunk))          # raises OverCapacity when there is no more

A client that holds nothing large is not in it: poses and small pictures cost no call. What is promised is an upper
bound of what is held, and for processes a limit of the kernel holds them to it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Literal, Self, get_args

from inkling.service.protocol.errors import OverCapacity

MIB = 1024 * 1024
Kind = Literal["images", "clips", "videos", "sources"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PARTS: Final[dict[Kind, float]] = {"images": 0.5, "clips": 0.875, "videos": 0.75, "sources": 0.75}
"""Most of the whole that one kind may take, so that none shuts the others out."""
RESERVED = 384 * MIB
"""What the server itself takes, with both shipped bundles."""
PART_OF_REST = 0.4
LEAST = 64 * MIB


def default_limit(machine_bytes: int) -> int:
    """What may be promised where the server has so much memory: 256 MiB in a container of 1 GiB."""
    return max(LEAST, int(PART_OF_REST * (machine_bytes - RESERVED)))


class MemoryAccount:
    """What is promised, by kind. Nobody gets more than `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.promised: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self.refused: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        """How often there was too little."""

    def most(self, kind: Kind) -> int:
        """Bytes that this kind gets at the most, when nobody else has any."""
        return int(PARTS[kind] * self.limit)

    def fits(self, kind: Kind, count: int) -> bool:
        """Whether so many bytes more can be promised now."""
        promised = self.promised
        return promised[kind] + count <= self.most(kind) and sum(promised.values()) + count <= self.limit

    def reserve(self, kind: Kind, count: int) -> None:
        """Promise so many bytes more. Raises OverCapacity, and then promises nothing."""
        if not self.fits(kind, count):
            self.refused[kind] += 1
            raise OverCapacity(
                f"{count / MIB:.1f} MiB more for {kind} are not to be had now: the server has promised "
                f"{sum(self.promised.values()) / MIB:.0f} of {self.limit / MIB:.0f} MiB; try again in a moment"
            )
        self.promised[kind] += count

    def release(self, kind: Kind, count: int) -> None:
        """Take a promise back."""
        self.promised[kind] -= count

    def share(self, kind: Kind) -> Share:
        """What one stream, clip, video or source holds."""
        return Share(self, kind)


class Share:
    """One owner's part. As a context manager it is given back in the end; or `close` it."""

    __slots__ = ("_account", "bytes", "kind")

    def __init__(self, account: MemoryAccount, kind: Kind) -> None:
        self._account = account
        self.kind: Kind = kind
        self.bytes = 0

    @property
    def most(self) -> int:
        """Bytes that it would get if nobody else had any."""
        return self._account.most(self.kind)

    def fits(self, count: int) -> bool:
        """Whether there are so many bytes more."""
        return self._account.fits(self.kind, count)

    def take(self, count: int) -> None:
        """Hold so many bytes more. Raises OverCapacity."""
        self._account.reserve(self.kind, count)
        self.bytes += count

    def give(self, count: int) -> None:
        """Hold so many bytes less."""
        self._account.release(self.kind, count)
        self.bytes -= count

    def change(self, count: int) -> None:
        """Hold exactly so many bytes. Raises OverCapacity where that is more, and then keeps what it has."""
        if count > self.bytes:
            self.take(count - self.bytes)
        else:
            self.give(self.bytes - count)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self.give(self.bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
