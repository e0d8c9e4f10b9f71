"""The tables of an evaluation's page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import PurePosixPath

import numpy as np

from inkling.models.bundle.schema import TimedTemperature
from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.set_report import AnswerSpan, ClipReport, PromiseScores, SetReport
from inkling.training.evaluate.svg import sparkline
from inkling.training.evaluate.unknown import HEAD, unknown_rows, unknown_text

PREPARED = re.compile(r"-[0-9a-f]{24}\.npy$")
"""What `prepare videos` adds to the name of a video."""


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = (0,)) -> str:
    """A table of cells, which are escaped here. text: the columns that hold words."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = (' class="text"' if i in text else "" for i in range(len(cells)))
        marked = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(marked)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table><thead>{row(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def labels_table(evaluation: Evaluation, report: SetReport) -> str:
    """A row for each of the data set's labels, the hardest first."""
    counts, rows = np.array(report.confusion), []
    for label in report.own_labels:
        i = evaluation.labels.index(label)
        clips, answered = int(counts[i].sum()), int(counts[:, i].sum())
        accuracies = report.by_label.get(label)
        wrong = counts[i].copy()
        wrong[i] = 0
        most = f"{evaluation.labels[int(wrong.argmax())]} ({wrong.max()})" if wrong.any() else "–"
        precision = percent(counts[i, i] / answered) if answered else "–"
        shown = [percent(accuracies[k]) if accuracies is not None else "–" for k in (1, 4, 9)]
        mean = float(np.mean(accuracies)) if accuracies is not None else 1.0
        rows.append((mean, (label, str(clips), *shown, precision, most)))
    head = ("action", "clips", "at 20 %", "at 50 %", "at its end", "precision", "most often taken for")
    return html_table(head, [cells for _, cells in sorted(rows, key=lambda row: row[0])], text=(0, 6))


def confusion_table(evaluation: Evaluation, report: SetReport) -> str:
    """Rows are the set's own labels, columns every label that was answered; shaded by the share of the row."""
    counts = np.array(report.confusion)
    rows = [evaluation.labels.index(label) for label in report.own_labels]
    columns = [i for i in range(len(evaluation.labels)) if i in rows or counts[:, i].any()]
    head = "".join(f"<th><span>{escape(evaluation.labels[i])}</span></th>" for i in columns)
    body = []
    for y in rows:
        total = max(1, int(counts[y].sum()))
        cells = []
        for x in columns:
            share = counts[y, x] / total
            colour = "37, 99, 235" if x == y else "220, 38, 38"
            ink = "#fff" if share > 0.55 else "inherit"
            style = f"background: rgba({colour}, {share:.2f}); color: {ink}" if counts[y, x] else "color: #c3ccd6"
            cells.append(f'<td style="{style}">{counts[y, x] or "·"}</td>')
        body.append(f"<tr><th>{escape(evaluation.labels[y])}</th>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table class="confusion"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def clips_table(clips: Sequence[ClipReport]) -> str:
    """A row for each clip: file, true label, and what was answered when."""
    body = []
    for clip in clips:
        span = f"{clip.start_s:.1f} to {clip.start_s + clip.seconds:.1f} s"
        answers = "<br>".join(_answer(answer, answer.label == clip.label) for answer in clip.answers)
        curve = sparkline(clip.truth, f"probability of {clip.label} by observed share")
        body.append(
            f'<tr><td>{escape(source_file(clip))}<br><span class="soft">{span}</span></td>'
            f'<td class="text">{escape(clip.label)}</td><td class="text">{answers}</td>'
            f"<td>{percent(clip.right)}</td><td>{curve}</td></tr>"
        )
    head = (
        '<th>clip</th><th class="text">true action</th><th class="text">answers (highest probability)</th>'
        "<th>right</th><th>probability of the true action</th>"
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _answer(answer: AnswerSpan, right: bool) -> str:
    label = f"<b>{escape(answer.label)}</b>" if right else escape(answer.label)
    return f'from {answer.from_s:.1f} s: {label} <span class="soft">({percent(answer.probability)})</span>'


def source_file(clip: ClipReport) -> str:
    """The file that a clip came from: of prepared videos their own, where the group tells it."""
    stem = PREPARED.sub("", clip.path)
    if stem != clip.path and PurePosixPath(clip.group.partition("/")[2]).stem == stem:
        return clip.group.partition("/")[2]
    return stem


def promises_section(evaluation: Evaluation) -> str:
    """What became of each promise on test clips; empty for a model without."""
    rule = evaluation.stopping
    if rule is None:
        return ""
    rows = [
        (name, condition, *_promise(scores))
        for name, report in evaluation.sets.items()
        for condition, promises in report.promises.items()
        for scores in promises
        if scores.threshold is not None
    ]
    refused = [f"{promise.error_rate:.0%}" for promise in rule.promises if promise.threshold is None]
    missing = f" Too few clips to certify: {', '.join(refused)}." if refused else ""
    below = " Below: what became of it on test clips." if rows else ""
    head = ("data set", "condition", "promised", "wrong", "decided", "of the action needed", "after", "never decided")
    table = html_table(head, rows, text=(0, 1)) if rows else ""
    return (
        "<section><h2>Deciding early</h2><p>A client may ask the model to decide as soon as it is sure enough, and be "
        f"promised how often such decisions are wrong. Certified on {rule.clips} validation clips of {rule.groups} "
        f"groups, at confidence {1 - rule.delta:.0%}.{missing}{below}</p>{table}"
        "</section>"
    )


def _promise(scores: PromiseScores) -> tuple[str, ...]:
    decided = scores.error is not None
    return (
        f"{scores.error_rate:.0%} wrong at most",
        f"{scores.error:.1%}" if scores.error is not None else "–",
        str(scores.committed),
        percent(scores.share) if decided else "–",
        f"{scores.seconds:.2f} s" if scores.seconds is not None else "–",
        percent(scores.never),
    )


def unknown_section(evaluation: Evaluation) -> str:
    """What comes out as none of the labels; empty for a model without such a score."""
    if evaluation.unknown is None:
        return ""
    rows = unknown_rows({name: report.unknown for name, report in evaluation.sets.items()})
    text = escape(unknown_text(evaluation.unknown).replace("`", ""))
    return f"<section><h2>What it does not know</h2><p>{text}</p>{html_table(HEAD, rows, text=(0, 1))}</section>"


def training_table(evaluation: Evaluation) -> str:
    """Where the model comes from; empty where that is not known."""
    training = evaluation.training
    if training is None:
        return ""
    calibration = evaluation.calibration
    temperature = (
        f"temperature {calibration.first:.2f} at first, {calibration.later:.2f} later"
        if isinstance(calibration, TimedTemperature)
        else f"temperature {calibration.temperature:.2f}"
    )
    folds = f", in {training.folds} folds" if training.folds else ""
    auc = f": AUC {100 * training.validation_auc:.1f}" if training.validation_auc is not None else ""
    rows = [
        ("data", " ".join(training.data) or "not described"),
        ("training clips", "–" if training.train_clips is None else str(training.train_clips)),
        ("validation clips", f"{training.validation_clips or '–'}{folds}{auc}"),
        ("teacher", "" if training.teacher_auc is None else f"validation AUC {100 * training.teacher_auc:.1f}"),
        ("calibration", temperature),
        ("recipe", f"{evaluation.recipe}, seed {training.seed}"),
        ("made", f"{training.created}{f', commit {training.git_commit}' if training.git_commit else ''}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in training.libraries.items())),
    ]
    return html_table(("", ""), [row for row in rows if row[1]], text=(0, 1))
