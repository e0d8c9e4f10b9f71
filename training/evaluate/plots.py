"""Pictures of an evaluation as PNG files: accuracy over observation, confusion matrices."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.set_report import SetReport


def accuracy_plot(evaluation: Evaluation) -> Figure:
    """A curve for each data set and condition."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shares = [100 * ratio for ratio in evaluation.ratios]
    styles = ("-", "--", ":", "-.")
    for i, (name, report) in enumerate(evaluation.sets.items()):
        for style, (condition, scores) in zip(styles, report.conditions.items(), strict=False):
            label = f"{name}, {condition} (AUC {100 * scores.joint.auc:.1f})"
            axes.plot(shares, [100 * a for a in scores.joint.accuracy], style, color=f"C{i}", label=label)
    axes.set(xlabel="observed share of the clip (%)", ylabel="accuracy (%)", title=evaluation.model, xticks=shares)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def confusion_plot(evaluation: Evaluation, name: str, report: SetReport) -> Figure:
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
