"""`card.md`: what a bundle recognises, how well, trained on what under which terms, and where it fails."""

from __future__ import annotations

from collections.abc import Sequence

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.figures import Figures
from inkling.training.evaluate.report import sections
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Distillation, Recogniser, Validation
from inkling.training.run import SeedResult


def card(
    recipe: Recipe,
    result: SeedResult,
    name: str,
    version: str,
    evaluation: Evaluation | None,
    figures: Figures | None = None,
    rounding: float | None = None,
) -> str:
    """The card of a bundle, as Markdown; `evaluation` None says that quality was not measured on test clips.

    rounding: of a bundle in eight bits, the largest difference of a logit from the network's.
    """
    texts = recipe.bundle
    names = ["frames" if isinstance(given, FrameInput) else "body joints" for given in result.inputs]
    what = " and ".join(names)
    background = f" `{recipe.background_label}` means that nothing is happening." if recipe.background_label else ""
    teacher = f" (its teacher, which sees the whole clip: {100 * result.teacher_auc:.1f})" if result.teacher_auc else ""
    measured = "It was not measured on test clips." if figures is None else ""
    if evaluation is not None:
        measured = "\n".join(
            (
                "Accuracy (%) by observed share of the clip; AUC is the mean of the ten. Answers 'all': any label of",
                "the model may be answered; 'its own': only those that the data set has.\n",
                *sections(evaluation),
                f"`inkling train evaluate {name}/{version} --data DIR` prints these figures; DIR has the data sets.",
            )
        )
    parts = [
        f"# {name} {version}",
        texts.title or _title(recipe, len(result.labels), what),
        "## What it answers",
        ", ".join(f"`{label}`" for label in result.labels) + f".{background}",
        f"Input: {' and '.join(map(_takes, result.inputs))}, at {recipe.rate_hz:g} steps a second. One step sees the "
        "present and the past only.",
        *((_ahead(recipe),) if recipe.ahead else ()),
        "## How well",
        *((figures.text,) if figures is not None else ()),
        *((measured,) if measured else ()),
        *((_rounded(name, version, rounding),) if rounding is not None else ()),
        f"{_validated(recipe.validation)}: AUC {100 * result.student_auc:.1f}{teacher}, {result.val_clips} clips.",
        "## Trained on",
        "\n".join(f"- {origin}" for origin in result.origins),
        *((_learned_first(result.pretrained_on),) if result.pretrained_on else ()),
        f"{result.train_clips} training clips. Recipe `{recipe.name}`, seed {result.seed}, made {result.created}"
        + (f" at commit {result.git_commit}." if result.git_commit else "."),
        _taught(recipe.distillation),
        *((_from_recogniser(recipe.recogniser),) if recipe.recogniser is not None else ()),
    ]
    if texts.limits:
        parts += ["## Where it fails", texts.limits]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _title(recipe: Recipe, labels: int, what: str) -> str:
    if recipe.whole_lead_s is None:
        return f"Recognises {labels} actions from a stream of {what}, while they happen."
    return f"Says which of {labels} actions will be under way in {recipe.whole_lead_s:g} s, from a stream of {what}."


def _ahead(recipe: Recipe) -> str:
    return (
        f"**An answer is of {recipe.whole_lead_s:g} s later**, not of the moment: it is what will be under way "
        "then. An action that is under way already, and will still be then, is answered too."
    )


def _from_recogniser(wanted: Recogniser) -> str:
    """What the student learned from a recogniser."""
    sources = ["its answers"] * (wanted.answers > 0) + ["its hidden states"] * (wanted.states > 0)
    begun = " It began with that recogniser's weights." if wanted.begin else ""
    if not sources:
        return begun.strip() or "A recogniser was there to compare with."
    return (
        f"It learned from a recogniser that sees so much further, by {' and '.join(sources)} (Tran, Wang, Zhang, Hoai)."
        + begun
    )


def _validated(how: Validation) -> str:
    if not how.folds:
        return "Validation clips, kept out of training by group"
    return (
        f"Validation, calibration and promises are of the training clips in {how.folds} parts, by group, each answered "
        "by a student of the same recipe that was trained on the others; the student of this bundle was trained on all"
    )


def _rounded(name: str, version: str, rounding: float) -> str:
    return (
        "The products of this bundle are in eight bits. Figures here are of the network before that: over 500 rough "
        f"steps no logit was off by more than {rounding:.2g}. `inkling train evaluate {name}/{version}` measures the "
        "bundle itself."
    )


def _learned_first(origins: Sequence[str]) -> str:
    told = "\n".join(f"- {origin}" for origin in origins)
    return f"Before these it was trained on the training clips of others, whose labels it does not answer:\n\n{told}"


def _taught(wish: Distillation) -> str:
    """What the student learned from besides labels."""
    sources = ["a teacher that sees the whole clip"] * (wish.alpha > 0) + ["its own later answers"] * (wish.beta > 0)
    if not sources:
        return "Trained on labels alone, without distillation."
    weights = f"alpha {wish.alpha:g}, beta {wish.beta:g}, {wish.tau_s:g} s ahead"
    what = f"Trained with progressive distillation (Tran, Balasubramanian, Hoai): from {' and from '.join(sources)}"
    return f"{what} ({weights})."


def _takes(takes: PoseInput | FrameInput) -> str:
    if isinstance(takes, FrameInput):
        return f"RGB frames of {takes.width} x {takes.height} pixels (`{takes.fit}`)"
    skeleton = takes.skeleton
    return f"poses of the skeleton `{skeleton.name}` ({len(skeleton.joints)} joints, {skeleton.dimensions}D)"
