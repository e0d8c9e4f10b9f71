"""What one server takes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on: the settings of that group, and their defaults.

    inbox: unanswered frames of a stream (= its credits). slots: tracks per bundle. max_followers: over all streams.
    """

    max_batch: Count = Field(default=256, description="most steps in one run of the model")
    max_streams: Count = Field(default=256, description="most streams open at once; the next one is refused")
    max_followers: Count = Field(default=256, description="most who listen to the streams of others at once")
    slots: Count = Field(default=1024, description="most people watched at once, for each bundle")
    max_people: Count = Field(default=32, description="most people in one frame, and at once in one stream")
    inbox: Count = Field(default=8, description="frames of one stream that may wait, and so its credits")
    max_pixels: Count = Field(
        default=4096 * 4096, description="most pixels of one image or video frame, checked before it is decoded"
    )
    max_decode_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=0.25,
        description="seconds of one core that decoding one image may take, as estimated from its header; a baseline "
        "JPEG takes the least, so PNG, WebP and progressive JPEG may have fewer pixels",
    )
    track_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=10.0, description="seconds unseen, in the stream's time, before a track is forgotten"
    )
