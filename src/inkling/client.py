"""The client: what a program needs to talk to an Inkling server. `inkling.service.client` is how it is made.

from inkling.client import Client

with Client("http://127.0.0.1:8000").stream("body-actions", skeleton="coco17", on_prediction=print) as stream:
    stream.send(keypoints, pts_s=0.0)
"""

from inkling.service.client.aio import AsyncClient, AsyncStream
from inkling.service.client.blocking import Client, Stream
from inkling.service.client.clips import Timeline, TimelineEntry
from inkling.service.client.errors import (
    BadArgument,
    CallbackError,
    ClientError,
    ConnectionLost,
    MissingPackage,
    RemoteError,
    Unreachable,
)
from inkling.service.client.reconnect import Reconnect, Reconnection
from inkling.service.protocol.codec import (
    DecisionMessage,
    Event,
    PeopleMessage,
    PeopleSkeleton,
    Prediction,
    Ready,
    SeenPerson,
    Summary,
)

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "BadArgument",
    "CallbackError",
    "Client",
    "ClientError",
    "ConnectionLost",
    "DecisionMessage",
    "Event",
    "MissingPackage",
    "PeopleMessage",
    "PeopleSkeleton",
    "Prediction",
    "Ready",
    "Reconnect",
    "Reconnection",
    "RemoteError",
    "SeenPerson",
    "Stream",
    "Summary",
    "Timeline",
    "TimelineEntry",
    "Unreachable",
]
