"""Run the server: bind, load, serve, and on a signal let the open streams finish first."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable
from contextvars import Context
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from inkling.models.errors import InklingError
from inkling.service.access.tls import Certificate
from inkling.service.bootstrap import Core, build
from inkling.service.http.app import create_app
from inkling.service.http.connection import MAX_HEAD, bounded
from inkling.service.http.monitoring import MonitoringServer
from inkling.service.settings import Settings
from inkling.service.websocket.transport import StreamTransport

log = logging.getLogger(__name__)

GRACE_S = 3
"""Seconds after the drain in which the last bytes may reach their clients."""

BACKLOG = 2048

RENEWAL_S = 60.0
"""How often the certificate's files are looked at."""

OTHER_FILES = 256
"""Files that the process may need beside its connections: bundles, clips, sources' pipes, libraries."""


class CannotListen(InklingError):
    """The address or port cannot be had."""


def serve(settings: Settings, announce: Callable[[str], None] = log.info) -> None:
    """Serve until SIGINT or SIGTERM and the drain that follows. `announce` gets one line when the server is ready.

    Raises CannotListen, BundleError, Unprotected, TokenError, TlsError.
    """
    with bind(settings.host, settings.port) as listener:  # first: loading is in vain when the port is taken
        core = build(settings)
        if core.access.first_token is not None:
            announce(f"the first token, for an admin; keep it, it is not shown again: {core.access.first_token}")
        gc.collect()
        gc.freeze()  # what is loaded stays: the garbage collector need not look through it while streams wait
        names = ", ".join(spec.full_name for spec in core.hub.bundles())
        finds = "" if core.hub.perception is None else f"; {core.hub.perception.model.name} finds people in pictures"
        url = address(listener, secure=core.access.certificate is not None) + settings.sockets.root_path
        both = " (IPv6 and IPv4)" if takes_both(listener) else ""
        Server(core, lambda: announce(f"Inkling is ready on {url}{both} with {names}{finds}")).run([listener])
        if threading.current_thread() is threading.main_thread():
            for number in HANDLED_SIGNALS:  # the work is done: another signal must not spoil the exit code
                signal.signal(number, signal.SIG_IGN)


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket; nobody is heard before the server listens on it. Raises CannotListen.

    `::` takes IPv4 too, where the system allows it.
    """
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise CannotListen(f"host {host!r} is no address of this machine: {error.strerror}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            both = where[0] == "::" and socket.has_dualstack_ipv6()
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        listener.bind(where)
    except OSError as error:
        listener.close()
        raise _cannot_listen(error, host, port) from error
    return listener


def _cannot_listen(error: OSError, host: str, port: int) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"port {port} on {host} is in use; choose another with --port")
    return CannotListen(f"cannot listen on port {port} of {host}: {error.strerror}")


def takes_both(listener: socket.socket) -> bool:
    """Whether a bound socket hears IPv6 and IPv4."""
    return listener.family == socket.AF_INET6 and not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def most_connections(wanted: int) -> int:
    """How many connections the process may hold, at most `wanted`: each is an open file. Raises the process's limit of
    files as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # no limit at all, which not every system takes for a soft one
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY or files - OTHER_FILES >= wanted:
        return wanted
    possible = max(files - OTHER_FILES, files // 2)
    log.warning("max_connections is %d, but this process may open %d files: %d are held", wanted, files, possible)
    return possible


def address(listener: socket.socket, *, secure: bool = False) -> str:
    """The URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with another way to stop: refuse new streams, tell the open ones, wait for their summaries, then exit."""

    def __init__(self, core: Core, when_ready: Callable[[], None] = lambda: None) -> None:
        certificate = core.access.certificate
        config = uvicorn.Config(
            create_app(core=core),
            ssl_context_factory=None if certificate is None else lambda config, default: certificate.context,
            loop="uvloop",
            http=bounded(most_connections(core.settings.sockets.max_connections)),
            h11_max_incomplete_event_size=MAX_HEAD,
            ws=StreamTransport,
            ws_max_size=core.settings.sockets.max_message_bytes,
            ws_per_message_deflate=False,  # costs ten times what it saves: results are small, images compressed
            ws_ping_interval=20.0,
            ws_ping_timeout=None,  # a loaded client answers late; silence has a limit of its own
            root_path=core.settings.sockets.root_path,
            proxy_headers=False,  # `Forwarded` believes the proxies of the settings
            lifespan="on",
            log_config=None,
            access_log=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=GRACE_S,
        )
        super().__init__(config)
        self._core = core
        self._when_ready = when_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None
        self._monitoring: MonitoringServer | None = None
        self._renewal: asyncio.TimerHandle | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # another process bound the same port and listened first
            await self.lifespan.shutdown()
            settings = self._core.settings
            raise _cannot_listen(error, settings.host, settings.port) from error
        if not self.should_exit:
            self._begin_beside()
            self._when_ready()

    def _begin_beside(self) -> None:
        """What runs beside the server: metrics on a port of their own, and the look at a renewed certificate."""
        port = self._core.settings.access.metrics_port
        if port is not None:
            self._monitoring = MonitoringServer(self._core, bind(self._core.settings.host, port))
            self._monitoring.begin()
        if self._core.access.certificate is not None:
            self._look_at_certificate(self._core.access.certificate)

    def _look_at_certificate(self, certificate: Certificate) -> None:
        certificate.refresh()
        loop = asyncio.get_running_loop()
        self._renewal = loop.call_later(RENEWAL_S, self._look_at_certificate, certificate)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        if self._monitoring is not None:
            await self._monitoring.end()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # clients that do not take what is sent to them
            connection.transport.abort()
        if self.force_exit:  # then uvicorn leaves this out, but the engine threads must end
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT or SIGTERM. uvicorn's own would stop at once, and end the process by the signal instead of code 0."""
        self.stop()

    def stop(self) -> None:
        """Drain, then exit; called a second time: exit now. From any thread, or a signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            # In a context of its own: a signal may come while some stream's task runs, whose id would be on our lines.
            self._loop.call_soon_threadsafe(self._stop, context=Context())

    def _stop(self) -> None:
        if self._drain is None:
            log.info("stopping: %d streams may finish first", len(self._core.hub.streams()))
            self._drain = asyncio.create_task(self._core.drain())
            self._drain.add_done_callback(self._drained)
        else:
            self.should_exit = self.force_exit = True

    def _drained(self, task: asyncio.Task[None]) -> None:
        self.should_exit = True
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the drain failed", exc_info=error)
