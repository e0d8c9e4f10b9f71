"""An evaluation as files: table (Markdown), JSON, plot of accuracy over observation, confusion matrices."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from training.evaluate import Evaluation, SetReport
from training.run import write_text


def table(evaluation: Evaluation) -> str:
    """Accuracy in percent, one line per data set, condition and set of possible answers."""
    shares = [f"{ratio:.0%}" for ratio in evaluation.ratios]
    lines = [
        "| data set | clips | condition | answers | AUC | " + " | ".join(shares) + " |",
        "|---|---|---|---|---|" + "---|" * len(shares),
    ]
    for name, report in evaluation.sets.items():
        for condition, found in report.conditions.items():
            for answers, scores in ((f"all {len(evaluation.labels)}", found.joint), ("its own", found.own)):
                cells = [f"{100 * share:.1f}" for share in (scores.auc, *scores.accuracy)]
                lines.append(f"| {name} | {report.clips} | {condition} | {answers} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_report(evaluation: Evaluation, directory: Path | str) -> Path:
    """Write `evaluation.md`, `.json`, `accuracy.png` and for each set `confusion-SET.csv` and `.png`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    head = f"# {evaluation.model}\n\nAccuracy (%) by observed share of the clip; AUC is the mean of the ten.\n\n"
    write_text(directory / "evaluation.md", head + table(evaluation))
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
