"""The protocol of `/v1/stream`: text or bytes to messages, messages to text. No sockets, no clocks, no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from inkling.models.problems import first_problem
from inkling.service.protocol import image_binary, pose_binary, prediction_format
from inkling.service.protocol.binary_header import IMAGES, kind_of
from inkling.service.protocol.errors import BadMessage, ServiceError, TooLarge
from inkling.service.protocol.image_binary import EncodedImage, unpack_image
from inkling.service.protocol.messages import (
    Credit,
    DecisionMessage,
    End,
    ErrorMessage,
    Event,
    Flush,
    Flushed,
    Incoming,
    Message,
    Outgoing,
    PeopleMessage,
    PeopleSkeleton,
    Person,
    Pose,
    Prediction,
    Ready,
    Reset,
    SeenPerson,
    Start,
    Summary,
    Token,
)
from inkling.service.protocol.pose_binary import PackedPose, pack_pose, unpack_pose
from inkling.service.protocol.pose_json import read_pose
from inkling.service.protocol.pose_message import MAX_FIELDS, read_pose_in_full

__all__ = [
    "Credit",
    "DecisionMessage",
    "EncodedImage",
    "End",
    "ErrorMessage",
    "Event",
    "Flush",
    "Flushed",
    "Incoming",
    "Message",
    "Outgoing",
    "PackedPose",
    "PeopleMessage",
    "PeopleSkeleton",
    "Person",
    "Pose",
    "Prediction",
    "Ready",
    "Reset",
    "SeenPerson",
    "Start",
    "Summary",
    "Token",
    "decode",
    "decode_reply",
    "encode",
    "error_message",
    "pack_pose",
    "schema",
]

_incoming: TypeAdapter[Incoming] = TypeAdapter(Incoming)
_outgoing: TypeAdapter[Outgoing] = TypeAdapter(Outgoing)

MAX_TEXT = 128 * 1024
"""Characters of a text message, unless the server's settings say otherwise: 32 people of 33 joints take 60 KB. More
than that is for packed poses, which cost a hundredth to read."""


def decode(
    data: str | bytes, max_text: int = MAX_TEXT
) -> Start | PackedPose | EncodedImage | Reset | Flush | End | Token:
    """One message of a client: JSON from text, packed poses and images (not decoded) from bytes.

    Raises BadMessage, and TooLarge for a text of more than `max_text` characters; or BadPose, BadImage, BadTime and
    TooManyPeople, which refuse one frame (`seq` says which) and leave the stream open.
    """
    if isinstance(data, bytes):
        return unpack_image(data) if kind_of(data) == IMAGES else unpack_pose(data)
    if len(data) > max_text:
        raise TooLarge(f"a text message has at most {max_text} characters, not {len(data)}; packed poses take less")
    try:
        message = from_json(data)
    except (TypeError, ValueError) as error:  # TypeError: half a surrogate pair
        raise BadMessage(f"not JSON: {error}") from None
    if (frame := read_pose(message)) is not None:
        return frame
    if type(message) is not dict or len(message) > MAX_FIELDS:
        raise BadMessage(f"a message is a JSON object with a type and at most {MAX_FIELDS} fields")
    if message.get("type") == "pose":
        return read_pose_in_full(message)
    try:
        return cast("Start | Reset | Flush | End | Token", _incoming.validate_python(message))
    except ValidationError as error:
        raise BadMessage(first_problem(error)) from None


def encode(message: Message) -> str:
    """The JSON text of any message; fields that are None are left out."""
    return message.model_dump_json(exclude_none=True)


def decode_reply(data: str | bytes, labels: Sequence[str] = (), lead_s: float | None = None) -> Outgoing:
    """One message of the server, for clients. labels, lead_s: those of `ready`, to read packed results by.

    Raises pydantic's ValidationError, or BadMessage for bytes that are no packed result.
    """
    if isinstance(data, str):
        return _outgoing.validate_json(data)
    return prediction_format.unpack_prediction(data, labels, lead_s)


def error_message(error: ServiceError, seq: int | None = None) -> ErrorMessage:
    """What a client is told of an error."""
    return ErrorMessage(
        code=error.code, message=str(error), retryable=error.retryable, seq=error.seq if seq is None else seq
    )


def schema() -> dict[str, Any]:
    """The protocol as JSON: schemas of both directions, and every error with its close code (None: stream goes on)."""
    return {
        "incoming": _incoming.json_schema(),
        "outgoing": _outgoing.json_schema(mode="serialization"),
        "packed": pose_binary.__doc__,
        "images": image_binary.__doc__,
        "results": prediction_format.__doc__,
        "errors": {
            kind.code: {
                "meaning": (kind.__doc__ or "").strip(),
                "close": kind.close,
                "http": kind.http,
                "retryable": kind.retryable,
            }
            for kind in ServiceError.__subclasses__()
        },
        "close": {"1000": "after summary", "1001": "the client went away"},
    }
