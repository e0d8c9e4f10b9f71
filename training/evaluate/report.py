"""An evaluation as files: table (Markdown), JSON, plot of accuracy over observation, confusion matrices."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from inkling.training import markdown
from inkling.training.evaluate.evaluation import Evaluation, PromiseScores, SetReport
from inkling.training.files import write_text

Promises = Mapping[str, Sequence[PromiseScores]]
"""By condition."""


def table(evaluation: Evaluation) -> str:
    """Accuracy in percent, one line per data set, condition and set of possible answers."""
    shares = [f"{ratio:.0%}" for ratio in evaluation.ratios]
    rows = []
    for name, report in evaluation.sets.items():
        for condition, both in report.conditions.items():
            for answers, scores in ((f"all {len(evaluation.labels)}", both.joint), ("its own", both.own)):
                cells = [f"{100 * share:.1f}" for share in (scores.auc, *scores.accuracy)]
                rows.append((name, str(report.clips), condition, answers, *cells))
    return markdown.table(("data set", "clips", "condition", "answers", "AUC", *shares), rows) + "\n"


def calibration_table(evaluation: Evaluation) -> str:
    """Expected calibration error and Brier score of clean clips, before and after calibration, by observed share."""
    shares = [f"{ratio:.0%}" for ratio in evaluation.ratios]
    rows = []
    for name, report in evaluation.sets.items():
        for when, scores in (("before", report.raw), ("after", report.calibrated)):
            for what, values in (
                ("calibration error", (scores.error, *scores.error_at)),
                ("Brier score", (scores.brier, *scores.brier_at)),
            ):
                rows.append((name, f"{what} {when}", *(f"{value:.3f}" for value in values)))
    return markdown.table(("data set", "", "all", *shares), rows) + "\n"


def promises_table(evaluation: Evaluation) -> str:
    """What became of each promise; empty when there is none."""
    told: list[tuple[str, Promises]] = [(name, report.promises) for name, report in evaluation.sets.items()]
    if len(told) > 1:
        told.insert(0, ("all", _together(list(evaluation.sets.values()))))
    rows = [
        (name, condition, *_promise(scores))
        for name, promises in told
        for condition, found in promises.items()
        for scores in found
        if scores.threshold is not None
    ]
    if not rows:
        return ""
    head = ("data set", "condition", "promised", "wrong", "decided", "of the action needed", "after", "never decided")
    return markdown.table(head, rows) + "\n"


def _together(reports: Sequence[SetReport]) -> Promises:
    """The promises over all data sets, each clip counting the same, of the conditions that all have."""
    found: dict[str, list[PromiseScores]] = {}
    clips = sum(report.clips for report in reports)
    for condition in reports[0].promises:
        if not all(condition in report.promises for report in reports):
            continue
        found[condition] = []
        for parts in zip(*(report.promises[condition] for report in reports), strict=True):
            committed, wrong = sum(p.committed for p in parts), sum(p.wrong for p in parts)
            total: dict[str, float | None] = {"error": None, "share": None, "seconds": None}
            if committed:
                total["error"] = wrong / committed
                for what in ("share", "seconds"):
                    total[what] = sum(p.committed * (getattr(p, what) or 0.0) for p in parts) / committed
            scores = parts[0].model_copy(
                update=total | {"committed": committed, "wrong": wrong, "never": 1 - committed / clips}
            )
            found[condition].append(scores)
    return found


def _promise(scores: PromiseScores) -> tuple[str, ...]:
    """Cells from 'promised' on."""
    promised, never = f"{scores.error_rate:.0%}", f"{scores.never or 0:.1%}"
    if scores.error is None or scores.share is None or scores.seconds is None:
        return promised, "-", "0", "-", "-", never
    needed, after = f"{scores.share:.0%}", f"{scores.seconds:.2f} s"
    return promised, f"{scores.error:.1%}", str(scores.committed), needed, after, never


def uncertified(evaluation: Evaluation) -> str:
    """A sentence on the rates that could not be certified; empty when all were."""
    rule = evaluation.stopping
    rates = [f"{p.error_rate:.0%}" for p in rule.promises if p.threshold is None] if rule is not None else []
    return f"Not certified, with so few clips, and never promised: {', '.join(rates)}." if rates else ""


def sections(evaluation: Evaluation) -> list[str]:
    """All tables of an evaluation, each with a sentence before it but the first."""
    found = [
        table(evaluation),
        "Probabilities of clean clips, before and after calibration, by observed share: expected calibration error and "
        "Brier score, 0 at best.\n",
        calibration_table(evaluation),
    ]
    rule = evaluation.stopping
    if rule is not None:
        found += [
            f"Decided early, with a promise: of its decisions at most so many are wrong. Certified on {rule.clips} "
            f"validation clips of {rule.groups} groups, at confidence {1 - rule.delta:.0%}, for every data set by "
            f"itself. {uncertified(evaluation)}".strip()
            + "\n",
        ]
        if kept := promises_table(evaluation):
            found.append(kept)
    return found


def write_report(evaluation: Evaluation, directory: Path | str) -> Path:
    """Write `evaluation.md`, `.json`, `accuracy.png` and for each set `confusion-SET.csv` and `.png`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    head = f"# {evaluation.model}\n\nAccuracy (%) by observed share of the clip; AUC is the mean of the ten.\n\n"
    write_text(directory / "evaluation.md", head + "\n".join(sections(evaluation)))
    _accuracy_plot(evaluation).savefig(directory / "accuracy.png", dpi=120)
    for name, report in evaluation.sets.items():
        with (directory / f"confusion-{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("true \\ answered", *evaluation.labels))
            rows.writerows((label, *row) for label, row in zip(evaluation.labels, report.confusion, strict=True))
        _confusion_plot(evaluation, name, report).savefig(directory / f"confusion-{name}.png", dpi=120)
    write_text(directory / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
    return directory


def _accuracy_plot(evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shares = [100 * ratio for ratio in evaluation.ratios]
    styles = ("-", "--", ":", "-.")
    for i, (name, report) in enumerate(evaluation.sets.items()):
        for style, (condition, found) in zip(styles, report.conditions.items(), strict=False):
            label = f"{name}, {condition} (AUC {100 * found.joint.auc:.1f})"
            axes.plot(shares, [100 * a for a in found.joint.accuracy], style, color=f"C{i}", label=label)
    axes.set(xlabel="observed share of the clip (%)", ylabel="accuracy (%)", title=evaluation.model, xticks=shares)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _confusion_plot(evaluation: Evaluation, name: str, report: SetReport) -> Figure:
    """Rows are the set's own labels, columns every label that was answered; shares of the row."""
    counts = np.array(report.confusion)
    rows = [evaluation.labels.index(label) for label in report.own_labels]
    columns = [i for i in range(len(evaluation.labels)) if i in rows or counts[:, i].any()]
    shown = counts[np.ix_(rows, columns)]
    shares = shown / np.maximum(shown.sum(1, keepdims=True), 1)
    side = 2.5 + 0.32 * max(len(rows), len(columns))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), [evaluation.labels[i] for i in columns], rotation=90)
    axes.set_yticks(range(len(rows)), [evaluation.labels[i] for i in rows])
    axes.set(xlabel="answered", ylabel="true", title=f"{name}: whole clip")
    for y, x in np.argwhere(shown > 0):
        axes.text(
            x, y, str(shown[y, x]), ha="center", va="center", fontsize=7, color="w" if shares[y, x] > 0.5 else "k"
        )
    figure.colorbar(picture, label="share of the true label")
    return figure
