"""The protocol of `/v1/stream`: text or bytes to messages, messages to text. No sockets, no clocks, no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from inkling.models.problems import first_problem
from inkling.service.protocol import image_binary, pose_binary, prediction_format
from inkling.service.protocol.binary_header import IMAGES, kind_of
from inkling.service.protocol.errors import BadMessage, BadPose, ServiceError
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
    Keypoint,
    Message,
    Outgoing,
    Person,
    Pose,
    Prediction,
    Ready,
    Reset,
    Start,
    Summary,
    Token,
)
from inkling.service.protocol.pose_binary import MAX_NUMBERS, PackedPose, about, checked_pose, pack_pose, unpack_pose
from inkling.service.protocol.pose_json import read_pose

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
    "Keypoint",
    "Message",
    "Outgoing",
    "PackedPose",
    "Person",
    "Pose",
    "Prediction",
    "Ready",
    "Reset",
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


def decode(data: str | bytes) -> Start | PackedPose | EncodedImage | Reset | Flush | End | Token:
    """One message of a client: JSON from text, packed poses and images (not decoded) from bytes.

    Raises BadMessage; or BadPose, BadImage and BadTime, which refuse one frame (`seq` says which) and leave the stream
    open.
    """
    if isinstance(data, bytes):
        return unpack_image(data) if kind_of(data) == IMAGES else unpack_pose(data)
    if (frame := read_pose(data)) is not None:
        return frame
    try:
        message = _incoming.validate_json(data)
    except ValidationError as error:
        raise BadMessage(first_problem(error)) from None
    except RecursionError:
        raise BadMessage("the message is nested too deeply") from None
    return _to_arrays(message) if isinstance(message, Pose) else message


def encode(message: Message) -> str:
    """The JSON text of any message; fields that are None are left out."""
    return message.model_dump_json(exclude_none=True)


def decode_reply(data: str | bytes, labels: Sequence[str] = ()) -> Outgoing:
    """One message of the server, for clients. labels: those of `ready`, to read packed results by.

    Raises pydantic's ValidationError, or BadMessage for bytes that are no packed result.
    """
    return _outgoing.validate_json(data) if isinstance(data, str) else prediction_format.unpack_prediction(data, labels)


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


def _to_arrays(pose: Pose) -> PackedPose:
    tracks = [person.track for person in pose.people]
    rows = [person.keypoints for person in pose.people]
    try:
        keypoints = np.array(rows, np.float64)
    except (TypeError, ValueError):  # a null among the joints, or unequal lengths
        return _with_missing(pose, tracks, rows)
    if keypoints.ndim != 3:
        if any(rows):  # nulls only
            return _with_missing(pose, tracks, rows)
        keypoints = np.zeros((len(rows), 0, 0))
    return checked_pose(pose.seq, pose.pts_s, tracks, keypoints)


def _with_missing(pose: Pose, tracks: list[int], rows: list[list[Keypoint]]) -> PackedPose:
    """A frame with nulls: as arrays, with NaN where a joint is missing. Raises BadPose for unequal lengths."""
    joints = {len(row) for row in rows}
    if len(joints) > 1:
        raise about(pose.seq, BadPose(f"people of one frame must have equally many joints, not {sorted(joints)}"))
    numbers = {len(joint) for row in rows for joint in row if joint is not None}
    if len(numbers) > 1:
        raise about(pose.seq, BadPose(f"joints of one frame must have equally many numbers, not {sorted(numbers)}"))
    if max(numbers, default=0) > MAX_NUMBERS:  # each null would take as many
        raise about(pose.seq, BadPose(f"a joint is at most {MAX_NUMBERS} numbers, not {max(numbers)}"))
    nothing = (0.0,) * (numbers.pop() if numbers else 1)  # nulls only: how many numbers a joint has does not matter
    filled = np.array([[nothing if joint is None else joint for joint in row] for row in rows], np.float64)
    frame = checked_pose(pose.seq, pose.pts_s, tracks, filled)
    frame.keypoints[[[joint is None for joint in row] for row in rows]] = np.nan
    return frame
