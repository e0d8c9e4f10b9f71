"""Fit a recipe: for each seed a teacher that sees the whole clip, then the causal student distilled from it.

Where a recipe has other clips to be learned first, each of them begins from a network that was trained on those.

A fit that was killed continues where its last epoch ended, and ends with the weights of an uninterrupted one.
"""

from __future__ import annotations

import datetime
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import CausalNetwork
from inkling.training.calibrate.unknown import unknown_wish
from inkling.training.calibrate.validation import Answered, fit_promises, told
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.folds import Fold, cross_folds, draw_fold
from inkling.training.distill.devices import resolve_device
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.learner import Learner
from inkling.training.distill.loop import train
from inkling.training.distill.stages import first_student, first_teacher, student_learner, teacher_learner
from inkling.training.distill.terms import is_taught
from inkling.training.errors import ConfigError
from inkling.training.evaluate.few_clips import few_clips_warning
from inkling.training.files import load_weights, save_weights, write_text
from inkling.training.hyperparameters import write_hyperparameters
from inkling.training.progress import RunProgress
from inkling.training.provenance import git_commit, libraries
from inkling.training.recipe.recipe import Recipe
from inkling.training.recogniser import find_recogniser, keep_recogniser
from inkling.training.run import RESULT_FILE, Run, SeedResult

Report = Callable[[str], None]
"""Receives a line about the progress of a fit."""


def fit(
    recipe: Recipe,
    out: Path | str,
    data: Path | str = ".",
    *,
    device: str = "auto",
    devices: int = 1,
    report: Report = lambda line: None,
    progress: RunProgress | None = None,
) -> Run:
    """Train every seed of a recipe into the run directory `out`; finished seeds are kept, a broken off one continues.

    data: where relative data set paths of the recipe start; the run remembers it. device: auto, cpu or cuda. devices:
    how many of them share each batch. Raises DataError before anything is trained, DeviceError when the device is not
    there, ConfigError when `out` belongs to another recipe or the recogniser cannot be learned from.
    """
    if recipe.validation.share == 0 and not recipe.validation.folds:
        raise ConfigError("a fit calibrates on validation clips: give validation.share or validation.folds")
    computed_on = resolve_device(device, devices)
    corpus = load_corpus(recipe, data)
    unknown_wish(recipe, corpus.labels)  # refuses labels that there are not before anything is trained
    folds = {seed: draw_fold(corpus, recipe, seed) for seed in recipe.seeds}
    other = find_recogniser(recipe, out, corpus.labels, corpus.inputs, data)
    run = Run.begin(out, recipe, corpus.digest(), data)
    recogniser = keep_recogniser(run, other)
    for line in _told_ahead(recipe, corpus):
        report(line)
    if progress is not None:
        progress.begin(sum(_epochs_to_come(run, seed) for seed in recipe.seeds))
    for seed, fold in folds.items():
        if run.result(seed) is not None:
            report(f"seed {seed}: done already")
            continue
        first = f", {len(corpus.pretraining.examples)} learned first" if corpus.pretraining is not None else ""
        parts = f", validated in {recipe.validation.folds} folds" if recipe.validation.folds else ""
        report(f"seed {seed}: {len(fold.train)} training clips, {len(fold.val)} for validation{parts}{first}")
        with torch.random.fork_rng():  # the caller's randomness stays as it was
            training = _Training(seed, computed_on, devices, report, progress)
            _fit_seed(run, corpus, fold, recogniser, training)
    return run


def _told_ahead(recipe: Recipe, corpus: Corpus) -> Iterator[str]:
    """What an anticipating fit says of itself before it begins."""
    if not recipe.ahead:
        return
    rounded = "" if recipe.whole_lead_s == recipe.lead_s else f" (lead_s = {recipe.lead_s:g} in whole steps)"
    yield f"answers are of {recipe.whole_lead_s:g} s later, {recipe.ahead} steps{rounded}"
    if all(example.present is None for example in corpus.examples):
        yield (
            "no recording has labels that change: each clip has one throughout, so what is learned is to recognise it "
            "early, not what comes after it (spans.csv gives recordings labels that change)"
        )


@dataclass(frozen=True, slots=True)
class _Training:
    """How the stages of a seed are run, whatever they train."""

    seed: int
    device: str
    devices: int
    report: Report
    progress: RunProgress | None

    def stage(self, learner: Learner, directory: Path, name: str) -> float:
        """Train the learner's network, or load it where that is done already; returns its validation AUC, NaN where
        there are no validation clips."""
        weights, score = directory / f"{name}.pt", directory / f"{name}.auc"
        if not score.exists():
            checkpoints = directory / name
            part = "" if directory.name == f"seed-{self.seed}" else f" {directory.name}"
            auc = train(
                learner,
                checkpoints,
                directory / "tensorboard" / name,
                device=self.device,
                devices=self.devices,
                stage=f"seed {self.seed}{part} {name}",
                progress=self.progress,
                report=lambda line: self.report(f"{directory.name} {name}: {line}"),
            )
            save_weights(learner.network, weights)
            write_text(score, f"{auc!r}\n")
            shutil.rmtree(checkpoints)
        load_weights(learner.network, weights)
        learner.network.eval()
        return float(score.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class _Seed:
    """One seed of a run: its directory has what is trained on all clips, and what every part of it begins with."""

    recipe: Recipe
    corpus: Corpus
    seed: int
    directory: Path
    training: _Training
    recogniser: CausalNetwork | None

    def student(self, fold: Fold, directory: Path) -> tuple[CausalNetwork, list[float]]:
        """A student on a fold, in a directory of its own, and its teachers' validation AUCs where they have any."""
        directory.mkdir(exist_ok=True)
        teacher, aucs = self._teacher(fold, directory) if is_taught(self.recipe) else (None, [])
        first = first_student(self.recipe, self.corpus, self.seed)
        if first is not None:
            self.training.stage(first, self.directory, "pretrained")
        begin = first.network if first is not None else None
        learner = student_learner(self.recipe, self.corpus, fold, self.seed, teacher, begin, self.recogniser)
        self.training.stage(learner, directory, "student")
        return learner.network, aucs

    def _teacher(self, fold: Fold, directory: Path) -> tuple[Ensemble, list[float]]:
        members, aucs = [], []
        for member in range(self.recipe.distillation.teachers):
            name = _teacher_name(member)
            before = first_teacher(self.recipe, self.corpus, self.seed, member)
            if before is not None:
                self.training.stage(before, self.directory, f"pretrained-{name}")
            begin = before.network if before is not None else None
            one = teacher_learner(self.recipe, self.corpus, fold, self.seed, member, begin)
            auc = self.training.stage(one, directory, name)
            aucs += [] if math.isnan(auc) else [auc]
            members.append(one.network)
        return Ensemble(members), aucs


def _teacher_name(member: int) -> str:
    return f"teacher-{member}" if member else "teacher"


def _epochs_to_come(run: Run, seed: int) -> int:
    """Epochs of the stages of a seed that are not done."""
    if run.result(seed) is not None:
        return 0
    return sum(epochs for score, epochs in _stages(run, seed) if not score.exists())


def _stages(run: Run, seed: int) -> Iterator[tuple[Path, int]]:
    """The file that each stage of a seed leaves when it is done, and the stage's epochs."""
    recipe = run.recipe
    teachers = [_teacher_name(member) for member in range(recipe.distillation.teachers)]
    teachers = teachers if is_taught(recipe) else []
    if recipe.pretraining is not None:
        for name in (*(f"pretrained-{teacher}" for teacher in teachers), "pretrained"):
            yield run.seed_directory(seed) / f"{name}.auc", recipe.pretraining.epochs
    folds = (run.fold_directory(seed, number) for number in range(recipe.validation.folds))
    for directory in (run.seed_directory(seed), *folds):
        for name in teachers:
            yield directory / f"{name}.auc", (recipe.fit_teacher or recipe.fit).epochs
        yield directory / "student.auc", recipe.fit.epochs


def _fit_seed(run: Run, corpus: Corpus, fold: Fold, recogniser: CausalNetwork | None, training: _Training) -> None:
    recipe, seed, directory = run.recipe, training.seed, run.seed_directory(training.seed)
    one = _Seed(recipe, corpus, seed, directory, training, recogniser)
    student, teacher_aucs = one.student(fold, directory)
    parts = enumerate(cross_folds(fold, recipe.validation.folds, seed))
    others = [(one.student(part, run.fold_directory(seed, number))[0], part) for number, part in parts]
    answered = Answered.by(student, fold, others)
    fitted = fit_promises(answered, recipe, corpus.labels, seed)
    training.report(f"seed {seed}: validation AUC {100 * answered.auc:.1f}, {told(fitted)}")
    if warning := few_clips_warning(answered.auc, len(answered.clips), recipe.validation.folds):
        training.report(f"seed {seed}: {warning}")
    result = SeedResult(
        seed=seed,
        labels=corpus.labels,
        skeleton=corpus.input.skeleton if isinstance(corpus.input, PoseInput) else None,
        frame=corpus.input if isinstance(corpus.input, FrameInput) else corpus.frame,
        student_auc=answered.auc,
        teacher_auc=sum(teacher_aucs) / len(teacher_aucs) if teacher_aucs else None,
        calibration=fitted.calibration,
        stopping=fitted.stopping,
        unknown=fitted.unknown,
        train_clips=len(fold.train),
        val_clips=len(answered.clips),
        origins=corpus.origins,
        pretrained_on=corpus.pretraining.origins if corpus.pretraining is not None else (),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
        libraries=libraries(),
    )
    metrics = {"validation/auc": answered.auc, "validation/clips": float(len(answered.clips))}
    if result.teacher_auc is not None:
        metrics["validation/teacher_auc"] = result.teacher_auc
    write_hyperparameters(directory / "tensorboard" / "hyperparameters", recipe, seed, metrics)
    write_text(directory / RESULT_FILE, result.model_dump_json(indent=2) + "\n")
