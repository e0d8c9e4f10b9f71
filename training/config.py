"""A recipe: everything that decides what a fit learns, in one TOML file.

    name = "my-actions"
    rate_hz = 15.0
    [[datasets]]
    path = "my-clips"

is a whole one; every other key has a default. Relative data set paths start at the directory given to `fit`.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.bundle.schema import DecisionRule, Gaps, Name, Positive
from models.networks import FrameConfig, PoseConfig, StudentConfig, TeacherConfig
from training.augment import Augmentation
from training.errors import ConfigError
from training.pixels import PixelAugmentation
from training.poses import Occluded

RECIPES = Path(__file__).parent / "recipes"

Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]


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
    clip as it is; or what the labels of clips like it say (`training.neighbours`), for which no teacher is trained."""
    views: Annotated[int, Field(ge=0)] = 0
    """Of the target `clip`: how many augmented versions of the clip are answered too, and averaged."""
    pseudo_labels: bool = False
    """Take the answer to a whole clip for its label where it has none: a control, with alpha 0."""

    @property
    def taught(self) -> bool:
        """Whether teachers are trained at all."""
        return (self.alpha > 0 or self.pseudo_labels) and self.target != "neighbours"


class Streaming(Section):
    """Training clips that follow the end of another one: the student then knows old state (`training.streams`)."""

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


_ADDED: dict[str, dict[str, object]] = {
    "student": {"prototypes": False, "standardised": False},
    "teacher": {"standardised": False},
    "fit": {"late": 0.0},
    "fit_teacher": {"late": 0.0},
    "augmentation": {"short": 0.0},
    "validation": {"folds": 0},
}
"""Keys that there were not always, and what was done before: in digests only where they say something else."""


class Recipe(Section):
    """The whole file."""

    name: Name
    datasets: Annotated[tuple[Source, ...], Field(min_length=1)]
    pretraining: Pretraining | None = None
    """What is learned first, of other data sets."""
    rate_hz: Positive
    """Steps of the model in a second. On the progress clock, how many levels its features take for a second."""
    clock: Literal["rate", "progress"] = "rate"
    """What a step is: a tick of `rate_hz`, as it is served, or one of `levels` equal parts of a clip, as in paper A."""
    levels: Count = 10
    """Steps of every clip on the progress clock: step n sees the pose at which n / levels of the clip have passed."""
    skeleton: str | None = None
    """A skeleton that Inkling knows; by default that of the first data set."""
    poses: PoseConfig = PoseConfig()
    """What is known of poses at each step."""
    frames: FrameConfig | None = None
    """How frames become features; without it the clips are poses."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    labelled: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the labelled training clips whose label is used, drawn per seed and class; the rest is unlabelled."""
    student: StudentConfig = StudentConfig()
    teacher: TeacherConfig = TeacherConfig()
    distillation: Distillation = Distillation()
    fit: Fit = Fit()
    fit_teacher: Fit | None = None
    """By default as `fit`."""
    augmentation: Augmentation = Augmentation()
    streaming: Streaming = Streaming()
    pixels: PixelAugmentation = PixelAugmentation()
    """What `augmentation` is to poses, to frames."""
    windows: WindowSection = WindowSection()
    validation: Validation = Validation()
    stopping: Stopping = Stopping()
    background: Background | None = None
    bundle: Shipping = Shipping()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("two data sets have the same folder name; results are reported by it")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be different")
        if self.frames is not None and (self.skeleton or (self.background and self.background.clips)):
            raise ValueError("a recipe on frames has no skeleton and no synthetic background clips")
        if self.frames is not None and self.distillation.teachers > 1:
            raise ValueError("several teachers need poses: each would bring an eye of its own for frames")
        if self.frames is not None and self.distillation.target == "neighbours":
            raise ValueError("neighbours are found among poses")
        if self.pretraining is not None:
            self._begun_before(self.pretraining)
        if self.clock == "progress":
            self._progress()
        elif self.distillation.tau_levels is not None:
            raise ValueError('tau_levels belongs to clock = "progress"; the rate clock has tau_s')
        return self

    def _begun_before(self, pretraining: Pretraining) -> None:
        """Raise ValueError where other clips cannot be learned first."""
        if self.frames is not None:
            raise ValueError("pretraining is for clips of poses; a recipe on frames begins from [frames] weights")
        if self.clock == "progress":
            raise ValueError('pretraining needs clock = "rate": levels of other clips last for other times')
        own = {os.path.normpath(source.path) for source in self.datasets}
        for source in pretraining.datasets:
            if os.path.normpath(source.path) in own:
                raise ValueError(f"{source.path} is a data set of the recipe itself; pretraining is on others")

    def _progress(self) -> None:
        """Raise ValueError where something would change the number of a clip's levels, or what they mean."""
        if self.frames is not None or self.background is not None:
            raise ValueError('clock = "progress" is for clips of poses without background')
        changed = self.augmentation
        if changed.speed > 1 or changed.crop > 0 or changed.short > 0 or self.streaming.chance > 0:
            raise ValueError(
                'clock = "progress" gives every clip the same number of levels: '
                "it needs speed = 1, crop = 0 and short = 0 in augmentation, and streaming.chance = 0"
            )

    @property
    def lead(self) -> int:
        """Steps of the model between an output and its self-distillation target."""
        levels = self.distillation.tau_levels
        return levels if levels is not None else max(1, round(self.distillation.tau_s * self.rate_hz))

    @property
    def first(self) -> Recipe | None:
        """What is learned first, as a recipe of its own; None without pretraining."""
        if self.pretraining is None:
            return None
        epochs = {"epochs": self.pretraining.epochs}
        return self.model_copy(
            update={
                "datasets": self.pretraining.datasets,
                "pretraining": None,
                "labelled": 1.0,
                "distillation": Distillation(alpha=0, beta=0),
                "fit": self.fit.model_copy(update=epochs),
                "fit_teacher": (self.fit_teacher or self.fit).model_copy(update=epochs),
                "validation": Validation(share=0, select="last"),
                "stopping": Stopping(),
                "background": None,
            }
        )

    @property
    def background_label(self) -> str | None:
        return self.background.label if self.background else None

    def digest(self) -> str:
        """sha256 over what decides the result of one seed: all but the list of seeds and what only the bundle says."""
        ignored: dict[str, bool | set[str]] = {"seeds": True, "bundle": {"title", "limits", "decision"}}
        if self.frames is None:
            ignored |= {"frames": True, "pixels": True, "windows": True}
        # as in runs that were begun before there were such sections
        if self.stopping == Stopping():
            ignored |= {"stopping": True}
        if self.pretraining is None:
            ignored |= {"pretraining": True}
        for name, keys in _ADDED.items():
            section = getattr(self, name)
            if section is not None:
                ignored[name] = {key for key, before in keys.items() if getattr(section, key) == before}
        return hashlib.sha256(self.model_dump_json(exclude=ignored).encode()).hexdigest()


def recipe_file(path: Path | str) -> Path:
    """The file of a recipe or study, which a bare name means among the shipped ones. Raises ConfigError."""
    path = Path(path)
    if path.suffix or path.is_file():
        return path
    shipped = RECIPES / f"{path}.toml"
    if not shipped.exists():
        names = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise ConfigError(f"{path}: no such file, and no shipped recipe ({names})")
    return shipped


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe file, or one of the shipped recipes by its bare name. Raises ConfigError with all problems."""
    path = recipe_file(path)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        if "base" in fields:
            raise ConfigError(f"{path} is a study of several fits: inkling train reproduce runs it")
        return Recipe.model_validate(fields)
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(f"{path}: {problem.removeprefix(': ')}" for problem in problems)) from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
