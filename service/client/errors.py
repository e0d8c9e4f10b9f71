"""Every error that comes out of the client.

ClientError                 retryable: whether the same may work later
├── BadArgument             what was passed cannot be sent; also a ValueError
├── Unreachable             nobody answers at that address, or not in time
├── ConnectionLost          the connection ended before the stream did
├── RemoteError             the server refused something; it has the server's code
├── CallbackError           one of your callbacks raised; the cause is its error
└── MissingPackage          this needs an extra that is not installed
"""

from __future__ import annotations

from inkling.models.errors import InklingError
from inkling.service.protocol.errors import ServiceError

_survived = {kind.code for kind in ServiceError.__subclasses__() if kind.close is None}


class ClientError(InklingError):
    """The client cannot go on; its text says what to do. `retryable`: whether the same may work later."""

    retryable: bool = False


class BadArgument(ClientError, ValueError):
    """What was passed cannot be sent: the wrong shape, the wrong type, a number that is none."""


class Unreachable(ClientError):
    """Nobody answers at that address, or not in time."""

    def __init__(self, message: str, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ConnectionLost(ClientError):
    """The connection ended before the summary. `close`: its WebSocket close code, if there was one."""

    retryable = True

    def __init__(self, message: str, close: int | None = None) -> None:
        super().__init__(message)
        self.close = close


class RemoteError(ClientError):
    """The server refused something. `code` and `retryable` as in the protocol, `seq` the refused frame if it was one.

    `fatal`: the stream (or request) ended with it; otherwise only that frame or person was refused.
    """

    def __init__(self, code: str, message: str, retryable: bool, seq: int | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.retryable = retryable
        self.seq = seq
        self.fatal = code not in _survived


class CallbackError(ClientError):
    """A callback raised an error, which is this one's cause; the stream has ended."""


class MissingPackage(ClientError):
    """This needs a package that is not installed; the text says which extra brings it."""
