"""How people are looked for: the settings of that group, and what a source may ask for instead."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from inkling.models.people.tracker import TrackerConfig

Share = Annotated[float, Field(ge=0, le=1)]

_TRACKER = TrackerConfig()


@dataclass(frozen=True, slots=True)
class LookOptions:
    """How the people of one stream are looked for. Frozen and hashable: streams of the same options share a decoder."""

    longer_side: Annotated[int, Field(ge=32, le=1280)] = Field(
        default=256, description="longer side in pixels of the picture in which people are looked for; more finds more"
    )
    max_people: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="most people who are looked for in one picture"
    )
    begin_score: Share = Field(default=_TRACKER.begin_score, description="score from which somebody new is believed")
    sure_score: Share = Field(
        default=_TRACKER.sure_score, description="score from which somebody new is believed at first sight"
    )
    keep_score: Share = Field(
        default=_TRACKER.keep_score, description="score from which somebody who is tracked goes on being so"
    )
    motion_gate: bool = Field(
        default=True, description="whether pictures in which nothing moves and nobody is tracked are passed over"
    )
