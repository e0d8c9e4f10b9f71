"""An evaluation as files: a page (`report.html`), tables (Markdown), JSON, plots and confusion matrices."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from inkling.training import markdown
from inkling.training.evaluate.by_step import steps_table
from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.foresight import foresight_tables, foretold
from inkling.training.evaluate.page import page, warnings_of
from inkling.training.evaluate.plots import accuracy_plot, confusion_plot
from inkling.training.evaluate.set_report import PromiseScores, SetReport
from inkling.training.evaluate.unknown import unknown_table, unknown_text
from inkling.training.files import write_text

REPORT_FILE = "report.html"

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
    by_set: list[tuple[str, Promises]] = [(name, report.promises) for name, report in evaluation.sets.items()]
    if len(by_set) > 1:
        by_set.insert(0, ("all", _together(list(evaluation.sets.values()))))
    rows = [
        (name, condition, *_promise(scores))
        for name, promises in by_set
        for condition, of_condition in promises.items()
        for scores in of_condition
        if scores.threshold is not None
    ]
    if not rows:
        return ""
    head = ("data set", "condition", "promised", "wrong", "decided", "of the action needed", "after", "never decided")
    return markdown.table(head, rows) + "\n"


def _together(reports: Sequence[SetReport]) -> Promises:
    """The promises over all data sets, each clip counting the same, of the conditions that all have."""
    together: dict[str, list[PromiseScores]] = {}
    clips = sum(report.clips for report in reports)
    for condition in reports[0].promises:
        if not all(condition in report.promises for report in reports):
            continue
        together[condition] = []
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
            together[condition].append(scores)
    return together


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


def _but(measured_only: Sequence[str]) -> str:
    """What a sentence on certified sets ends with."""
    return f" but {', '.join(measured_only)}, where they are measured only and may not hold" if measured_only else ""


def sections(evaluation: Evaluation) -> list[str]:
    """All tables of an evaluation, each with a sentence before it but the first; last what few clips are worth."""
    parts = [] if evaluation.lead_s is None else [f"{foretold(evaluation.lead_s)}\n"]
    parts += [
        table(evaluation),
        "Probabilities of clean clips, before and after calibration, by observed share: expected calibration error and "
        "Brier score, 0 at best.\n",
        calibration_table(evaluation),
    ]
    if by_step := steps_table(evaluation.steps):
        parts += [
            "Clips that are labelled by step. An event begins and ends by the recipe's decision rule: in how many "
            "spans of a label one begins, how long the span then still lasts (median), and how many begin at times "
            "that are labelled as something else.\n",
            by_step,
        ]
    for said, (head, rows) in foresight_tables(evaluation.foresight, evaluation.lead_s):
        parts += [f"{said}\n", markdown.table(head, rows) + "\n"]
    if evaluation.unknown is not None:
        by_kind = {name: report.unknown for name, report in evaluation.sets.items()}
        parts += [unknown_text(evaluation.unknown) + "\n", unknown_table(by_kind)]
    rule = evaluation.stopping
    if rule is not None:
        parts += [
            f"Decided early, with a promise: of its decisions at most so many are wrong. Certified on {rule.clips} "
            f"validation clips of {rule.groups} groups, at confidence {1 - rule.delta:.0%}, for every data set by "
            f"itself{_but(evaluation.measured_only)}. {uncertified(evaluation)}".strip()
            + "\n",
        ]
        if promises := promises_table(evaluation):
            parts.append(promises)
    return parts + [f"{text}\n" for text in warnings_of(evaluation)]


def write_report(evaluation: Evaluation, directory: Path | str) -> Path:
    """Write `report.html`, `evaluation.md`, `.json`, `accuracy.png`, for each set `confusion-SET.csv` and `.png`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    head = f"# {evaluation.model}\n\nAccuracy (%) by observed share of the clip; AUC is the mean of the ten.\n\n"
    write_text(directory / "evaluation.md", head + "\n".join(sections(evaluation)))
    accuracy_plot(evaluation).savefig(directory / "accuracy.png", dpi=120)
    for name, report in evaluation.sets.items():
        with (directory / f"confusion-{name}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("true \\ answered", *evaluation.labels))
            rows.writerows((label, *row) for label, row in zip(evaluation.labels, report.confusion, strict=True))
        confusion_plot(evaluation, name, report).savefig(directory / f"confusion-{name}.png", dpi=120)
    write_text(directory / REPORT_FILE, page(evaluation))
    write_text(directory / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
    return directory
