"""The directory of a fit: what was asked, what came out of each seed, and the networks again.

RUN/run.json                        the recipe, the digest of its data, where they lie: only the same fit may continue
RUN/seed-0/teacher.pt, student.pt   averaged weights of the kept epoch
RUN/seed-0/pretrained*.pt           what they began from, where the recipe has clips to be learned first
RUN/seed-0/fold-0/                  the same of a part of the clips, where the recipe validates in folds
RUN/seed-0/teacher/, student/       checkpoints while a stage is under way
RUN/seed-0/tensorboard/             curves
RUN/seed-0/result.json              written last: the seed is done
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from inkling.models.bundle.schema import Calibration, FrameInput, PoseInput, StoppingRule, Unknown
from inkling.models.networks import CausalNetwork
from inkling.models.problems import first_problem
from inkling.models.skeletons import Skeleton
from inkling.training.errors import ConfigError, DataMovedError
from inkling.training.files import load_weights, write_text
from inkling.training.networks.build import build_student
from inkling.training.recipe.recipe import Recipe

RUN_FILE = "run.json"
RESULT_FILE = "result.json"


class SeedResult(BaseModel):
    """What one seed gave; AUCs are of validation clips, in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    labels: tuple[str, ...]
    skeleton: Skeleton | None = None
    """Of a student on poses."""
    frame: FrameInput | None = None
    """Of a student on frames, or on poses with pictures beside them."""
    student_auc: float
    teacher_auc: float | None
    calibration: Calibration
    stopping: StoppingRule | None = None
    """Certified on validation clips that chose neither weights nor calibration (`calibrate.stopping_rule`)."""
    unknown: Unknown | None = None
    """Its threshold is set on the clips that calibration was fitted on (`calibrate.unknown`)."""
    train_clips: int
    val_clips: int
    """Kept out of training; with `validation.folds`, answered by a student that was trained on other folds."""
    origins: tuple[str, ...]
    pretrained_on: tuple[str, ...] = ()
    """As `origins`, of the data sets that were learned first."""
    created: str
    git_commit: str
    libraries: dict[str, str]

    @property
    def input(self) -> PoseInput | FrameInput:
        """What the student takes, or the first of it."""
        if self.skeleton is not None:
            return PoseInput(kind="pose", skeleton=self.skeleton)
        assert self.frame is not None  # noqa: S101  # validated
        return self.frame

    @property
    def inputs(self) -> tuple[PoseInput | FrameInput, ...]:
        """All that the student takes."""
        both = self.skeleton is not None and self.frame is not None
        return (self.input, self.frame) if both and self.frame is not None else (self.input,)

    @model_validator(mode="before")
    @classmethod
    def _older(cls, values: Any) -> Any:
        """Results of earlier releases have one temperature and no rule."""
        if isinstance(values, dict) and "temperature" in values:
            values = dict(values)
            values["calibration"] = {"kind": "temperature", "temperature": values.pop("temperature")}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.skeleton is None and self.frame is None:
            raise ValueError("a result is of poses, of frames, or of both")
        return self


class RunFile(BaseModel):
    """`run.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Recipe
    data: str
    """Digest of the clips (`Corpus.digest`)."""
    root: str = ""
    """The folder that relative data set paths start at, absolute; empty in runs of earlier releases."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, fields: Any) -> Any:
        """Networks of a run that says nothing of `standardised` were trained before there was such a layer."""
        if isinstance(fields, dict) and isinstance(fields.get("recipe"), dict):
            known = fields["recipe"]
            old = {name: {"standardised": False, **known[name]} for name in ("student", "teacher") if name in known}
            return {**fields, "recipe": {**known, **old}}
        return fields


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory, its recipe, and the folder that its data set paths started at (None: not remembered)."""

    directory: Path
    recipe: Recipe
    root: Path | None = None

    @classmethod
    def begin(cls, directory: Path | str, recipe: Recipe, data: str, root: Path | str | None = None) -> Self:
        """Create a run directory, or continue in one of the same recipe and data digest. Raises ConfigError.

        root: the folder that data set paths start at, to be remembered; None: what was remembered before.
        """
        directory = Path(directory)
        remembered = str(Path(root).absolute()) if root is not None else ""
        if (directory / RUN_FILE).exists():
            before = cls._file(directory)
            if before.recipe.digest() != recipe.digest():
                raise ConfigError(f"{directory} holds a fit of another recipe; remove it or choose another directory")
            if before.data != data:
                raise ConfigError(f"the clips are not those that {directory} was begun with; choose another directory")
            remembered = remembered or before.root
        elif directory.exists() and any(directory.iterdir()):
            raise ConfigError(f"{directory} is not empty and no run; choose another directory")
        directory.mkdir(parents=True, exist_ok=True)
        file = RunFile(recipe=recipe, data=data, root=remembered)
        write_text(directory / RUN_FILE, file.model_dump_json(indent=2) + "\n")
        return cls(directory, recipe, Path(remembered) if remembered else None)

    @classmethod
    def open(cls, directory: Path | str) -> Self:
        """Raises ConfigError when there is no run, or one of another release."""
        file = cls._file(Path(directory))
        return cls(Path(directory), file.recipe, Path(file.root) if file.root else None)

    def data_root(self, given: Path | str | None = None) -> Path:
        """The folder that data set paths start at: the given one, else the remembered one, else the current one.

        Raises DataMovedError where the remembered folder has a data set no more.
        """
        if given is not None:
            return Path(given)
        if self.root is None:
            return Path()
        for source in self.recipe.datasets:
            if not (self.root / source.path).is_dir():
                raise DataMovedError(self.directory, self.root, self.root / source.path)
        return self.root

    @staticmethod
    def _file(directory: Path) -> RunFile:
        try:
            return RunFile.model_validate_json((directory / RUN_FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{directory} is no run directory: it has no readable {RUN_FILE}") from error
        except ValidationError as error:
            raise ConfigError(f"{directory / RUN_FILE} does not fit this release: {first_problem(error)}") from error

    def seed_directory(self, seed: int) -> Path:
        return self.directory / f"seed-{seed}"

    def evaluation_directory(self, seed: int) -> Path:
        """Where the report of a seed's student lies once it was evaluated."""
        return self.seed_directory(seed) / "evaluation"

    def result(self, seed: int) -> SeedResult | None:
        """The result of a seed, None while it is not done."""
        path = self.seed_directory(seed) / RESULT_FILE
        return SeedResult.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None

    def results(self) -> dict[int, SeedResult]:
        """The results of all finished seeds."""
        results = {seed: self.result(seed) for seed in self.recipe.seeds}
        return {seed: result for seed, result in results.items() if result is not None}

    def chosen(self, seed: int | None = None) -> SeedResult:
        """A seed's result, by default the one with the best validation AUC. Raises ConfigError when there is none."""
        results = self.results()
        if seed is not None:
            results = {s: result for s, result in results.items() if s == seed}
        if not results:
            raise ConfigError(f"{self.directory} has no finished fit{'' if seed is None else f' of seed {seed}'}")
        return max(results.values(), key=lambda result: result.student_auc)

    def fold_directory(self, seed: int, part: int) -> Path:
        """Where the networks lie that were trained without this part of the clips, counted from 0."""
        return self.seed_directory(seed) / f"fold-{part}"

    def student(self, result: SeedResult, part: int | None = None) -> CausalNetwork:
        """The trained student of a seed, on the CPU, in evaluation mode. part: the one trained without this part."""
        directory = self.seed_directory(result.seed) if part is None else self.fold_directory(result.seed, part)
        network = build_student(self.recipe, result.input, len(result.labels))
        load_weights(network, directory / "student.pt")
        return network.eval()
