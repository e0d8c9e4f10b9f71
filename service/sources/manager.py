"""All sources of a server: added, kept, taken up again after a restart, and removed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from functools import partial

from inkling.service.protocol.codec import ErrorMessage, Outgoing, Start
from inkling.service.protocol.errors import BadTime, Draining, OverCapacity, ServiceError, TooManyPeople, UnknownSource
from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.lifecycle import Cause, SourceState, SourceTiming
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.source import Source, SourceCounts
from inkling.service.sources.store import SourceStore, StoredSource, StoreError
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.hub import Hub
from inkling.service.streams.stream_group import StreamGroup
from inkling.service.streams.tracks import PeopleQuota

log = logging.getLogger(__name__)


class SourceManager:
    """Everything but the constructor runs on the event loop."""

    def __init__(
        self,
        hub: Hub,
        store: SourceStore,
        policy: SourcePolicy,
        timing: SourceTiming,
        *,
        max_sources: int,
        max_pixels: int,
        spool: Spool,
    ) -> None:
        """max_pixels: of a frame as it comes. spool: for recordings that must be fetched whole. Raises StoreError."""
        self.store = store
        self._kept = store.all()
        self._hub = hub
        self._policy = policy
        self._timing = timing
        self._max_sources = max_sources
        self._max_pixels = max_pixels
        self._spool = spool
        self._sources: dict[str, Source] = {}
        self._gone = SourceCounts()
        self._writing: set[asyncio.Task[None]] = set()
        self._stopped = False

    def start(self) -> None:
        """Take up the sources that are kept."""
        for kept in self._kept:
            try:
                source = self._make(kept.id, kept.definition)
            except ServiceError as error:
                # The settings have changed since. It stays in the store: they may change back.
                log.error("source %s is left out: %s", kept.id, error)
                continue
            self._sources[kept.id] = source
            if kept.ended:
                source.lifecycle.finish(source.lifecycle.since_s)
            else:
                source.start()

    def all(self) -> list[Source]:
        """Every source, the oldest first."""
        return list(self._sources.values())

    def get(self, id: str) -> Source:
        """Raises UnknownSource."""
        try:
            return self._sources[id]
        except KeyError:
            raise UnknownSource("there is no source of this id") from None

    async def add(self, definition: SourceDefinition, quota: PeopleQuota | None = None) -> Source:
        """Admit, keep and start a source; whether it can be reached shows later, in its state.

        quota: of the people of this source and of other streams, until the server ends.

        Raises BadSource, SourceRefused, UnknownBundle, UnsupportedInput (the bundle takes poses, and nothing finds
        people), OverCapacity, Draining, StoreError.
        """
        if self._stopped:
            raise Draining("the server is shutting down")
        if len(self._sources) >= self._max_sources:
            raise OverCapacity(f"there are {self._max_sources} sources already: remove one first")
        source = self._make(secrets.token_urlsafe(9), definition, quota)
        try:
            source.reserve()
            source.open_stream()
            self._sources[source.id] = source
            await asyncio.to_thread(self.store.add, StoredSource(source.id, definition, time.time()))
            if self._stopped:
                raise Draining("the server is shutting down")
        except BaseException:
            self._sources.pop(source.id, None)
            await source.remove()
            raise
        source.start()
        log.info("source %s was added", source.address, extra={"source": source.id})
        return source

    async def remove(self, id: str) -> None:
        """Stop a source, whatever it is doing, and forget it. Raises UnknownSource."""
        source = self.get(id)
        del self._sources[id]
        await source.remove()
        self._gone.add(source.tally)
        await asyncio.to_thread(self.store.remove, id)
        log.info("source %s was removed", source.address, extra={"source": source.id})

    async def stop(self) -> None:
        """Stop fetching; what is kept is taken up by the next server. Idempotent."""
        self._stopped = True
        await asyncio.gather(*(source.stop() for source in self.all()))
        await asyncio.gather(*self._writing, return_exceptions=True)

    def states(self) -> dict[SourceState, int]:
        """How many sources are in each state."""
        counts = dict.fromkeys(SourceState, 0)
        for source in self.all():
            counts[source.lifecycle.state] += 1
        return counts

    def timed_by_arrival(self) -> int:
        """How many have a clock that is wrong."""
        return sum(source.clock_warning is not None for source in self.all())

    def tally(self) -> SourceCounts:
        """Counts of all sources, those that were removed since included."""
        total = SourceCounts()
        total.add(self._gone)
        for source in self.all():
            total.add(source.tally)
        return total

    def _make(self, id: str, definition: SourceDefinition, quota: PeopleQuota | None = None) -> Source:
        return Source(
            id,
            definition,
            self._policy,
            self._timing,
            partial(self._open, quota),
            max_pixels=self._max_pixels,
            spool=self._spool,
            memory=self._hub.memory.share("sources"),
            on_end=self._note_end,
        )

    def _open(
        self, quota: PeopleQuota | None, start: Start, id: str, definition: SourceDefinition
    ) -> AdmittedStream | StreamGroup:
        def take(message: Outgoing) -> None:
            self._take(id, message)

        if len(definition.bundles) < 2:
            return self._hub.open(start, take, stream=id, options=definition.perception, quota=quota)
        perception = self._hub.share_perception(definition.bundles, definition.perception)
        opened: list[AdmittedStream] = []
        try:
            for name in definition.bundles:
                stream = f"{id}.{name}" if opened else id
                of_bundle = start.model_copy(update={"bundle": name})
                opened.append(self._hub.open(of_bundle, take, stream=stream, options=perception, quota=quota))
        except ServiceError:
            for stream_of_source in opened:
                stream_of_source.close("another of the source's streams cannot be opened")
            raise
        return StreamGroup(opened)

    def _take(self, id: str, message: Outgoing) -> None:
        """A source's stream has no client of its own: those who follow it see its messages."""
        if isinstance(message, ErrorMessage) and message.code != Draining.code:
            log.warning("frame %s: %s", message.seq, message.message, extra={"code": message.code})
            if message.code in (BadTime.code, TooManyPeople.code) and (source := self._sources.get(id)) is not None:
                source.stream_warning = message.message

    def _note_end(self, source: Source) -> None:
        if source.lifecycle.cause is Cause.FINISHED:
            task = asyncio.get_running_loop().create_task(self._keep_end(source))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _keep_end(self, source: Source) -> None:
        try:
            await asyncio.to_thread(self.store.end, source.id)
        except StoreError as error:
            log.error("that source %s has ended is not kept: %s", source.id, error)
