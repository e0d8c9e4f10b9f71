"""Every error a client can meet: a stable code, a sentence, whether to try again, and how the WebSocket closes.

`close` None means that the stream goes on: the message was refused, nothing else happened.
Codes and close codes are part of the protocol; they never change their meaning.
"""

from __future__ import annotations

from typing import ClassVar

from inkling.models.errors import InklingError

MAX_TEXT = 1000
"""Characters of an error's text: it may repeat a client's, which may be as long as a message."""


class ServiceError(InklingError):
    """Base of what goes over the wire. Its text says what to do."""

    code: ClassVar[str] = "internal"
    close: ClassVar[int | None] = 1011
    http: ClassVar[int] = 500
    retryable: ClassVar[bool] = True

    seq: int | None = None
    """The frame that the error is about, where it is about one."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…")


# -- the message was refused, the stream goes on ------------------------------------------------------------------
class BadPose(ServiceError):
    """Wrong joint count, a number that is not finite or beyond 1e6, a track twice in one frame."""

    code, close, http, retryable = "bad_pose", None, 422, False


class DoubtfulPose(ServiceError):
    """Nothing was refused, but the poses look as if they were not what they should be; said once, without a `seq`."""

    code, close, http, retryable = "doubtful_pose", None, 422, False


class BadTime(ServiceError):
    """`pts_s` is negative or not finite. Without `seq`: nothing was refused, but the stream's times cannot be right."""

    code, close, http, retryable = "bad_time", None, 422, False


class BadImage(ServiceError):
    """Not JPEG, PNG, WebP or raw pixels of the length they should have; broken, or more pixels than the limit."""

    code, close, http, retryable = "bad_image", None, 422, False


class TooManyPeople(ServiceError):
    """More people in a frame, or tracks in a stream, than the server's limit."""

    code, close, http, retryable = "too_many_people", None, 422, False


class PeopleOverQuota(ServiceError):
    """As many people are watched as this token is granted, over all of its streams; one more is not."""

    code, close, http, retryable = "people_over_quota", None, 429, True


class NoSlot(ServiceError):
    """The state pool is full: the new person is not watched, the others are."""

    code, close, http, retryable = "no_slot", None, 503, True


class StepFailed(ServiceError):
    """The model could not be run on a batch; states are as before, the frames are lost."""

    code, close, http, retryable = "step_failed", None, 500, True


class PerceptionFailed(ServiceError):
    """People could not be looked for in a batch of pictures; these frames are lost, everybody's state is as before."""

    code, close, http, retryable = "perception_failed", None, 500, True


# -- the stream cannot go on --------------------------------------------------------------------------------------
class BadMessage(ServiceError):
    """Not JSON, not a known message, or fields that do not fit the schema."""

    code, close, http, retryable = "bad_message", 4400, 422, False


class UnknownErrorRate(ServiceError):
    """The bundle makes no promise of this `error_rate`; the sentence says of which it does."""

    code, close, http, retryable = "unknown_error_rate", 4422, 422, False


class OutOfOrder(ServiceError):
    """A second start, or anything before start or after end."""

    code, close, http, retryable = "out_of_order", 4409, 409, False


class UnknownBundle(ServiceError):
    """No bundle of that name or version is loaded."""

    code, close, http, retryable = "unknown_bundle", 4404, 404, False


class UnsupportedInput(ServiceError):
    """The bundle does not take this kind of input, or the skeleton cannot be mapped onto its own."""

    code, close, http, retryable = "unsupported_input", 4415, 415, False


class TooLarge(ServiceError):
    """A message or clip is larger than the server's limit."""

    code, close, http, retryable = "too_large", 1009, 413, False


class OverCapacity(ServiceError):
    """As many streams as the server admits; try again later or elsewhere."""

    code, close, http, retryable = "over_capacity", 1013, 503, True


class Draining(ServiceError):
    """The server is shutting down; reconnect to another one, or in a moment."""

    code, close, http, retryable = "draining", 1012, 503, True


class Flood(ServiceError):
    """More pings, empty messages or small fragments in a short time than the server takes from one connection."""

    code, close, http, retryable = "flood", 4429, 429, False


class SlowReader(ServiceError):
    """The client does not read its predictions as fast as it asks for them, or stopped reading."""

    code, close, http, retryable = "slow_reader", 4408, 408, True


class IdleTimeout(ServiceError):
    """No message for longer than the server's limit, of which pings are none, or no start soon after connecting."""

    code, close, http, retryable = "idle_timeout", 4410, 408, True


class BadClip(ServiceError):
    """The clip cannot be read: unknown format, broken file, arrays of the wrong shape."""

    code, close, http, retryable = "bad_clip", 4422, 422, False


class Cancelled(ServiceError):
    """Somebody cancelled the clip while it was being scored."""

    code, close, http, retryable = "cancelled", 4409, 409, False


class NoStorage(ServiceError):
    """The server's directory for videos (setting `clip_dir`) cannot be written to: it is full, read-only or gone."""

    code, close, http, retryable = "no_storage", 1013, 507, True


class UnknownClip(ServiceError):
    """No clip of that id is being scored, or was lately."""

    code, close, http, retryable = "unknown_clip", 4404, 404, False


class UnknownStream(ServiceError):
    """No stream of that id is open, so it cannot be followed."""

    code, close, http, retryable = "unknown_stream", 4404, 404, False


class StreamLost(ServiceError):
    """The stream that was followed ended without a summary: its client or the server went away."""

    code, close, http, retryable = "stream_lost", 4411, 410, False


# -- sources: only REST gives these --------------------------------------------------------------------------------
class BadSource(ServiceError):
    """The URL of a source cannot be understood, or an option does not go with it."""

    code, close, http, retryable = "bad_source", None, 422, False


class SourceRefused(ServiceError):
    """The server's settings do not allow this source: its scheme, host, directory or device."""

    code, close, http, retryable = "source_refused", None, 403, False


class UnknownSource(ServiceError):
    """No source of that id."""

    code, close, http, retryable = "unknown_source", None, 404, False


# -- who may do what ------------------------------------------------------------------------------------------------
class Unauthorized(ServiceError):
    """No token came with the request, or one that is not valid."""

    code, close, http, retryable = "unauthorized", 4401, 401, False


class Forbidden(ServiceError):
    """The token's role does not allow this, or the request's host or page may not use the server."""

    code, close, http, retryable = "forbidden", 4403, 403, False


class TooManyTries(ServiceError):
    """Too many wrong tokens came from this address; it is heard again after a while."""

    code, close, http, retryable = "too_many_tries", 4429, 429, True


class OverQuota(ServiceError):
    """As many streams, sources or bytes a second as this token is granted."""

    code, close, http, retryable = "over_quota", 4430, 429, True


class Internal(ServiceError):
    """A defect of the server; it is logged with the stream's id."""

    code, close, http, retryable = "internal", 1011, 500, True
