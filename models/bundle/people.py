"""`bundle.json` of kind `people`: a graph that finds the people in pictures.

A directory `NAME/VERSION/` as for every bundle, with `people.onnx` (pictures in, people out, batch first and dynamic),
`vector.npz`, `card.md`, and the licences of whose weights these are. What the graph answers is one of two contracts:

- `multipose_heads`: the six maps of a centre-net estimator, which `inkling.models.people.multipose` decodes;
- `detections`: people, with suppression inside the graph: `scores` (B, P), `boxes` (B, P, 4) left, top, right, bottom,
  `keypoints` (B, P, J, 3) x, y, confidence, all float32, in pixels of the input. Rows that are nobody have score 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from inkling.models.bundle.schema import (
    CARD_FILE,
    PEOPLE_FILE,
    VECTOR_FILE,
    Name,
    Part,
    Positive,
    Sha256,
    Share,
    Version,
    check_file_names,
)
from inkling.models.skeletons import Skeleton

PEOPLE_TOLERANCE = 1e-2
"""Largest difference of an output from the stored vector: raw maps are of order 10, pixels of order 100."""
MAX_SIDE = 2048
"""Of an input."""

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class PictureInput(Part):
    """Pictures: `(B, height, width, 3)` uint8 RGB (`NHWC`); normalisation is inside the graph."""

    name: str = "image"
    """The graph's name of this input."""
    layout: Literal["NHWC"] = "NHWC"
    """Order of the axes: batch, height, width, channels."""
    height: Side = 192
    """In pixels, of what a landscape picture is to fit into; a portrait one turns height and width."""
    width: Side = 256
    """In pixels."""
    multiple_of: Annotated[int, Field(ge=1, le=256)] = 32
    """Both sides of an input are a multiple of it; what the picture does not fill is black."""
    fixed: bool = False
    """Whether the graph takes `height` x `width` alone; else both are free."""

    @model_validator(mode="after")
    def _multiples(self) -> Self:
        if self.height % self.multiple_of or self.width % self.multiple_of:
            raise ValueError(f"height and width must be multiples of multiple_of ({self.multiple_of})")
        return self


class MultiposeHeads(Part):
    """The graph answers with six float32 maps (B, channels, rows, columns), of which a cell covers `stride` pixels.

    The names are those of the graph's outputs.
    """

    kind: Literal["multipose_heads"] = "multipose_heads"
    """`multipose_heads`: six maps, decoded by `inkling.models.people.multipose`."""
    stride: Annotated[int, Field(ge=1, le=64)] = 4
    """Pixels of the input per cell."""
    center: str = "center"
    """1 channel: where a person's centre is, before the sigmoid."""
    heatmap: str = "heatmap"
    """A channel for each joint: where it is, before the sigmoid."""
    regress: str = "regress"
    """2 channels for each joint: from the centre's cell to the joint, y and x in cells."""
    offset: str = "offset"
    """2 channels for each joint: where in its cell the joint is, y and x in cells."""
    box_scale: str = "box_scale"
    """2 channels: height and width of the box in cells."""
    box_offset: str = "box_offset"
    """2 channels: from the centre's cell to the middle of the box, y and x in cells."""

    def outputs(self, joints: int) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape without the batch of each output, None where any size will do."""
        channels = {self.center: 1, self.heatmap: joints, self.regress: 2 * joints, self.offset: 2 * joints}
        channels |= {self.box_scale: 2, self.box_offset: 2}
        return {name: (count, None, None) for name, count in channels.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return self.center, self.heatmap, self.regress, self.offset, self.box_scale, self.box_offset


class GraphDetections(Part):
    """The graph answers with people; what is found twice has been suppressed inside. float32, in pixels of the input.

    The names are those of the graph's outputs. P, the number of rows, may be free or fixed.
    """

    kind: Literal["detections"]
    """`detections`: people, row by row."""
    scores: str = "scores"
    """(B, P): how sure, 0 to 1; 0 in a row that is nobody."""
    boxes: str = "boxes"
    """(B, P, 4): left, top, right, bottom."""
    keypoints: str = "keypoints"
    """(B, P, J, 3): x, y and confidence of each joint."""

    def outputs(self, joints: int) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape without the batch of each output, None where any size will do."""
        return {self.scores: (None,), self.boxes: (None, 4), self.keypoints: (None, joints, 3)}

    @property
    def names(self) -> tuple[str, ...]:
        return self.scores, self.boxes, self.keypoints


class Thresholds(Part):
    """Which answers count. Scores of people who lie are low: who is tracked already is kept at a lower one."""

    begin: Share = 0.2
    """Score from which somebody new is believed."""
    keep: Share = 0.08
    """Score from which somebody who is tracked goes on being so; what is below is nobody."""
    joint: Share = 0.05
    """Confidence below which a joint is missing."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.keep > self.begin:
            raise ValueError(f"keep ({self.keep}) must not exceed begin ({self.begin})")
        return self


class Origin(Part):
    """Where the weights come from: enough to find them again, and to know what may be done with them."""

    weights: str
    """Whose they are, where they were published, in which version."""
    data: tuple[str, ...]
    """What they were trained on, a sentence for each data set, with the terms; as far as known."""
    licences: tuple[str, ...]
    """A sentence for each licence, naming the file of the bundle that has its text."""
    converted: str
    """How the file that is here was made of what was published."""
    created: str
    """When that was, ISO 8601."""
    libraries: dict[str, str]
    """Library name -> version, of those that converted it."""


class PeopleSpec(Part):
    """The whole of `bundle.json` of a bundle that finds people."""

    schema_version: Literal[2]
    """Of `bundle.json` itself."""
    kind: Literal["people"]
    """What the bundle is: `people`, which finds people in pictures."""
    name: Name
    """By which a setting or a stream asks for it; the directory above the version's is called that."""
    version: Version
    """One to three numbers, compared as numbers; the directory is called that."""
    skeleton: Skeleton
    """Which joints, in which order."""
    input: PictureInput = PictureInput()
    """What the graph is given."""
    decoder: Annotated[MultiposeHeads | GraphDetections, Field(discriminator="kind")]
    """What the graph answers."""
    thresholds: Thresholds = Thresholds()
    """Which answers count."""
    max_people: Annotated[int, Field(ge=1, le=64)] = 16
    """Most people who are found in one picture."""
    opset: int
    """ONNX opset of the graph."""
    tolerance: Positive = PEOPLE_TOLERANCE
    """Largest difference of an output from the stored vector."""
    quality: dict[str, Any]
    """Measured quality, free in form: set name -> figures, each reproducible by a command on the card."""
    origin: Origin
    """Where the weights come from."""
    files: dict[str, Sha256]
    """sha256 of every other file of the bundle."""

    @property
    def full_name(self) -> str:
        """`NAME/VERSION`: two versions of one name are two bundles."""
        return f"{self.name}/{self.version}"

    @property
    def outputs(self) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape without the batch of each output that the graph must have; None: any size will do."""
        return self.decoder.outputs(len(self.skeleton.joints))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [self.input.name, *self.decoder.names]
        if len(set(names)) != len(names):
            raise ValueError("the input and the outputs must all have different names")
        if self.skeleton.dimensions != 2:
            raise ValueError(
                f"people are found in pictures: the skeleton {self.skeleton.name!r} must have 2 dimensions"
            )
        if isinstance(self.decoder, MultiposeHeads) and self.input.multiple_of % self.decoder.stride:
            raise ValueError(f"multiple_of ({self.input.multiple_of}) must be one of stride ({self.decoder.stride})")
        check_file_names(self.files, (PEOPLE_FILE, VECTOR_FILE, CARD_FILE))
        return self
