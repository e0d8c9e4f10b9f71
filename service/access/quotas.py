"""What tokens have taken of their quota. Pure: time comes in as an argument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inkling.service.access.quota import Quota
from inkling.service.access.roles import Identity
from inkling.service.protocol.errors import OverQuota, PeopleOverQuota

BURST_S = 2.0
"""Seconds' worth of bytes that may come at once."""


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_s: float


class PeopleOfToken:
    """The people who are watched for one token, over all of its streams, clips and sources."""

    __slots__ = ("most", "watched")

    def __init__(self, most: int) -> None:
        self.most = most
        self.watched = 0

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self.watched >= self.most

    def take(self) -> None:
        """Count one more. Raises PeopleOverQuota."""
        if self.full:
            raise PeopleOverQuota(
                f"somebody is not watched: this token has {self.watched} people watched already, as many as it may"
            )
        self.watched += 1

    def give_back(self) -> None:
        """One of them is not watched any more."""
        self.watched -= 1


@dataclass(slots=True)
class Quotas:
    """What tokens have taken. usual: of a token that was granted nothing else when it was made."""

    usual: Quota
    _streams: Counter[str] = field(default_factory=Counter)
    _sources: dict[str, str] = field(default_factory=dict)
    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _people: dict[str, PeopleOfToken] = field(default_factory=dict)

    def of(self, sender: Identity) -> Quota:
        """What this one may take."""
        return sender.quota.or_else(self.usual)

    @contextmanager
    def stream_of(self, sender: Identity) -> Iterator[None]:
        """A stream that `open_stream` counted ends with this block."""
        try:
            yield
        finally:
            self.close_stream(sender)

    def open_stream(self, sender: Identity) -> None:
        """Count a stream, or a clip that is to be scored. Raises OverQuota."""
        limit = self.of(sender).streams
        if limit is not None and self._streams[sender.id] >= limit:
            raise OverQuota(f"this token has {limit} streams open, as many as it may; end one first")
        self._streams[sender.id] += 1

    def close_stream(self, sender: Identity) -> None:
        """The stream has ended."""
        self._streams[sender.id] -= 1
        if self._streams[sender.id] <= 0:
            del self._streams[sender.id]

    def people_of(self, sender: Identity) -> PeopleOfToken | None:
        """Who counts the people of a stream, for as long as it is open; None: nobody needs to."""
        limit = self.of(sender).people
        if limit is None:
            return None
        people = self._people.setdefault(sender.id, PeopleOfToken(limit))
        people.most = limit
        return people

    def check_sources(self, sender: Identity) -> None:
        """Raises OverQuota when this one may add no other source."""
        limit = self.of(sender).sources
        if limit is not None and sum(owner == sender.id for owner in self._sources.values()) >= limit:
            raise OverQuota(f"this token has added {limit} sources, as many as it may; remove one first")

    def add_source(self, sender: Identity, source_id: str) -> None:
        """A source was added. Since the server's start: sources that it took up again count for nobody."""
        self._sources[source_id] = sender.id

    def remove_source(self, source_id: str) -> None:
        """A source was removed, by whoever it was."""
        self._sources.pop(source_id, None)

    def limits_bytes(self, sender: Identity) -> bool:
        """Whether `take_bytes` ever makes this one wait."""
        return self.of(sender).bytes_per_s is not None

    def take_bytes(self, sender: Identity, count: int, now_s: float) -> float:
        """Count what came in; seconds to wait before more is read, 0 while the token is within its rate."""
        rate = sender.quota.bytes_per_s or self.usual.bytes_per_s  # as `of` says, but at each message
        if rate is None:
            return 0.0
        bucket = self._buckets.get(sender.id)
        if bucket is None:
            bucket = self._buckets[sender.id] = _Bucket(rate * BURST_S, now_s)
        bucket.left = min(rate * BURST_S, bucket.left + (now_s - bucket.filled_s) * rate) - count
        bucket.filled_s = now_s
        return max(0.0, -bucket.left / rate)
