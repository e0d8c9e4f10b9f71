"""The sections of a recipe, each key with what it means and its default."""

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

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """One data set folder. Its joints are mapped onto the recipe's skeleton, its labels renamed."""

    path: Path
    rename: dict[str, str] = {}
    """Old label -> new label, to merge classes of several sets; an empty new label makes the clips unlabelled."""
    repeat: Count = 1
    """How often an epoch sees each of its training clips."""
    occluded: Occluded = "missing"
    """What to do with annotators' guesses of hidden joints (confidence 0 with coordinates)."""

    @property
    def name(self) -> str:
        return self.path.name


class Pretraining(Section):
    """Clips of other data sets, to be learned before the recipe's own: by the student, and by each teacher.

    For recipes with few clips, and larger sets of the same kind. The training clips with a label are learned at the
    recipe's rate and on its skeleton, with its augmentation, and optimised as `fit` and `fit_teacher` say. What a
    network then knows of movement it keeps (its layers and its recurrence); what it answers it learns anew: the labels
    of these sets are not among the model's. Nothing is validated or measured on them.
    """

    datasets: Annotated[tuple[Source, ...], Field(min_length=1)]
    epochs: Count = 15
    """Instead of those of `fit` and `fit_teacher`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("two data sets to be learned first have the same folder name")
        return self


class Background(Section):
    """The label that means 'nothing is happening', and how many synthetic clips of it to add to the training clips."""

    label: Annotated[str, Field(min_length=1)] = "idle"
    clips: Annotated[int, Field(ge=0)] = 0


class Distillation(Section):
    """Weights of paper A: L = L_cls + alpha L_ts + beta L_self, the self target being `tau_s` seconds later.

    alpha 0 trains no teacher (except for `pseudo_labels`).
    """

    alpha: NotNegative = 0.5
    beta: NotNegative = 0.5
    tau_s: Positive = 0.4
    tau_levels: Count | None = None
    """On the progress clock, instead of `tau_s`: how many levels later."""
    temperature: Positive = 1.0
    """Softens both distributions of both distillation losses."""
    teachers: Count = 1
    """Teachers that differ by their seeds; the student learns from the mean of their probabilities."""
    unlabelled: NotNegative = 1.0
    """How much more (or less) the teacher counts on clips without a label."""
    target: Literal["step", "clip", "neighbours"] = "step"
    """What the student learns at each step: the teachers' answer to it, as in paper A; their mean answer to the whole
    clip as it is; or what the labels of clips like it say (`distill.label_propagation`), for which no teacher is
    trained."""
    views: Annotated[int, Field(ge=0)] = 0
    """Of the target `clip`: how many augmented versions of the clip are answered too, and averaged."""
    pseudo_labels: bool = False
    """Take the answer to a whole clip for its label where it has none: a control, with alpha 0."""

    @property
    def taught(self) -> bool:
        """Whether teachers are trained at all."""
        return (self.alpha > 0 or self.pseudo_labels) and self.target != "neighbours"


class Streaming(Section):
    """Training clips that follow the end of another one: the student then knows old state (`augment.joining`)."""

    chance: Annotated[float, Field(ge=0, le=1)] = 0.25
    longest_s: Positive = 4.0
    """Seconds of the other clip that are kept, at most."""
    passage_s: NotNegative = 0.4
    """Seconds from the one to the other."""


class WindowSection(Section):
    """Recordings of frames are trained on in windows, from anywhere in them."""

    length_s: Positive = 3.2
    speed: Annotated[float, Field(ge=1, le=4)] = 1.2
    """Played at 1 / speed to speed times their speed."""

    def steps(self, rate_hz: float) -> int:
        return max(2, round(self.length_s * rate_hz))


class Fit(Section):
    """How one network is optimised; the defaults suit some hundred to some thousand clips."""

    epochs: Count = 40
    batch_size: Count = 16
    """Small batches are better for features that are standardised by them, and a fit has more steps."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 3e-3
    weight_decay: NotNegative = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd only."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Both after a linear warm-up over the first `warmup` share of the batches."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip_norm: Positive = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    late: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """How much more than its first a clip's last steps count in the loss by labels: from 1 - late to 1 + late."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the averaged weights, which are the ones validated and kept; 0 turns averaging off."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the matrix products; weights, losses and all measuring are float32 in any case."""


class Validation(Section):
    """Clips to choose the epoch, to calibrate and to certify promises on, whole groups at a time.

    Either a share of the training clips is kept out, or all of them are trained on and validated by cross-fitting. Rows
    of the split `val` are always kept out; where a data set has some, no further share is drawn from it.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """0 where nothing is chosen or calibrated on them (`inkling train reproduce`), or with `folds`."""
    folds: Annotated[int, Field(ge=0)] = 0
    """Cross-fitting: the training clips in so many parts, each answered by a student that was trained on the others
    only; calibration and promises come from these answers, and the student that is kept is trained on all clips. It
    takes nothing from the training clips, and costs `folds` fits more. 0: a share is kept out. Of no
    effect in `inkling train reproduce`."""
    select: Literal["best", "last"] = "best"
    """Which epoch is kept: the one with the best validation AUC, or the last."""

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
    """The promises of the bundle: at which error rates it may be asked to commit to an action early.

    They are certified on `share` of the validation clips, whole groups, on which nothing else is fitted; calibration is
    fitted on the others. Few clips certify little: 45 commitments, all of them right, are the least for 5 %.
    """

    error_rates: Annotated[tuple[OpenShare, ...], Field(min_length=1)] = (0.01, 0.05, 0.1, 0.2)
    delta: OpenShare = 0.1
    """How likely a promise may be broken, over the draw of those clips."""
    min_steps: Count = 2
    """Results in a row before it commits: a single flicker commits to nothing."""
    share: OpenShare = 0.5


class Shipping(Section):
    """What the bundle says that training cannot know."""

    title: str = ""
    """The card's first sentence: what it recognises, for whom."""
    limits: str = ""
    """Where it fails, in sentences."""
    gaps: Gaps = Gaps()
    decision: DecisionRule = DecisionRule()
