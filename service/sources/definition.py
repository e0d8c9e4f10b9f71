"""What a user says of a source, as REST takes it and the store keeps it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inkling.models.resize import Turn
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.protocol.errors import BadSource
from inkling.service.protocol.messages import TopK
from inkling.service.sources.address import MAX_LENGTH, Address


class SourceDefinition(BaseModel):
    """A video that the server fetches itself, and the bundle that watches it.

    url: rtsp(s)://, http(s):// (MJPEG, HLS, a file or a picture), file: or device:, with credentials where they are
    needed. interval_s: seconds from one picture to the next, where the address gives one and is to be asked again.
    transport: of RTSP. pace, loop: of files; `fast` plays as fast as the model goes and drops nothing. fps: of files
    without times (raw .h264, .mjpeg), or with wrong ones. aspect: width by height of a pixel, where a recorder does not
    say it (704 x 576 for 4:3: 1.09). rotate: degrees clockwise by which pictures are turned first, of a camera that
    hangs upside down or on its side; places of people are in pixels of the turned picture. top_k and error_rate: as in
    a stream's `start`. perception: how people are found, where the bundle takes poses and the settings do not suit this
    camera. bundles: in place of `bundle`, several that take poses: people are found once for all of them, and each has
    a stream, `ID` of the first, then `ID.NAME`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(max_length=MAX_LENGTH, repr=False)]
    bundle: Annotated[str, Field(max_length=100)]
    version: Annotated[str, Field(max_length=100)] | None = None
    name: Annotated[str, Field(max_length=100)] | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    pace: Literal["real", "fast"] = "real"
    loop: bool = False
    fps: Annotated[float, Field(ge=1, le=1000)] | None = None
    aspect: Annotated[float, Field(ge=0.25, le=4)] | None = None
    rotate: Turn = 0
    interval_s: Annotated[float, Field(ge=0.1, le=60)] | None = None
    top_k: TopK | None = None
    perception: PerceptionOptions | None = None
    bundles: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(max_length=8)] = ()
    error_rate: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _first_of_several(cls, given: Any) -> Any:
        several = given.get("bundles") if isinstance(given, dict) else None
        if isinstance(several, list | tuple) and several:
            return {"bundle": several[0]} | given
        return given

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if not self.bundles:
            return self
        if self.bundle != self.bundles[0] or len(set(self.bundles)) < len(self.bundles):
            raise ValueError("give bundle or bundles, each bundle once")
        if self.version is not None or self.error_rate is not None:
            raise ValueError("version and error_rate are for one bundle, not for several")
        return self

    def address(self) -> Address:
        """The parsed URL. Raises BadSource, also for an option that does not go with it."""
        address = Address.parse(self.url)
        if self.transport != "tcp" and address.scheme not in ("rtsp", "rtsps"):
            raise BadSource("transport is for RTSP sources only")
        if address.scheme != "file" and (self.loop or self.pace != "real" or self.fps is not None):
            raise BadSource("loop, pace and fps are for file sources only")
        if address.scheme not in ("http", "https") and self.interval_s is not None:
            raise BadSource("interval_s is for pictures over HTTP only")
        return address
