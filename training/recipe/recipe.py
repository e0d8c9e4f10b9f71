"""A recipe: everything that decides what a fit learns, in one TOML file.

    name = "my-actions"
    rate_hz = 15.0
    [[datasets]]
    path = "my-clips"

is a whole one; every other key has a default. Relative data set paths start at the directory given to `fit`.
"""

from __future__ import annotations

import hashlib
import math
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from inkling.models.bundle.schema import Name, Positive
from inkling.models.networks import NETWORKS, FrameConfig, PoseConfig, StudentConfig, TeacherConfig, TwoStageConfig
from inkling.models.problems import all_problems
from inkling.training.augment.frames import PixelAugmentation
from inkling.training.augment.poses import Augmentation
from inkling.training.errors import ConfigError
from inkling.training.recipe.changes import changed
from inkling.training.recipe.sections import (
    Background,
    Count,
    Distillation,
    Fit,
    NotNegative,
    Pretraining,
    Recogniser,
    Section,
    Shipping,
    Source,
    Stopping,
    Streaming,
    SyntheticFalls,
    UnknownActions,
    Validation,
    WindowSection,
)

RECIPES = Path(__file__).parent.parent / "recipes"

_ADDED = {
    "task": "recognition",
    "lead_s": None,
    "recogniser": None,
    "pretraining": None,
    "synthetic_falls": None,
    "stopping": Stopping(),
    "poses": {"centre_spans_s": ()},
    "student": {"prototypes": False, "standardised": False},
    "teacher": {"standardised": False},
    "fit": {"late": 0.0},
    "fit_teacher": {"late": 0.0},
    "augmentation": {"short": 0.0, "hiding": 0.0, "swapping": 0.0},
    "validation": {"folds": 0},
    "network": "recurrent",
    "two_stage": TwoStageConfig(),
    "losses": {},
}
"""Sections and keys of later releases, with the value that stands for what earlier ones did. Digests leave a key out
where it has that value, so that runs begun earlier still continue."""


class Recipe(Section):
    """The whole file."""

    name: Name
    """Name of the recipe, and of the bundle that is exported from it."""
    datasets: Annotated[tuple[Source, ...], Field(min_length=1)]
    """The data set folders."""
    pretraining: Pretraining | None = None
    """Other data sets, to be learned first. By default none."""
    task: Literal["recognition", "anticipation"] = "recognition"
    """What the label of a step is: of that moment, or of `lead_s` later."""
    lead_s: Positive | None = None
    """With `task = "anticipation"`: for how many seconds ahead the model answers; rounded to whole steps."""
    recogniser: Recogniser | None = None
    """With `task = "anticipation"`: a recognition run to learn from. By default none."""
    rate_hz: Positive
    """Steps of the model in a second. With `clock = "progress"`: the levels that stand for a second in its features."""
    clock: Literal["rate", "progress"] = "rate"
    """What a step is: a tick of `rate_hz`, as the service runs it, or one of `levels` equal parts of a clip, as in
    paper A."""
    levels: Count = 10
    """With `clock = "progress"`: steps of every clip. Step n sees the pose at n / levels of the clip."""
    skeleton: str | None = None
    """A skeleton that Inkling knows. By default that of the first data set."""
    poses: PoseConfig = PoseConfig()
    """How poses become features."""
    frames: FrameConfig | None = None
    """How frames become features. Without this section the clips are poses; with `network = "two_stage"` they are poses
    and have pictures beside them."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    """Seeds to fit, one after the other. The one with the best validation AUC is exported."""
    labelled: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the labelled training clips whose label is used, drawn for each seed and class. The others count as
    unlabelled clips."""
    network: str = "recurrent"
    """The kind of network: `recurrent`, one recurrent layer over poses or over frames, as `student` and `teacher` say;
    or `two_stage`, one layer over the picture and one over its state beside the joints."""
    two_stage: TwoStageConfig = TwoStageConfig()
    """Student and teacher, with `network = "two_stage"`."""
    student: StudentConfig = StudentConfig()
    """The causal network that is served."""
    teacher: TeacherConfig = TeacherConfig()
    """The network that sees the whole clip."""
    distillation: Distillation = Distillation()
    """What the student learns besides the labels."""
    losses: dict[str, NotNegative] = {}  # noqa: RUF012 - pydantic copies it
    """Weights of terms of the loss by their names (`distill.terms`), beside those that `distillation` has:
    `classification` (1 if it is not given), `rising`, `states`."""
    fit: Fit = Fit()
    """How the student is optimised."""
    fit_teacher: Fit | None = None
    """How the teacher is optimised. By default as `fit`."""
    augmentation: Augmentation = Augmentation()
    """Random changes of training clips of poses."""
    streaming: Streaming = Streaming()
    """Training clips that follow another one without a pause."""
    pixels: PixelAugmentation = PixelAugmentation()
    """Random changes of training clips of frames."""
    windows: WindowSection = WindowSection()
    """How recordings of frames are cut for training."""
    validation: Validation = Validation()
    """Which clips validate."""
    stopping: Stopping = Stopping()
    """The promises of the bundle."""
    unknown: UnknownActions | None = None
    """How the bundle says that what somebody does is none of its labels. By default as the section's own defaults where
    a label is called `other`, else not at all."""
    background: Background | None = None
    """The label that means that nothing is happening. By default none."""
    synthetic_falls: SyntheticFalls | None = None
    """Made-up falls beside recorded ones. By default none."""
    bundle: Shipping = Shipping()
    """What the bundle says that training cannot know."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [source.name for source in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("two data sets have the same folder name; results are reported by it")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must be different")
        if self.network not in NETWORKS:
            raise ValueError(f"network is one of {', '.join(NETWORKS)}, not {self.network!r}")
        if NETWORKS[self.network].both:
            self._check_both()
        elif self.two_stage != TwoStageConfig():
            raise ValueError(f'two_stage belongs to network = "two_stage"; this one is {self.network!r}')
        if self.on_frames and (self.skeleton or (self.background and self.background.clips)):
            raise ValueError("a recipe on frames has no skeleton and no synthetic background clips")
        if self.synthetic_falls is not None and (self.frames is not None or self.background is None):
            raise ValueError("synthetic_falls are poses, and need the label of background for who lies after a fall")
        if self.frames is not None and self.distillation.teachers > 1:
            raise ValueError("several teachers need poses: each would bring an eye of its own for frames")
        if self.frames is not None and self.distillation.target == "neighbours":
            raise ValueError("neighbours are found among poses")
        if self.on_frames and self.left_out:
            raise ValueError("unknown.left_out is for clips of poses")
        if self.background_label in self.left_out:
            raise ValueError("the background cannot be left out")
        if self.pretraining is not None:
            self._check_pretraining(self.pretraining)
        self._check_task()
        if self.clock == "progress":
            self._check_progress()
        elif self.distillation.tau_levels is not None:
            raise ValueError('tau_levels belongs to clock = "progress"; the rate clock has tau_s')
        return self

    def _check_both(self) -> None:
        """Raise ValueError where a network on joints and pictures cannot be trained."""
        if self.frames is None or not self.frames.frozen:
            raise ValueError(f"{self.network} sees pictures through a frozen backbone: frames with frozen = true")
        if (self.student, self.teacher) != (StudentConfig(), TeacherConfig()):
            raise ValueError(f"{self.network} has a section of its own in place of student and teacher")
        if self.pretraining is not None or (self.background and self.background.clips):
            raise ValueError(f"{self.network} has no pretraining and no synthetic clips: they would have no pictures")

    def _check_task(self) -> None:
        """Raise ValueError where it is not clear how far ahead the model answers, or that it does not."""
        if self.task == "recognition":
            if self.lead_s is not None or self.recogniser is not None:
                raise ValueError('lead_s and recogniser belong to task = "anticipation"')
            return
        if self.lead_s is None:
            raise ValueError('task = "anticipation" needs lead_s, the seconds between a frame and what is said of it')
        if self.clock == "progress":
            raise ValueError('task = "anticipation" needs clock = "rate": a level is no number of seconds')
        if self.ahead < 1:
            raise ValueError(f"lead_s = {self.lead_s:g} is nearer to now than to the next step at {self.rate_hz:g} Hz")
        if self.recogniser is not None and self.recogniser.begin and self.pretraining is not None:
            raise ValueError("the student begins either with the recogniser's weights or with pretraining")

    def _check_pretraining(self, pretraining: Pretraining) -> None:
        """Raise ValueError where other clips cannot be learned first."""
        if self.frames is not None:
            raise ValueError("pretraining is for clips of poses; a recipe on frames begins from [frames] weights")
        if self.clock == "progress":
            raise ValueError('pretraining needs clock = "rate": levels of other clips last for other times')
        own = {os.path.normpath(source.path) for source in self.datasets}
        for source in pretraining.datasets:
            if os.path.normpath(source.path) in own:
                raise ValueError(f"{source.path} is a data set of the recipe itself; pretraining is on others")

    def _check_progress(self) -> None:
        """Raise ValueError where something would change the number of a clip's levels, or what they mean."""
        if self.on_frames or self.background is not None:
            raise ValueError('clock = "progress" is for clips of poses without background')
        changed = self.augmentation
        if changed.speed > 1 or changed.crop > 0 or changed.short > 0 or self.streaming.chance > 0:
            raise ValueError(
                'clock = "progress" gives every clip the same number of levels: '
                "it needs speed = 1, crop = 0 and short = 0 in augmentation, and streaming.chance = 0"
            )

    @property
    def on_frames(self) -> bool:
        """Whether the clips are frames alone; else they are poses, with pictures beside where `frames` is given."""
        return self.frames is not None and not NETWORKS[self.network].both

    @property
    def lead(self) -> int:
        """Steps of the model between an output and its self-distillation target."""
        levels = self.distillation.tau_levels
        return levels if levels is not None else max(1, round(self.distillation.tau_s * self.rate_hz))

    @property
    def ahead(self) -> int:
        """Steps between a frame and what is said of it; 0: the label is of the moment."""
        return 0 if self.lead_s is None else math.floor(self.lead_s * self.rate_hz + 0.5)

    @property
    def whole_lead_s(self) -> float | None:
        """`lead_s` in whole steps, as the model has it."""
        return round(self.ahead / self.rate_hz, 4) if self.ahead else None

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
                "recogniser": None,
                "labelled": 1.0,
                "distillation": Distillation(alpha=0, beta=0),
                "fit": self.fit.model_copy(update=epochs),
                "fit_teacher": (self.fit_teacher or self.fit).model_copy(update=epochs),
                "validation": Validation(share=0, select="last"),
                "stopping": Stopping(),
                "unknown": None,
                "background": None,
                "synthetic_falls": None,
            }
        )

    @property
    def background_label(self) -> str | None:
        return self.background.label if self.background else None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Labels that are not learned, to measure by them what comes out as unknown."""
        return () if self.unknown is None else self.unknown.left_out

    def digest(self) -> str:
        """sha256 over what decides the result of one seed: all but the list of seeds and what only the bundle says.

        The score of the unknown is fitted after all else, also by `calibrate`; labels that it leaves out change the
        digest of the clips.
        """
        ignored: dict[str, Any] = {"seeds": True, "unknown": True, "bundle": {"title", "limits", "decision"}}
        if self.frames is None:
            ignored |= {"frames": True, "pixels": True, "windows": True}
        ignored["datasets"] = {i: _unset(source) for i, source in enumerate(self.datasets)}
        if self.pretraining is not None:
            learned_first = {i: _unset(source) for i, source in enumerate(self.pretraining.datasets)}
            ignored["pretraining"] = {"datasets": learned_first}
        for name, before in _ADDED.items():
            section = getattr(self, name)
            if section == before:
                ignored[name] = True
            elif isinstance(before, dict) and section is not None:
                ignored[name] = {key for key, value in before.items() if getattr(section, key) == value}
        return hashlib.sha256(self.model_dump_json(exclude=ignored).encode()).hexdigest()


def _unset(source: Source) -> set[str]:
    """Keys of a data set that digests leave out: those of later releases where they are not used."""
    unused = {"groups"} if not source.groups else set()
    return unused | ({"promises"} if source.promises else set())


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


def read_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, or one of the shipped recipes by its bare name.

    changes: `KEY=VALUE` each, as `--set` takes them (`recipe.changes`). Raises ConfigError with all problems.
    """
    path = recipe_file(path)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        if "base" in fields:
            raise ConfigError(f"{path} is a study of several fits: inkling train reproduce runs it")
        return Recipe.model_validate(changed(fields, changes, Recipe))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in all_problems(error))) from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
