"""What the process that fetches a source is asked to do, as JSON on its standard input (never its command line, which
every user of the machine can read)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inkling.service.inputs.picture_fit import Fit
from inkling.service.sources.policy import SourcePolicy


class FetchRequest(BaseModel):
    """One connection. height, width, fit: of what is seen of a frame, to which it is brought at once.

    fps, aspect: as in the source's definition. open_s, read_s: seconds to an answer, and between two; max_pixels: of a
    frame as it comes. policy: what the address must hold to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(repr=False)]
    height: int
    width: int
    fit: Fit = "letterbox"
    transport: Literal["tcp", "udp"] = "tcp"
    pace: Literal["real", "fast"] = "real"
    loop: bool = False
    fps: float | None = None
    aspect: float | None = None
    open_s: float
    read_s: float
    max_pixels: int
    policy: SourcePolicy
