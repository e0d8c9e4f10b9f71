"""The sections of a recipe: each key with what it does and its default.

The docstring below a key is its description: `recipe.keys` reads them, for `--set` and for the reference page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inkling.models.bundle.schema import DecisionRule, Gaps, Positive

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]

Occluded = Literal["missing", "keep"]
"""What becomes of joints that a data set marks as hidden: missing, or where it guessed them."""


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Source(Section):
    """One data set folder. Its joints are mapped onto the recipe's skeleton."""

    path: Path
    """The folder. A relative path starts at the folder given as `--data`."""
    rename: dict[str, str] = {}
    """Old label to new label, to merge the classes of several sets. An empty new label makes the clips unlabelled;
    `!fall` makes them clips of anything but fall."""
    repeat: Count = 1
    """How often an epoch sees each training clip of this set."""
    groups: str = ""
    """Sets of the same recordings, such as joints by hand and estimated ones, have the same text here: groups of the
    same name are then one group, never parted. By default the folder's name."""
    promises: bool = True
    """Whether promises are certified on this set, with all others that are: the worst of them decides. `false` for a
    set of another kind, on which they are measured only."""
    occluded: Occluded = "missing"
    """What to do with joints that annotators marked as hidden but placed by guess (confidence 0 with coordinates):
    `missing` drops the guess, `keep` trusts it."""

    @property
    def name(self) -> str:
        return self.path.name


class Pretraining(Section):
    """Other data sets, learned before the recipe's own: by the student, and by each teacher.

    For recipes with few clips, and larger sets of the same kind. Only labelled training clips are used, at the recipe's
    rate, on its skeleton and with its augmentation. The layers and the recurrence are kept; the classifier starts
    fresh, so the labels of these sets are not among the model's. Nothing is validated or measured on them.
    """

    datasets: Annotated[tuple[Source, ...], Field(min_length=1)]
    """The data set folders to learn first, written like `datasets` of the recipe."""
    epochs: Count = 15
    """Epochs on these clips. All else is as `fit` and `fit_teacher` say."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("two data sets to be learned first have the same folder name")
        return self


class Background(Section):
    """The label that means that nothing is happening."""

    label: Annotated[str, Field(min_length=1)] = "idle"
    """Its name. The model never decides for it, and it never becomes an event."""
    clips: Annotated[int, Field(ge=0)] = 0
    """Synthetic clips of an idle body to add to the training clips."""


class SyntheticFalls(Section):
    """Synthetic clips of people who fall, and of people who nearly do, labelled by step (`data.synthetic_falls`).

    Recorded falls are few and alike. Nothing is validated on these clips.
    """

    label: Annotated[str, Field(min_length=1)] = "fall"
    """The label of a fall."""
    clips: Annotated[int, Field(ge=1)] = 300
    """Clips to add to the training clips. About half of them are falls. Who lies after a fall is given the label of
    `background`."""


class Distillation(Section):
    """What the student learns besides the labels (paper A): L = L_cls + alpha L_ts + beta L_self."""

    alpha: NotNegative = 0.5
    """Weight of L_ts: learn the answers of a teacher that sees the whole clip. 0 trains no teacher (unless
    `pseudo_labels` needs one)."""
    beta: NotNegative = 0.5
    """Weight of L_self: learn now what the student itself answers `tau_s` seconds later."""
    tau_s: Positive = 0.4
    """Seconds between an answer and the later answer it learns from."""
    tau_levels: Count | None = None
    """The same in levels, for `clock = "progress"`."""
    temperature: Positive = 1.0
    """Divides the logits in both distillation losses. Above 1, small differences between labels count more."""
    teachers: Count = 1
    """Number of teachers, which differ by their seeds. The student learns from the mean of their probabilities."""
    unlabelled: NotNegative = 1.0
    """Weight of the teacher's loss on unlabelled clips; on labelled clips it is 1."""
    target: Literal["step", "clip", "neighbours"] = "step"
    """What L_ts compares each step with. `step`: the teacher's answer at that step, as in paper A. `clip`: its mean
    answer over the whole clip. `neighbours`: the labels of similar training clips; no teacher is trained
    (`distill.label_propagation`)."""
    views: Annotated[int, Field(ge=0)] = 0
    """With `target = "clip"`: augmented versions of the clip whose answers are averaged in."""
    pseudo_labels: bool = False
    """Train unlabelled clips on the teacher's most probable label, as if it were given. A control experiment; set
    `alpha = 0` with it."""

    @property
    def taught(self) -> bool:
        """Whether teachers are trained at all."""
        return (self.alpha > 0 or self.pseudo_labels) and self.target != "neighbours"


class Recogniser(Section):
    """A finished recognition run whose student an anticipating one learns from: it sees `lead_s` further (paper B).

    What it answers at a step is the target `lead_s` before. It must know the same labels, from the same kind of input
    at the same rate. The run keeps a copy of it, to continue with and to be compared with.
    """

    run: Path
    """The run directory. A relative path starts at the folder given as `--data`."""
    answers: NotNegative = 1.0
    """Weight of L_c: learn now what it answers `lead_s` later (KL divergence)."""
    labelled: NotNegative = 1.0
    """How much that counts at steps that have a label; at others it is 1. 0: those without a label alone, as in paper
    B."""
    states: NotNegative = 0.0
    """Weight of L_d: have its hidden state of `lead_s` later (Huber). It must have as many hidden units."""
    begin: bool = False
    """Begin with its weights, classifier included."""


class Streaming(Section):
    """Training clips of poses that begin where another clip ends (`augment.joining`).

    In a stream the model rarely starts from a fresh state: so it learns to forget what was before.
    """

    chance: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Chance that a clip is led in by another one."""
    longest_s: Positive = 4.0
    """Longest part of the other clip that is kept, in seconds."""
    passage_s: NotNegative = 0.4
    """Seconds in which the body moves from the last pose of the one to the first of the other."""


class WindowSection(Section):
    """Recordings of frames are trained on in windows, cut anywhere."""

    length_s: Positive = 3.2
    """Length of a window in seconds."""
    speed: Annotated[float, Field(ge=1, le=4)] = 1.2
    """A window is played between 1 / speed and speed times as fast."""

    def steps(self, rate_hz: float) -> int:
        return max(2, round(self.length_s * rate_hz))


class Fit(Section):
    """How one network is optimised. The defaults suit some hundred to some thousand clips."""

    epochs: Count = 40
    """Passes over the training clips."""
    batch_size: Count = 16
    """Clips in a batch. Features are standardised by the batch, and small batches regularise more."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """The optimiser."""
    learning_rate: Positive = 3e-3
    """Largest learning rate."""
    weight_decay: NotNegative = 0.05
    """Weight decay."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of `sgd`; `adamw` has its own."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The learning rate after the warm-up: down to 0 along a cosine, or constant."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of all batches over which the learning rate rises from 0."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient; a longer one is scaled down."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability that is spread over all labels in the loss."""
    late: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """How the weight of a step in the loss by labels grows over a clip: from 1 - late to 1 + late."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the averaged weights, which are validated and kept. 0: no averaging."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products. Weights, losses and everything measured are float32 in any case."""


class Validation(Section):
    """Clips that choose the epoch, set the calibration and certify the promises. Groups stay whole.

    Either a `share` of the training clips is kept out, or all clips are trained on and validated in `folds`. Rows of
    the split `val` are always kept out; no further share is drawn from a data set that has some.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the training clips to keep out. Set it to 0 with `folds`."""
    folds: Annotated[int, Field(ge=0)] = 0
    """Number of parts for cross-validation; 0: none. Each part is answered by a student trained on the other parts, and
    these answers set the calibration and the promises. The student that is kept is trained on all clips. Costs `folds`
    more fits. `inkling train reproduce` ignores it."""
    select: Literal["best", "last"] = "best"
    """Which epoch is kept: the one with the best validation AUC, or the last one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.share == 0 and self.select == "best":
            raise ValueError('without validation clips no epoch can be chosen: select = "last"')
        if self.folds == 1:
            raise ValueError("a single part would leave nothing to train on: folds = 2 or more, or 0 for none")
        if self.folds and self.share > 0:
            raise ValueError("either a share is kept out or folds are answered by each other: share = 0 with folds")
        return self


class Stopping(Section):
    """The promises of a bundle: how often a decision taken early may be wrong.

    Promises are certified on a part of the validation clips on which nothing else was fitted. Few clips certify little:
    for 5 % at least 45 clips must be decided on, all of them rightly.
    """

    error_rates: Annotated[tuple[OpenShare, ...], Field(min_length=1)] = (0.01, 0.05, 0.1, 0.2)
    """Error rates to certify. A client then asks for one of those that held."""
    delta: OpenShare = 0.1
    """Chance that a promise does not hold, over the draw of the validation clips."""
    min_steps: Count = 2
    """Steps in a row that must agree before a decision."""
    share: OpenShare = 0.5
    """Share of the validation clips that certify, whole groups at a time. The others set the calibration."""


class UnknownActions(Section):
    """How the bundle says that what somebody does is none of its labels, so that no event of theirs begins.

    By default a bundle does where one of its labels is `other`. The threshold is set on validation clips.
    """

    labels: tuple[str, ...] | None = None
    """Labels of many different actions that mean 'none of the others'. By default `other`, where there is one."""
    average_s: Positive = 1.0
    """Seconds that the score is averaged over: a step that long ago weighs 1/e of the newest one."""
    urgent: tuple[str, ...] = ()
    """Labels whose events and decisions are never held back: missing one is worse than a false one."""
    lost: OpenShare = 0.05
    """Share of rightly begun events that may be lost to it, in the validation clips of each data set."""
    left_out: tuple[str, ...] = ()
    """Labels to measure the score by: clips of these are neither learned nor validated, and of the test clips
    `inkling train evaluate` says how many come out as unknown. For clips of poses that have one label each."""


class Shipping(Section):
    """What the bundle says that training cannot know."""

    title: str = ""
    """First sentence of the card: what the model recognises, and for whom."""
    limits: str = ""
    """Where the model fails, in sentences, for the card."""
    gaps: Gaps = Gaps()
    """What the service does about missing frames."""
    decision: DecisionRule = DecisionRule()
    """When the service begins and ends an event."""
