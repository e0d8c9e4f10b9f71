"""How much one token may take at once. Pure: time comes in as an argument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inkling.service.protocol.errors import OverQuota

BURST_S = 2.0
"""Seconds' worth of bytes that may come at once."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Of one token; None: no limit but the server's own."""

    streams: int | None = None
    sources: int | None = None
    bytes_per_s: int | None = None


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_s: float


@dataclass(slots=True)
class Quotas:
    """What tokens, by their id, have taken."""

    quota: Quota
    _streams: Counter[str] = field(default_factory=Counter)
    _sources: dict[str, str] = field(default_factory=dict)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    @contextmanager
    def stream_of(self, token_id: str) -> Iterator[None]:
        """A stream that `open_stream` counted ends with this block."""
        try:
            yield
        finally:
            self.close_stream(token_id)

    def open_stream(self, token_id: str) -> None:
        """Count a stream. Raises OverQuota."""
        limit = self.quota.streams
        if limit is not None and self._streams[token_id] >= limit:
            raise OverQuota(f"this token has {limit} streams open, as many as it may; end one first")
        self._streams[token_id] += 1

    def close_stream(self, token_id: str) -> None:
        """The stream has ended."""
        self._streams[token_id] -= 1
        if self._streams[token_id] <= 0:
            del self._streams[token_id]

    def check_sources(self, token_id: str) -> None:
        """Raises OverQuota when this token may add no other source."""
        limit = self.quota.sources
        if limit is not None and sum(owner == token_id for owner in self._sources.values()) >= limit:
            raise OverQuota(f"this token has added {limit} sources, as many as it may; remove one first")

    def add_source(self, token_id: str, source_id: str) -> None:
        """A source was added. Since the server's start: sources that it took up again count for nobody."""
        self._sources[source_id] = token_id

    def remove_source(self, source_id: str) -> None:
        """A source was removed, by whoever it was."""
        self._sources.pop(source_id, None)

    @property
    def limits_bytes(self) -> bool:
        """Whether `take_bytes` ever makes anybody wait."""
        return self.quota.bytes_per_s is not None

    def take_bytes(self, token_id: str, count: int, now_s: float) -> float:
        """Count what came in; seconds to wait before more is read, 0 while the token is within its rate."""
        rate = self.quota.bytes_per_s
        if rate is None:
            return 0.0
        bucket = self._buckets.get(token_id)
        if bucket is None:
            bucket = self._buckets[token_id] = _Bucket(rate * BURST_S, now_s)
        bucket.left = min(rate * BURST_S, bucket.left + (now_s - bucket.filled_s) * rate) - count
        bucket.filled_s = now_s
        return max(0.0, -bucket.left / rate)
