"""Why a source cannot be had, from the errors of ffmpeg and the system. Runs in the process that fetches."""

from __future__ import annotations

import errno
import socket

import av

from inkling.service.sources.lifecycle import Cause

_NUMBERS = {
    errno.ECONNREFUSED: Cause.UNREACHABLE,
    errno.EHOSTUNREACH: Cause.UNREACHABLE,
    errno.ENETUNREACH: Cause.UNREACHABLE,
    errno.EHOSTDOWN: Cause.UNREACHABLE,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.ENOENT: Cause.NOT_FOUND,
    errno.ENODEV: Cause.NOT_FOUND,
    errno.ENXIO: Cause.NOT_FOUND,
    errno.EACCES: Cause.REFUSED,
    errno.EPERM: Cause.REFUSED,
    errno.ENOMEM: Cause.MEMORY,
}


class Failure(Exception):
    """The connection is over: a cause and a sentence."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def from_av(error: Exception) -> Failure:
    """ffmpeg's error. The sentence is without the path and the URL, which ffmpeg puts behind its own."""
    what = str(getattr(error, "strerror", None) or type(error).__name__).split(": '")[0]
    match error:
        case Failure():
            return error
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return Failure(Cause.UNAUTHORISED, "the camera does not accept these credentials")
        case av.error.HTTPNotFoundError():
            return Failure(Cause.NOT_FOUND, "the camera has no stream of this path")
        case av.error.ExitError() | TimeoutError():
            return Failure(Cause.TIMEOUT, "no answer in time")
        case av.error.EOFError() | av.error.BrokenPipeError() | av.error.ConnectionResetError():
            return Failure(Cause.CLOSED, "the other side closed the connection")
        case av.error.InvalidDataError() | av.error.DecoderNotFoundError() | av.error.DemuxerNotFoundError():
            return Failure(Cause.UNREADABLE, what)
        case av.error.HTTPServerError() | av.error.HTTPTooManyRequestsError():
            return Failure(Cause.UNREACHABLE, what)
    return Failure(_NUMBERS.get(getattr(error, "errno", None) or 0, Cause.CLOSED), what)


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host, by the system. Raises Failure."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Failure(Cause.UNKNOWN_HOST, f"host {host!r} is not known: {error.strerror}") from None
    except (OSError, UnicodeError):
        raise Failure(Cause.UNKNOWN_HOST, f"host {host!r} cannot be looked up") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
