"""What the process that fetches a source is asked to do, as JSON on its standard input (never its command line, which
every user of the machine can read)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from inkling.models.resize import Turn
from inkling.service.inputs.picture_fit import Fit
from inkling.service.sources.policy import SourcePolicy


@dataclass(frozen=True, slots=True)
class Spool:
    """Where a recording is kept while it plays, if it must be fetched whole; directory: None is the system's."""

    max_bytes: int = 2**30
    directory: Path | None = None


class FetchRequest(BaseModel):
    """One connection. height, width, fit: of what is seen of a frame, to which it is brought at once.

    fps, aspect, rotate, interval_s: as in the source's definition. open_s, read_s: seconds to an answer, and between
    two; max_pixels: of a frame as it comes. memory_bytes: what the video may take, beside the process itself, until the
    server gives more. policy: what the address must hold to. spool: for recordings that must be fetched whole.
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
    rotate: Turn = 0
    interval_s: float | None = None
    open_s: float
    read_s: float
    max_pixels: int
    memory_bytes: int
    policy: SourcePolicy
    spool: Spool = Spool()
