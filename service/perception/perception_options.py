"""How people are looked for: the settings of that group, and what a source may ask for instead."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class PerceptionOptions:
    """How the people of a stream are looked for. None: as the people bundle says."""

    longer_side: Annotated[int, Field(ge=32, le=2048)] | None = Field(
        default=None,
        description="longer side in pixels of the picture in which people are looked for: more finds more who are "
        "small, and takes longer; empty: what the people bundle says",
    )
    max_people: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="most people in one picture; empty: what the people bundle says"
    )
    begin_score: Share | None = Field(
        default=None, description="score from which somebody new is believed; empty: what the people bundle says"
    )
    keep_score: Share | None = Field(
        default=None,
        description="score from which somebody who is tracked goes on being so; empty: what the people bundle says",
    )
    motion_gate: bool = Field(
        default=True, description="whether pictures in which nothing moves and nobody is tracked are passed over"
    )
