"""One server's parts, put together from its settings: hub, metrics, socket shell. No web framework."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.models.bundle import Found, Registry, load, load_people, zoo_directory
from inkling.models.bundle.loader import wrong_kind
from inkling.models.bundle.schema import Kind
from inkling.models.errors import BundleError, BundleNotFound, BundleOfAnotherKind
from inkling.service.access.control import AccessControl, access_control
from inkling.service.clips.clip_reader import ClipReader
from inkling.service.clips.jobs import VideoJobs, video_limits
from inkling.service.engine.onnx_engine import Device, resolve_device
from inkling.service.machine_memory import machine_bytes
from inkling.service.memory_account import MemoryAccount, default_limit
from inkling.service.metrics import Metrics
from inkling.service.perception.people_model import people_model
from inkling.service.protocol.errors import ServiceError
from inkling.service.settings import Settings
from inkling.service.sources.collector import SourceMetrics
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.manager import SourceManager
from inkling.service.sources.store import SourceStore
from inkling.service.streams.hub import Hub
from inkling.service.version import version
from inkling.service.websocket.endpoint import StreamEndpoint

log = logging.getLogger(__name__)

PEOPLE, NO_PEOPLE = "people", "none"
"""The people bundle that comes with Inkling, and what stands for no bundle at all."""
PICTURES: dict[Device, int] = {"cpu": 4, "cuda": 64}
"""In one run of the people bundle: on a CPU more of them take as long each, and the first waits for the last."""

_LOOK = os.R_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class Core:
    """Everything that the HTTP application and the server process share."""

    settings: Settings
    hub: Hub
    metrics: Metrics
    sockets: StreamEndpoint
    sources: SourceManager
    clips: VideoJobs
    reader: ClipReader
    access: AccessControl

    @property
    def ready(self) -> bool:
        """Whether new streams are taken: loaded, warm, started and not shutting down."""
        return self.metrics.ready and not self.hub.draining

    def start(self) -> None:
        """Take streams on the running event loop."""
        self.hub.start(asyncio.get_running_loop())
        self.sources.start()
        self.metrics.ready = True

    async def drain(self) -> None:
        """Refuse new streams, let the open ones finish for at most `drain_s` seconds."""
        self.metrics.ready = False
        await self.sources.stop()
        self.hub.drain()
        try:
            async with asyncio.timeout(self.settings.drain_s):
                await self.hub.drained()
                await self.sockets.closed()
        except TimeoutError:
            log.warning("%d clients did not finish within %g s", self.sockets.at_work, self.settings.drain_s)

    async def stop(self) -> None:
        """End what is still open, and the engines."""
        self.metrics.ready = False
        await self.sources.stop()
        await self.clips.stop()
        await self.reader.close()
        await self.hub.stop()
        self.sources.store.close()
        self.access.close()


def build(settings: Settings) -> Core:
    """Load the bundles, verify and warm them. Blocks for as long as that takes.

    A bundle that is named in `settings.load` must load; of those that were merely found, a broken one is logged, shown
    in the metrics and left out, as long as another one is there. Raises BundleError, DeviceMissing, StoreError when
    sources cannot be kept in `settings.state_dir`, Unprotected when everybody could use the server, TokenError and
    TlsError.
    """
    metrics = Metrics(version())
    metrics.errors.update(dict.fromkeys((kind.code for kind in ServiceError.__subclasses__()), 0))

    def refused(code: str) -> None:
        metrics.errors[code] += 1

    access = access_control(settings.access, settings.host, settings.state_dir, refused)
    device = resolve_device(settings.engine.device)
    memory = MemoryAccount(settings.max_promised_bytes or default_limit(machine_bytes()))
    hub = Hub(
        settings.limits,
        metrics,
        memory=memory,
        threads=settings.engine.threads,
        decode_threads=settings.engine.decode_threads,
        device=device,
        graphs=settings.engine.cuda_graphs,
        canary=settings.engine.canary,
    )
    metrics.watch(hub.stats, memory)
    bundles = _found(settings)
    for found in select(bundles, settings.load):
        try:
            hub.load(load(found.path))
        except BundleError as error:
            if settings.load:
                raise
            log.error("bundle left out: %s", error)
            metrics.broken.append((f"{found.name}/{found.version}", type(error).__name__))
    if not hub.bundles():
        raise BundleNotFound(_searched(settings), "no bundle here can be used; put one there as NAME/VERSION")
    _load_people(settings, bundles, hub, device)
    sockets = StreamEndpoint(
        hub, metrics, access, settings.sockets.idle_timeout_s, settings.sockets.outbox, settings.sockets.max_text
    )
    sources, clips = _sources(settings, hub, metrics), _clips(settings, hub, metrics)
    of_clips = settings.clips
    reader = ClipReader(memory.share("clips"), max_bytes=of_clips.max_bytes, max_frames=of_clips.max_frames)
    return Core(settings, hub, metrics, sockets, sources, clips, reader, access)


def _load_people(settings: Settings, bundles: Sequence[Found], hub: Hub, device: Device) -> None:
    """What finds people in pictures. Raises BundleError for one that is asked for."""
    wanted = settings.people.bundle
    if wanted == NO_PEOPLE or (wanted is None and not any(entry.name == PEOPLE for entry in bundles)):
        return
    (found,) = select(bundles, [wanted or PEOPLE], "people")
    options = settings.people.perception
    max_batch = settings.people.max_batch or PICTURES[device]
    model = people_model(load_people(found.path), options, settings.engine.threads, device, max_batch)
    hub.load_people(model, options, max_batch)


def _clips(settings: Settings, hub: Hub, metrics: Metrics) -> VideoJobs:
    def scored(bundle: str) -> None:
        metrics.clips[bundle] += 1

    return VideoJobs(
        hub,
        video_limits(settings.limits.max_pixels, settings.clips.max_frames),
        max_jobs=settings.clips.max_videos,
        max_bytes=settings.clips.max_video_bytes,
        max_s=settings.clips.max_video_s,
        scored=scored,
        damaged=metrics.clip_damage.update,
        directory=settings.clips.directory,
    )


def _sources(settings: Settings, hub: Hub, metrics: Metrics) -> SourceManager:
    of_sources = settings.sources
    sources = SourceManager(
        hub,
        SourceStore(settings.state_dir),
        of_sources.policy,
        of_sources.timing,
        max_sources=of_sources.max_sources,
        max_pixels=settings.limits.max_pixels,
        spool=Spool(settings.clips.max_video_bytes, settings.clips.directory),
    )
    metrics.registry.register(SourceMetrics(sources))
    return sources


def select(found: Sequence[Found], names: Iterable[str], kind: Kind = "step") -> list[Found]:
    """Those that `names` (NAME or NAME/VERSION) ask for; without names the newest version of every name of that kind.

    `found` has older versions first, as `Registry.scan` gives them. Raises BundleNotFound for a name that is not there,
    BundleOfAnotherKind for one that is something else.
    """
    others = {name: entry.kind for entry in found if entry.kind != kind for name in (entry.name, entry.full_name)}
    found = [entry for entry in found if entry.kind == kind]
    newest = {entry.name: entry for entry in found}
    if not (names := list(names)):
        return list(newest.values())
    known = newest | {entry.full_name: entry for entry in found}
    for name in names:
        if name not in known and name in others:
            raise BundleOfAnotherKind(name, wrong_kind(others[name], kind))
        if name not in known:
            raise BundleNotFound(name, f"no such bundle to load; found {', '.join(sorted(known)) or 'none at all'}")
    return list({known[name].path: known[name] for name in names}.values())


def _found(settings: Settings) -> list[Found]:
    for directory in settings.bundles:
        _must_hold_bundles(directory)
    return Registry([zoo_directory(), *settings.bundles]).scan()


def _must_hold_bundles(directory: Path) -> None:
    """An operator who names a directory means what is in it: a volume that was not mounted is empty, or closed.

    Globbing, as the registry does, would see nothing in either. Raises BundleNotFound.
    """
    refused = f"this process may not read the directory; give user {os.geteuid()} the right to"
    try:
        closed = [
            entry
            for entry in sorted(directory.iterdir())
            if entry.is_dir() and not os.access(entry, _LOOK, effective_ids=True)
        ]
        found = Registry([directory]).scan()
    except PermissionError as error:
        raise BundleNotFound(error.filename, refused) from error
    except OSError:
        return  # the registry says what is wrong
    if not found and closed:
        raise BundleNotFound(closed[0], refused)
    if not found:
        reason = "no bundle here can be used; put one there as NAME/VERSION, or take it out of the setting 'bundles'"
        raise BundleNotFound(directory, reason)
    for entry in closed:  # a volume's lost+found, say
        log.warning("%s: %s", entry, refused)


def _searched(settings: Settings) -> str:
    return os.pathsep.join(map(str, settings.bundles)) or str(zoo_directory())
