"""Run a study: every fit that is not done yet, one after the other, each ending in a file of its own.

OUT/runs/SET/SPLIT/10-percent/METHOD/seed-0.json    what came out of a fit
OUT/teachers/KEY.pt                                 teachers, shared by the methods that ask for the same ones
OUT/pretrained/KEY.pt                               what networks begin from, shared by methods and splits likewise

A killed study loses the fit that was under way; called again it goes on with that one.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from inkling.training.data.corpus import Corpus, Example, load_corpus
from inkling.training.data.folds import Fold, draw_fold
from inkling.training.distill.ensemble import Ensemble, whole_clip
from inkling.training.distill.learner import Learner, StudentLearner
from inkling.training.distill.loop import train
from inkling.training.distill.stages import first_student, first_teacher, student_learner, teacher_learner
from inkling.training.distill.terms import is_taught
from inkling.training.errors import ConfigError
from inkling.training.files import load_weights, save_weights, write_text
from inkling.training.labels import UNLABELLED
from inkling.training.provenance import git_commit
from inkling.training.recipe.recipe import Recipe
from inkling.training.scores import accuracy, auc, ratio_logits
from inkling.training.study.study import Cell, Study

Report = Callable[[str], None]


class CellOutcome(BaseModel):
    """What one fit gave on the test clips; shares in [0, 1]. Validation AUC: None where no clips were kept out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str
    split: str
    labelled: float
    method: str
    seed: int
    recipe: str
    """Digest of the recipe (`recipe_key`)."""
    data: str
    """Digest of the clips, also of those that are learned first."""
    accuracy: tuple[float, ...]
    auc: float
    validation_auc: float | None
    teacher_accuracy: float | None
    """Of the teachers together, on whole test clips."""
    train_clips: int
    labelled_clips: int
    test_clips: int
    seconds: float
    created: str
    git_commit: str


def outcomes(study: Study, out: Path | str) -> list[CellOutcome]:
    """What is done of a study so far. Raises ConfigError."""
    found = ((cell, read_outcome(Path(out) / cell.path)) for cell in study.cells())
    return [outcome for _, outcome in found if outcome is not None]


def read_outcome(path: Path) -> CellOutcome | None:
    """An outcome's file, None where there is none. Raises ConfigError."""
    try:
        return CellOutcome.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} is no outcome of this release; remove it to fit again") from error


def reproduce(
    study: Study,
    base: Mapping[str, Any],
    out: Path | str,
    data: Path | str = ".",
    *,
    report: Report = lambda line: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Fit every cell of a study that `out` has no outcome of. data: where the folders of the sets lie.

    after: called after every fit. Raises DataError, or ConfigError where `out` has an outcome of another recipe or of
    other clips; all recipes and outcomes are looked at before the first fit begins.
    """
    out = Path(out)
    cells = list(study.cells())
    recipes = {cell: study.recipe_of(cell, base) for cell in cells}
    _refuse_other_recipes(recipes, out)
    clips: dict[tuple[Path, str], tuple[Corpus, str]] = {}
    for number, cell in enumerate(cells, 1):
        recipe = recipes[cell]
        key = cell.split, _clips_key(recipe)
        if key not in clips:
            corpus = load_corpus(recipe, data)
            clips[key] = (corpus, corpus.digest())
        corpus, digest = clips[key]
        done = read_outcome(out / cell.path)
        if done is not None:
            if done.data != digest:
                raise ConfigError(f"{out / cell.path} is of other clips; remove it or choose another directory")
            continue
        with torch.random.fork_rng():  # the caller's randomness stays as it was
            outcome = _fit(cell, recipe, corpus, digest, out)
        (out / cell.path).parent.mkdir(parents=True, exist_ok=True)
        write_text(out / cell.path, outcome.model_dump_json(indent=2) + "\n")
        report(f"{number}/{len(cells)} {cell}: AUC {100 * outcome.auc:.1f} in {outcome.seconds:.0f} s")
        after()


def _refuse_other_recipes(recipes: Mapping[Cell, Recipe], out: Path) -> None:
    """Raise ConfigError where a finished fit was of another recipe, or one needs a run that no study has."""
    for cell, recipe in recipes.items():
        if recipe.recogniser is not None:
            raise ConfigError(f"{cell}: a study has no recogniser; give each fit its own with inkling train fit")
        done = read_outcome(out / cell.path)
        if done is not None and done.recipe != recipe_key(recipe):
            raise ConfigError(f"{out / cell.path} is of another recipe; remove it or choose another directory")


def _clips_key(recipe: Recipe) -> str:
    """What decides how clips are read."""
    return recipe.model_dump_json(
        include={
            *("task", "lead_s", "datasets", "pretraining", "rate_hz", "clock", "levels", "skeleton", "bundle"),
            *("frames", "network"),
        }
    )


@dataclass(frozen=True, slots=True)
class _Teachers:
    network: Ensemble
    accuracy: float
    """On whole test clips."""


def _fit(cell: Cell, recipe: Recipe, corpus: Corpus, digest: str, out: Path) -> CellOutcome:
    begun = time.perf_counter()
    fold, test = draw_fold(corpus, recipe, cell.seed), _test_clips(corpus, recipe)
    labelled = sum(e.target != UNLABELLED for e in fold.train)
    teachers = _teachers(recipe, corpus, fold, cell, out, digest, test) if is_taught(recipe) else None
    first = first_student(recipe, corpus, cell.seed)
    if first is not None:
        _pretrained(first, recipe, corpus, f"student {cell.seed}", out)
    ensemble, begin = teachers.network if teachers is not None else None, first.network if first is not None else None
    learner = student_learner(recipe, corpus, fold, cell.seed, ensemble, begin)
    validation = train(learner, device="cpu")
    accuracies = accuracy(*ratio_logits(learner.network, test))
    return CellOutcome(
        set=cell.set,
        split=cell.split.name,
        labelled=cell.labelled,
        method=cell.method,
        seed=cell.seed,
        recipe=recipe_key(recipe),
        data=digest,
        accuracy=tuple(round(float(a), 5) for a in accuracies),
        auc=round(auc(accuracies), 5),
        validation_auc=round(validation, 5) if fold.val else None,
        teacher_accuracy=teachers.accuracy if teachers is not None else None,
        train_clips=len(fold.train),
        labelled_clips=labelled,
        test_clips=len(test),
        seconds=round(time.perf_counter() - begun, 1),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
    )


def _test_clips(corpus: Corpus, recipe: Recipe) -> list[Example]:
    tests = [example for examples in corpus.tests().values() for example in examples]
    if not tests:
        raise ConfigError(f"{recipe.datasets[0].path} has no clips of the split 'test'")
    return tests


def _teachers(
    recipe: Recipe, corpus: Corpus, fold: Fold, cell: Cell, out: Path, digest: str, test: list[Example]
) -> _Teachers:
    """The teachers of a fit: those that another method's fit has left, else trained now."""
    kept = out / "teachers"
    kept.mkdir(parents=True, exist_ok=True)
    key = _short(f"{_teacher_key(recipe)} {digest} {cell.seed}")
    networks = []
    for member in range(recipe.distillation.teachers):
        weights, begin = kept / f"{key}-{member}.pt", None
        if not weights.exists():
            first = first_teacher(recipe, corpus, cell.seed, member)
            if first is not None:
                _pretrained(first, recipe, corpus, f"teacher {cell.seed} {member}", out)
                begin = first.network
        learner = teacher_learner(recipe, corpus, fold, cell.seed, member, begin)
        _trained(learner, weights)
        networks.append(learner.network.eval())
    together = Ensemble(networks).eval()
    answers = whole_clip(together, test).argmax(-1).tolist()
    right = sum(answer == e.target for answer, e in zip(answers, test, strict=True))
    return _Teachers(together, round(right / len(test), 5))


def _pretrained(learner: Learner, recipe: Recipe, corpus: Corpus, which: str, out: Path) -> None:
    """Train on what is learned first, or load what another fit has left: another method's, or of another split."""
    assert recipe.first is not None  # noqa: S101  # there is a learner
    assert corpus.pretraining is not None  # noqa: S101
    kept = out / "pretrained"
    kept.mkdir(parents=True, exist_ok=True)
    others = ("teacher", "fit_teacher") if isinstance(learner, StudentLearner) else ("student", "fit")
    key = _short(f"{recipe_key(recipe.first, *others)} {corpus.pretraining.digest()} {which}")
    _trained(learner, kept / f"{key}.pt")


def _trained(learner: Learner, weights: Path) -> None:
    """Train a learner's network, or load it where that was done already."""
    if weights.exists():
        load_weights(learner.network, weights)
    else:
        train(learner, device="cpu")
        save_weights(learner.network, weights)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _teacher_key(recipe: Recipe) -> str:
    """What decides a teacher: all but what only the student knows."""
    alike = recipe.model_copy(update={"fit_teacher": recipe.fit_teacher or recipe.fit})
    return recipe_key(alike, "student", "distillation", "fit")


def recipe_key(recipe: Recipe, *without: str) -> str:
    """Digest of what a recipe says otherwise than by default: a later release may have more keys."""
    ignored = {"name", "seeds", "bundle", *without}
    return hashlib.sha256(recipe.model_dump_json(exclude=ignored, exclude_defaults=True).encode()).hexdigest()
