"""The messages of `/v1/stream`, as pydantic models, and nothing else: no sockets, no clocks, no state.

JSON text carries control, poses and results. Binary frames carry packed poses behind a 32-byte header (see `PACKED`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seq = Annotated[int, Field(ge=0, lt=2**53)]
Track = Annotated[int, Field(ge=0, lt=2**31)]
Keypoint = tuple[float, ...] | None
"""(x, y, confidence) or (x, y, z, confidence), or without confidence (taken as 1); null or confidence 0: missing."""


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# -- from the client ----------------------------------------------------------------------------------------------
class Start(Message):
    """The first message of a stream."""

    type: Literal["start"] = "start"
    bundle: str
    version: str | None = None
    input: Literal["pose", "frame"] = "pose"
    skeleton: str | None = None
    width: Annotated[int, Field(gt=0)] | None = None
    height: Annotated[int, Field(gt=0)] | None = None
    top_k: Annotated[int, Field(gt=0)] | None = None
    policy: Literal["drop_oldest", "block"] = "drop_oldest"
    resume: str | None = None


class Person(Message):
    track: Track
    keypoints: list[Keypoint]


class Pose(Message):
    """One frame's people. Without `pts_s` the frame is stamped on arrival."""

    type: Literal["pose"] = "pose"
    seq: Seq
    pts_s: float | None = None
    people: list[Person]


class Reset(Message):
    """Set a track's state (or every track's) to its initial value; the next result says so."""

    type: Literal["reset"] = "reset"
    track: Track | None = None


class Flush(Message):
    """Ask for `flushed` after everything sent before it has been answered."""

    type: Literal["flush"] = "flush"
    id: int


class End(Message):
    """Finish: everything pending is answered, then `summary`, then close 1000."""

    type: Literal["end"] = "end"


Incoming = Annotated[Start | Pose | Reset | Flush | End, Field(discriminator="type")]


# -- from the server ----------------------------------------------------------------------------------------------
class Ready(Message):
    """The stream is admitted. `credits`: frames that may be unanswered at a time."""

    type: Literal["ready"] = "ready"
    stream: str
    bundle: str
    version: str
    labels: tuple[str, ...]
    rate_hz: float
    credits: int


class Prediction(Message):
    """Running probabilities of one track after one frame. Every frame up to `seq` is settled.

    probabilities: in the order of `labels`; with `top_k` only the best k, then `classes` holds their indices.
    epoch: counts the resets of the track; reset: why it was just reset. skipped, dropped: frames of this stream so far.
    backlog: frames of this stream that wait.
    """

    type: Literal["prediction"] = "prediction"
    seq: int
    pts_s: float
    track: int
    label: str
    probabilities: list[float]
    classes: list[int] | None = None
    epoch: int
    reset: str | None = None
    skipped: int
    dropped: int
    backlog: int


class Credit(Message):
    """Every frame up to `seq` is settled without further predictions (skipped or dropped), so more may be sent."""

    type: Literal["credit"] = "credit"
    seq: int
    skipped: int
    dropped: int


class Event(Message):
    """A calibrated, debounced decision: the action began or ended."""

    type: Literal["event"] = "event"
    seq: int
    pts_s: float
    track: int
    label: str
    phase: Literal["begin", "end"]
    probability: float


class Flushed(Message):
    type: Literal["flushed"] = "flushed"
    id: int


class ErrorMessage(Message):
    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool
    seq: int | None = None


class Summary(Message):
    """The last message of a stream that ended in order."""

    type: Literal["summary"] = "summary"
    received: int
    stepped: int
    skipped: int
    dropped: int
    refused: int
    tracks: int
    resets: dict[str, int]
    duration_s: float


Outgoing = Annotated[
    Ready | Prediction | Credit | Event | Flushed | ErrorMessage | Summary, Field(discriminator="type")
]
