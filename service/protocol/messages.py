"""The messages of `/v1/stream`, as pydantic models, and nothing else: no sockets, no clocks, no state.

`inkling.service.protocol.codec` reads and writes them; import them from there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from inkling.service.protocol.track_id import MAX_TRACK, MAX_TRACK_TEXT, UNTRACKED, TrackId

Seq = Annotated[int, Field(ge=0, lt=2**53)]
PictureSide = Annotated[int, Field(gt=0, lt=2**31)]
"""Of the picture that keypoints are of, in pixels."""
TopK = Annotated[int, Field(gt=0, lt=2**31)]
Track = (
    Annotated[int, Field(ge=UNTRACKED, lt=MAX_TRACK)] | Annotated[str, Field(min_length=1, max_length=MAX_TRACK_TEXT)]
)
Keypoint = Annotated[tuple[float, ...], Field(fail_fast=True)] | None
"""(x, y, confidence) or (x, y, z, confidence), or without confidence (taken as 1); null or confidence 0: missing."""


RESETS = ("gap", "backward", "requested", "evicted")
"""Why a track's state was set back to its initial value."""


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# -- from the client ----------------------------------------------------------------------------------------------
class Start(Message):
    """The first message of a stream. skeleton: that of the poses to come; without it the bundle's own.

    version: the newest loaded one by default. policy: what a full inbox means. error_rate: how many of the
    `decision` messages may be wrong, one of the rates that `/v1/bundles` lists; without it there are none.
    people: with `input: "frame"` and a bundle that takes poses, `people` messages come beside the predictions.
    unknown: predictions say how likely it is that what is seen is none of the labels, where the bundle can tell.
    width, height: of the picture in pixels; only needed where keypoints are shares of it, from 0 to 1.
    resume: reserved; a stream cannot be resumed yet, so anything but null is refused.
    """

    type: Literal["start"] = "start"
    bundle: str
    version: str | None = None
    input: Literal["pose", "frame"] = "pose"
    skeleton: str | None = None
    width: PictureSide | None = None
    height: PictureSide | None = None
    top_k: TopK | None = None
    policy: Literal["drop_oldest", "block"] = "drop_oldest"
    error_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    results: Literal["json", "packed"] = "json"
    people: bool = False
    unknown: bool = False
    resume: str | None = None

    @field_validator("resume")
    @classmethod
    def _refuse_resume(cls, value: str | None) -> None:
        if value is not None:
            raise ValueError("a stream cannot be resumed yet: leave this out and start a new one")


class Person(Message):
    """track: a number or a text; -1, null or nothing for a person who is not tracked, one in a frame."""

    track: Track | None = None
    keypoints: Annotated[list[Keypoint], Field(fail_fast=True)]


class Pose(Message):
    """One frame's people. Without `pts_s` the frame is stamped on arrival."""

    type: Literal["pose"] = "pose"
    seq: Seq
    pts_s: float | None = None
    people: Annotated[list[Person], Field(fail_fast=True)]


class Reset(Message):
    """Set a track's state (or every track's) to its initial value; the next result says so."""

    type: Literal["reset"] = "reset"
    track: Track | None = None


class Flush(Message):
    """Ask for `flushed` after everything sent before it has been answered."""

    type: Literal["flush"] = "flush"
    id: Annotated[int, Field(ge=-(2**63), lt=2**64)]


class End(Message):
    """Finish: everything pending is answered, then `summary`, then close 1000."""

    type: Literal["end"] = "end"


class Token(Message):
    """Who sends: before `start`, where the server asks and the handshake could not say, as in a browser.

    token: its text, as `inkling tokens create` printed it.
    """

    type: Literal["token"] = "token"
    token: str = Field(max_length=200, repr=False)


Incoming = Annotated[Start | Pose | Reset | Flush | End | Token, Field(discriminator="type")]


# -- from the server ----------------------------------------------------------------------------------------------
class PeopleSkeleton(Message):
    """What the keypoints of `people` messages are, enough to draw them.

    joints: their names, in the order of the keypoints. bones: pairs of joints, by their places in `joints`.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]


class Ready(Message):
    """The stream is admitted. `credits`: frames that may be unanswered at a time.

    image_size: width and height of what the model sees of an image; sending much more than that is a waste.
    inputs: of a model that is given several things at once, the name of each.
    skeleton: of the keypoints in `people` messages, where they come.
    task: only of a bundle that says what comes: its labels are of `lead_s` seconds after each frame.
    unknown_above: above this `unknown` no event begins and nothing is decided; only where predictions have `unknown`.
    """

    type: Literal["ready"] = "ready"
    stream: str
    bundle: str
    version: str
    labels: tuple[str, ...]
    rate_hz: float
    credits: int
    image_size: tuple[int, int] | None = None
    inputs: tuple[str, ...] | None = None
    skeleton: PeopleSkeleton | None = None
    task: Literal["anticipation"] | None = None
    lead_s: float | None = None
    unknown_above: float | None = None


class Prediction(Message):
    """Running probabilities of one track after one frame. Every frame up to `seq` is settled.

    probabilities: in the order of `labels`, to 6 decimals; with `top_k` the best k first, and `classes` their indices.
    unknown: how likely it is that what is seen is none of the labels, averaged over about a second, from 0 to 1, to 3
    decimals; only where `start` asks for it and the bundle can tell.
    epoch: counts the resets of the track; reset: why it was just reset (`gap`, `backward`, `requested`; `evicted`: its
    slot went to another person of the stream). skipped, dropped: frames of this stream so far. backlog: frames of this
    stream that wait. for_s: only of a bundle that says what comes: the time that `label` and `probabilities` are of,
    `pts_s` being that of the frame.
    """

    type: Literal["prediction"] = "prediction"
    seq: int
    pts_s: float
    for_s: float | None = None
    track: TrackId
    label: str
    probabilities: list[float]
    classes: list[int] | None = None
    unknown: float | None = None
    epoch: int
    reset: str | None = None
    skipped: int
    dropped: int
    backlog: int


class SeenPerson(Message):
    """box: left, top, right, bottom. score: how sure it is that this is somebody, in [0, 1].

    keypoints: x, y and confidence of each joint, in the order of `ready.skeleton`; [0, 0, 0]: it was not found.
    """

    track: int
    box: tuple[float, float, float, float]
    score: float
    keypoints: list[tuple[float, float, float]]


class PeopleMessage(Message):
    """Who was seen in one frame, in pixels of the picture as it was sent, or as a source has it; only where `start`
    asks for it.

    It comes before the frame's predictions, and settles no frame. `people` is empty where nobody was found; a frame
    that was not looked at (skipped, dropped, or still) has no such message.
    """

    type: Literal["people"] = "people"
    seq: int
    pts_s: float
    people: list[SeenPerson]


class Credit(Message):
    """Every frame up to `seq` is settled without further predictions (skipped or dropped), so more may be sent."""

    type: Literal["credit"] = "credit"
    seq: int
    skipped: int
    dropped: int


class Event(Message):
    """A calibrated, debounced decision: the action began or ended.

    begins_in_s, ends_in_s: only of a bundle that says what comes: so long after `pts_s` the action is under way, or
    over.
    """

    type: Literal["event"] = "event"
    seq: int
    pts_s: float
    track: TrackId
    label: str
    phase: Literal["begin", "end"]
    probability: float
    begins_in_s: float | None = None
    ends_in_s: float | None = None


class DecisionMessage(Message):
    """The stream commits itself to an action, early, at most once an action; only where `start` had an `error_rate`.

    elapsed_s: since the first result of the epoch, or since the last decided action ended. error_rate: at most so many
    of such decisions are wrong. first: of its epoch; the promise is of these. for_s: as in a prediction.
    """

    type: Literal["decision"] = "decision"
    seq: int
    pts_s: float
    for_s: float | None = None
    track: TrackId
    label: str
    probability: float
    elapsed_s: float
    error_rate: float
    epoch: int
    first: bool


class Flushed(Message):
    """Everything sent before the flush of this id has been answered."""

    type: Literal["flushed"] = "flushed"
    id: int


class ErrorMessage(Message):
    """What went wrong, see `/v1/protocol` for the codes. `seq`: the frame that it is about, which is settled by it."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool
    seq: int | None = None


class Summary(Message):
    """The last message of a stream that ended in order.

    Frames: received = stepped (at least one prediction) + skipped (nobody due for a step) + dropped + refused (an error
    was sent). tracks: people ever seen. resets: by reason. duration_s: since start.
    """

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
    Ready | Prediction | PeopleMessage | Credit | Event | DecisionMessage | Flushed | ErrorMessage | Summary,
    Field(discriminator="type"),
]
