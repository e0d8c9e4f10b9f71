"""`bundle.json`: everything that the service must know of a model, and nothing that it must guess.

A bundle is a directory `NAME/VERSION/` with `bundle.json` (this schema), `step.onnx` (one causal step:
`(*inputs, *state) -> (logits, *next_state)`, batch first and dynamic), `vector.npz` (stored test vector) and `card.md`.
Schema 2 adds `kind`, `further_inputs`, `lead_s`, and the file `rows.onnx` (the step over rows of slabs, see `rows`),
which a bundle may lack. A bundle of schema 1 loads as it is: it is a step without `rows.onnx`. Bundles of kind `people`
are in `people`.

The docstring under a field is its description in `BundleSpec.model_json_schema()`, from which the reference is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from inkling.models.clock import GapPolicy
from inkling.models.resize import FitPolicy
from inkling.models.skeletons import Skeleton

SCHEMA_VERSION = 2
"""What is written; everything from 1 on is read."""
Kind = Literal["step", "people"]
KINDS: tuple[Kind, ...] = ("step", "people")
"""What a bundle can be: `step`, one causal step of a model with its state; `people`, what finds people in pictures."""
OPSETS = range(17, 24)
"""ONNX opsets that this release reads."""

TOLERANCE = 1e-4
"""Largest difference of a logit between runtimes; raw logits are of order 1 to 10."""

STEP_FILE = "step.onnx"
ROWS_FILE = "rows.onnx"
PEOPLE_FILE = "people.onnx"
VECTOR_FILE = "vector.npz"
CARD_FILE = "card.md"
SPEC_FILE = "bundle.json"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^\d+(\.\d+){0,2}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]


class Part(BaseModel):
    """Base of every piece of the schema: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PoseInput(Part):
    """Poses of one person: `(B, J, D + 1)` float32, D coordinates in source units (pixels, metres) and a confidence.

    Confidence 0 marks a missing joint; its coordinates are 0. Everything else is inside the graph.
    """

    kind: Literal["pose"]
    """`pose`: joints of people."""
    name: str = "pose"
    """The graph's name of this input."""
    skeleton: Skeleton
    """Which joints, in which order; whatever arrives is mapped onto it."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.skeleton.joints), self.skeleton.dimensions + 1)

    @property
    def dtype(self) -> str:
        return "float32"


class FrameInput(Part):
    """Images: `(B, height, width, 3)` uint8 RGB (`NHWC`); normalisation is inside the graph."""

    kind: Literal["frame"]
    """`frame`: pictures."""
    name: str = "frame"
    """The graph's name of this input."""
    height: Annotated[int, Field(gt=0, le=4096)]
    """In pixels."""
    width: Annotated[int, Field(gt=0, le=4096)]
    """In pixels."""
    layout: Literal["NHWC"] = "NHWC"
    """Order of the axes: batch, height, width, channels."""
    fit: FitPolicy = "letterbox"
    """How an image of another size becomes this one (`inkling.models.resize.fit_image`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.height, self.width, 3)

    @property
    def dtype(self) -> str:
        return "uint8"


Input = Annotated[PoseInput | FrameInput, Field(discriminator="kind")]


class StateTensor(Part):
    """One named tensor that the model remembers between steps; `shape` is without the batch axis."""

    input: str
    """The graph's name of the state that a step is given."""
    output: str
    """The graph's name of the state that the next step is given."""
    shape: tuple[Annotated[int, Field(gt=0)], ...]
    """Without the batch axis."""
    dtype: Literal["float32", "int64"] = "float32"
    """Type of its elements."""
    initial: float = 0.0
    """Every element before the first step."""


class Gaps(Part):
    """What ticks without a frame mean: `hold` repeats the last frame, `skip` lets the model's time stand still.

    A gap longer than `max_gap_s` sets the state back to its initial value.
    """

    policy: GapPolicy = "hold"
    """`hold` repeats the last frame, `skip` lets the model's time stand still."""
    max_gap_s: Positive = 1.0
    """Longest gap in seconds; a longer one sets the state back to its initial value."""


class Temperature(Part):
    """Calibration by one temperature: probabilities are softmax(logits / temperature)."""

    kind: Literal["temperature"] = "temperature"
    """`temperature`: one for all steps."""
    temperature: Positive = 1.0
    """Above 1 it makes answers less sure, below 1 more."""


class TimedTemperature(Part):
    """Calibration by a temperature that changes while a track is watched: early answers are unsure in another way.

    T(t) = later * (first / later) ** exp(-t / settle_s), t being the seconds since the track's state was initial:
    `first` at the first step, and all but `later` after a few times `settle_s`.
    """

    kind: Literal["timed_temperature"] = "timed_temperature"
    """`timed_temperature`: one that follows the age of the state."""
    first: Positive
    """The temperature at the first step."""
    later: Positive
    """The temperature that it approaches."""
    settle_s: Positive
    """Seconds in which the difference between the two falls to 1/e."""


def _calibration_kind(value: Any) -> str:
    return str(value.get("kind", "temperature") if isinstance(value, dict) else getattr(value, "kind", ""))


Calibration = Annotated[
    Annotated[Temperature, Tag("temperature")] | Annotated[TimedTemperature, Tag("timed_temperature")],
    Discriminator(_calibration_kind),
]
"""Without a `kind`, as in older bundles, one temperature."""


class DecisionRule(Part):
    """`on` or more for `min_steps` steps in a row begins an event; below `off` ends it."""

    on: Share = 0.6
    """Probability from which on an event may begin."""
    off: Share = 0.4
    """Probability below which it ends."""
    min_steps: Annotated[int, Field(ge=1)] = 3
    """Steps in a row at `on` or more before it begins."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.off > self.on:
            raise ValueError(f"off ({self.off}) must not exceed on ({self.on})")
        return self


class Promise(Part):
    """An error rate that may be asked for, and the least probability to commit at that keeps it."""

    error_rate: OpenShare
    """The share of commitments that may be wrong."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None
    """The least probability to commit at; null: this rate could not be certified."""
    committed: Annotated[int, Field(ge=0)] = 0
    """On how many clips it commits, of those that it was certified on."""
    wrong: Annotated[int, Field(ge=0)] = 0
    """How many of these commitments are wrong."""


class StoppingRule(Part):
    """When to commit to an action, early, and how often that may be wrong.

    A track is committed to an action as soon as that was the most probable one, at `threshold` or more, in `min_steps`
    results in a row; never to the background. Of first commitments since a state's initial value, at most `error_rate`
    are wrong in the long run, on streams like the clips that this was certified on; that statement is true with
    probability 1 - delta over the draw of those clips (Angelopoulos et al., Learn then Test, 2021).
    """

    min_steps: Annotated[int, Field(ge=1)] = 2
    """Results in a row that must reach the threshold with one action."""
    delta: OpenShare = 0.1
    """The promises hold with probability 1 - delta."""
    clips: Annotated[int, Field(ge=0)]
    """How many clips it was certified on; nothing else was fitted on them."""
    groups: Annotated[int, Field(ge=0)]
    """How many groups these clips are of."""
    promises: tuple[Promise, ...]
    """In the order of their error rates."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        rates = [promise.error_rate for promise in self.promises]
        if rates != sorted(set(rates)):
            raise ValueError("promises must be in the order of their error rates, each of which is there once")
        return self


class Unknown(Part):
    """How the bundle says that what somebody does is none of its labels (`inkling.models.unknown`).

    The score is 1 - the largest probability of any other label than `labels`, averaged over the last `average_s`. While
    it is above `threshold`, no event begins and nothing is decided.
    """

    labels: tuple[str, ...] = ()
    """Those that mean 'none of the others', if there are any."""
    average_s: Positive = 1.0
    """Seconds after which a step weighs 1/e of the newest one in the average."""
    threshold: Share
    """Above it, what is seen counts as unknown."""
    urgent: tuple[str, ...] = ()
    """Labels whose events and decisions the score never holds back."""
    lost: Share
    """Of validation clips on which an event of their own action begins, the share on which the score prevents it."""
    events: Annotated[int, Field(ge=0)]
    """The number of these clips."""


class Provenance(Part):
    """How the model came to be: enough to train it again."""

    data: tuple[str, ...]
    """What it was trained on, a sentence for each data set, with the terms."""
    recipe: str
    """Name of the recipe."""
    seed: int
    """The seed of this fit."""
    git_commit: str
    """Of the code that trained it; `+changes` when files differed from it, empty when unknown."""
    created: str
    """When the fit ended, ISO 8601."""
    libraries: dict[str, str]
    """Library name -> version."""


class BundleSpec(Part):
    """The whole of `bundle.json`."""

    schema_version: Literal[1, 2]
    """Of `bundle.json` itself."""
    kind: Literal["step"] = "step"
    """What the bundle is: `step`, one causal step of a model with its state."""
    name: Name
    """By which a stream asks for it; the directory above the version's is called that."""
    version: Version
    """One to three numbers, compared as numbers; the directory is called that."""
    task: Literal["recognition", "anticipation"]
    """`recognition`: a label is of the present. `anticipation`: of what will be under way `lead_s` later."""
    lead_s: Positive | None = None
    """With `anticipation`: for how many seconds after a frame its label is."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """What it can answer, in the order of the logits."""
    background: str | None = None
    """The label that means 'nothing is happening'; it never becomes an event."""
    input: Input
    """What a step is given; of several inputs, the first."""
    further_inputs: tuple[Input, ...] = ()
    """The other inputs of a step that is given several, one of each kind: a person's joints and the picture that they
    were found in."""
    rate_hz: Positive
    """Steps a second; frames of another rate are resampled to it."""
    gaps: Gaps = Gaps()
    """What happens where frames are missing."""
    logits: str = "logits"
    """The graph's name of its answer: one raw number for each label."""
    state: tuple[StateTensor, ...]
    """What the model remembers between steps."""
    opset: int
    """ONNX opset of the graphs."""
    tolerance: Annotated[float, Field(gt=0, le=1)] = TOLERANCE
    """Largest difference of a logit from the stored vector; wider for a graph that was rounded after training."""
    calibration: Calibration = Temperature()
    """How logits become probabilities."""
    decision: DecisionRule = DecisionRule()
    """When a probability becomes an event."""
    stopping: StoppingRule | None = None
    """Of a bundle that can promise how often its commitments are wrong."""
    unknown: Unknown | None = None
    """Of a bundle that can say that what somebody does is none of its labels."""
    quality: dict[str, Any]
    """Measured quality, free in form: set name -> figures, each reproducible by a command on the card."""
    provenance: Provenance
    """How the model came to be."""
    files: dict[str, Sha256]
    """sha256 of every other file of the bundle."""

    @property
    def full_name(self) -> str:
        """`NAME/VERSION`: two versions of one name are two bundles."""
        return f"{self.name}/{self.version}"

    @property
    def inputs(self) -> tuple[PoseInput | FrameInput, ...]:
        """All that a step is given, each by its name."""
        return (self.input, *self.further_inputs)

    @property
    def pose(self) -> PoseInput | None:
        """The input that takes joints; None: there is none."""
        return next((given for given in self.inputs if isinstance(given, PoseInput)), None)

    @property
    def frame(self) -> FrameInput | None:
        """The input that takes pictures; None: there is none."""
        return next((given for given in self.inputs if isinstance(given, FrameInput)), None)

    @property
    def has_rows(self) -> bool:
        """Whether `rows.onnx` is one of its files; to schema 1 that name meant nothing."""
        return self.schema_version >= 2 and ROWS_FILE in self.files

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be unique")
        if (self.task == "anticipation") != (self.lead_s is not None):
            raise ValueError("a bundle whose task is anticipation has a lead_s, and no other has one")
        if self.background is not None and self.background not in self.labels:
            raise ValueError(f"background {self.background!r} is not one of the labels")
        self._check_unknown()
        if len({given.kind for given in self.inputs}) != len(self.inputs):
            raise ValueError("further_inputs must be of another kind than input: one of poses, one of frames")
        tensors = [*(given.name for given in self.inputs), self.logits]
        for state in self.state:
            tensors += [state.input, state.output]
        if len(set(tensors)) != len(tensors):
            raise ValueError("input, logits and state tensors must all have different names")
        check_file_names(self.files, (STEP_FILE, VECTOR_FILE, CARD_FILE))
        return self

    def _check_unknown(self) -> None:
        """Raise ValueError where `unknown` is not of these labels."""
        if self.unknown is None:
            return
        others = self.unknown.labels
        for label in (*others, *self.unknown.urgent):
            if label not in self.labels:
                raise ValueError(f"unknown names {label!r}, which is not one of the labels")
        if self.background in others:
            raise ValueError(f"the background {self.background!r} is something known: it cannot be in unknown.labels")
        if len(set(others)) >= len(self.labels):
            raise ValueError("unknown.labels leaves no label that is known")

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A bundle of one input is written as ever, so that earlier releases read it."""
        fields: dict[str, Any] = handler(self)
        if not self.further_inputs:
            fields.pop("further_inputs", None)
        return fields


def check_file_names(files: Mapping[str, str], needed: Iterable[str]) -> None:
    """Raise ValueError unless `files` has all that are needed, and no name that leads out of the bundle."""
    for name in needed:
        if name not in files:
            raise ValueError(f"files has no sha256 of {name}")
    for name in files:
        if "/" in name or "\\" in name or name.startswith("."):
            raise ValueError(f"files names {name!r}: only plain names inside the bundle are allowed")
