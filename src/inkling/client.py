"""The client: what a program needs to talk to an Inkling server. `inkling.service.client` is how it is made."""

from inkling.service.client.aio import AsyncClient, AsyncStream
from inkling.service.client.blocking import Client, Stream
from inkling.service.client.clips import Timeline
from inkling.service.client.stream_state import ClientError, ConnectionLost, RemoteError, Unreachable

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientError",
    "ConnectionLost",
    "RemoteError",
    "Stream",
    "Timeline",
    "Unreachable",
]
