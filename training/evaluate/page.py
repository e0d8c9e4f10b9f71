"""An evaluation as one page of HTML, to be opened or sent: no scripts, no fonts, no files beside it."""

from __future__ import annotations

from html import escape

from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.few_clips import FEW_CLIPS, few_clips_warning, wilson_interval
from inkling.training.evaluate.foresight import foresight_tables, foretold
from inkling.training.evaluate.page_tables import (
    clips_table,
    confusion_table,
    html_table,
    labels_table,
    percent,
    promises_section,
    training_table,
    unknown_section,
)
from inkling.training.evaluate.set_report import SetReport
from inkling.training.evaluate.svg import Line, line_chart

STYLE = """
:root { --ink: #16202c; --soft: #5b6878; --line: #dde3ea; --back: #f6f8fa; --blue: #2563eb; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 28px; margin: 0; } h2 { font-size: 20px; margin: 0 0 4px; } h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 12px; } p.lead { color: var(--soft); margin: 2px 0 22px; } .soft { color: var(--soft); }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px; margin: 0 0 18px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 0 0 18px; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.card b { display: block; font-size: 27px; line-height: 1.2; } .card span { color: var(--soft); font-size: 13px; }
.warning { background: #fff8e6; border: 1px solid #f0d48a; border-radius: 10px; padding: 12px 16px; margin: 0 0 18px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child, .text { text-align: left; }
table.confusion td { text-align: center; min-width: 34px; border: 1px solid #fff; }
table.confusion th { text-align: right; border: 0; }
table.confusion thead th { vertical-align: bottom; padding: 4px 2px; }
table.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
svg { max-width: 100%; height: auto; } svg text { font-size: 12px; fill: #5b6878; } svg .grid { stroke: #e6ebf0; }
svg .spark { fill: #f2f5f8; } td svg { display: block; }
code { background: #eef2f6; border-radius: 4px; padding: 1px 5px; font-size: 13px; }
dt { font-weight: 600; } dd { margin: 0 0 8px; color: var(--soft); }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""


def page(evaluation: Evaluation) -> str:
    """The whole page."""
    sets = evaluation.sets
    parts = [
        f"<h1>{escape(evaluation.model)}</h1>",
        f'<p class="lead">How well and how early it recognises {len(evaluation.labels)} actions, '
        f"on {sum(report.clips for report in sets.values())} test clips that it was not trained on. "
        f"{evaluation.rate_hz:g} answers a second.</p>",
        *(f'<div class="warning">{escape(text)}</div>' for text in warnings_of(evaluation)),
        *(_cards(name, report, len(sets) > 1) for name, report in sets.items()),
        _early(evaluation),
        _foresight(evaluation),
        *(_actions(evaluation, name, report) for name, report in sets.items()),
        *(_worst(name, report) for name, report in sets.items() if report.worst),
        *(_probabilities(name, report) for name, report in sets.items()),
        promises_section(evaluation),
        unknown_section(evaluation),
        _training(evaluation),
        _words(),
    ]
    title = f"{evaluation.model}: evaluation"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def warnings_of(evaluation: Evaluation) -> list[str]:
    """What a reader must know before the figures: sets that are too small for them."""
    texts = []
    for name, report in evaluation.sets.items():
        if report.clips < FEW_CLIPS:
            whole = report.conditions["clean"].joint.accuracy[-1]
            low, high = wilson_interval(whole, report.clips)
            texts.append(
                f"{name} has only {report.clips} test clips: {100 * whole:.0f} % of them right means somewhere "
                f"between {100 * low:.0f} and {100 * high:.0f} % (95 % interval)."
            )
    training = evaluation.training
    if training is not None and training.validation_clips is not None and training.validation_auc is not None:
        texts.append(few_clips_warning(training.validation_auc, training.validation_clips, training.folds))
    return [text for text in texts if text]


def _cards(name: str, report: SetReport, named: bool) -> str:
    scores = report.conditions["clean"].joint
    low, high = wilson_interval(scores.accuracy[-1], report.clips)
    cards = (
        (f"{100 * scores.auc:.1f}", "AUC: accuracy, averaged over ten observed shares"),
        (percent(scores.accuracy[1]), "right after a fifth of the action"),
        (percent(scores.accuracy[4]), "right after half of the action"),
        (percent(scores.accuracy[-1]), f"right at its end (95 % interval {100 * low:.0f} to {100 * high:.0f})"),
        (str(report.clips), "test clips"),
    )
    head = f"<h3>{escape(name)}</h3>" if named else ""
    inner = "".join(f'<div class="card"><b>{value}</b><span>{escape(text)}</span></div>' for value, text in cards)
    return f'{head}<div class="cards">{inner}</div>'


def _early(evaluation: Evaluation) -> str:
    lines, rows = [], []
    for colour, (name, report) in enumerate(evaluation.sets.items()):
        for dash, (condition, scores) in enumerate(report.conditions.items()):
            points = list(zip(evaluation.ratios, scores.joint.accuracy, strict=True))
            lines.append(Line(f"{name}, {condition} (AUC {100 * scores.joint.auc:.1f})", points, colour, dash))
            rows.append((name, condition, *(f"{100 * a:.1f}" for a in (scores.joint.auc, *scores.joint.accuracy))))
    head = ("data set", "condition", "AUC", *(percent(ratio) for ratio in evaluation.ratios))
    return (
        "<section><h2>How early is it right?</h2><p>Accuracy after a share of the action was seen. The other curves "
        "are of the same clips, disturbed as real inputs are.</p>"
        + line_chart(lines, "observed share of the action", "accuracy", 900)
        + f"<h3>In figures</h3>{html_table(head, rows, text=(0, 1))}</section>"
    )


def _foresight(evaluation: Evaluation) -> str:
    if evaluation.lead_s is None:
        return ""
    tables = (
        f"<p>{escape(said)}</p>{html_table(head, rows, text=(0, 1))}"
        for said, (head, rows) in foresight_tables(evaluation.foresight, evaluation.lead_s)
    )
    lead = f"<h2>Does it know what comes?</h2><p>{escape(foretold(evaluation.lead_s))}</p>"
    return f"<section>{lead}{''.join(tables)}</section>"


def _actions(evaluation: Evaluation, name: str, report: SetReport) -> str:
    return (
        f"<section><h2>Which actions? ({escape(name)})</h2><p>Accuracy of each action's clips after a share was seen. "
        "Precision: of the clips that got this answer at their end, how many deserved it.</p>"
        f"{labels_table(evaluation, report)}"
        "<h3>Taken for each other, at the end of the clip</h3>"
        '<p class="soft">Rows are the true actions, columns the answers. The darker, the larger the share of the '
        f"row.</p>{confusion_table(evaluation, report)}</section>"
    )


def _worst(name: str, report: SetReport) -> str:
    return (
        f"<section><h2>The worst clips ({escape(name)})</h2><p>Those whose true action got the least probability. Look "
        "at them first: some are labelled wrongly or cut badly, others show what the model does not know.</p>"
        f"{clips_table(report.worst)}</section>"
    )


def _probabilities(name: str, report: SetReport) -> str:
    ideal = Line("as it should be", [(0, 0), (1, 1)], colour=2, dash=2, dots=False)
    curves = [
        Line(f"{when} calibration", [(b.confidence, b.accuracy) for b in bins], colour)
        for (when, bins), colour in zip(report.reliability.items(), (1, 0), strict=False)
    ]
    chart = line_chart([*curves, ideal], "probability of the answer", "answers that are right", 560, 360)
    rows = [
        (f"{what} {when}", *(f"{value:.3f}" for value in values))
        for when, scores in (("before", report.raw), ("after", report.calibrated))
        for what, values in (
            ("calibration error", (scores.error, *scores.error_at)),
            ("Brier score", (scores.brier, *scores.brier_at)),
        )
    ]
    head = ("", "all", *(f"{10 * i} %" for i in range(1, 11)))
    return (
        f"<section><h2>Do its probabilities mean what they say? ({escape(name)})</h2><p>Of the answers given with 80 "
        "%, four in five should be right. Below, by observed share; 0 is best.</p>"
        + (chart if curves else "")
        + html_table(head, rows)
        + "</section>"
    )


def _training(evaluation: Evaluation) -> str:
    table = training_table(evaluation)
    return f"<section><h2>Data and provenance</h2>{table}</section>" if table else ""


def _words() -> str:
    words = {
        "Observed share": "of an action's clip, how much the model had seen when it answered.",
        "AUC": "the mean accuracy over the ten observed shares from 10 to 100 %. Chance is 100 divided by the actions.",
        "Calibration error": "how far, on average, the probability of an answer is from how often such answers are "
        "right.",
        "Brier score": "mean squared distance between the probabilities and the truth, 0 to 2.",
        "Promise": "an error rate for decisions that are taken early, certified on clips of their own.",
    }
    inner = "".join(f"<dt>{word}</dt><dd>{text}</dd>" for word, text in words.items())
    return f"<section><h2>Words</h2><dl>{inner}</dl></section>"
