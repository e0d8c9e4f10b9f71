"""How good a model is at saying what comes, against floors that are had for nothing: what is recognised now, the last
label, the commonest one. And how long before an action begins its event does.

Only recordings whose labels change say something: where one label lasts, what comes is what is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import DecisionRule
from inkling.training.evaluate.by_step import events, stretches
from inkling.training.evaluate.set_report import ForesightScores, LeadScores, OnsetScores
from inkling.training.labels import anything_but
from inkling.training.scores import Ints

Shares = NDArray[np.float64]

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""The head of a table, and its rows."""
LEADS_S = (0.0, 0.3, 0.5, 1.0)
"""Seconds ahead that are measured, beside those that the model is for."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A recording and what was answered to it.

    present: (T,) the label of each step at that moment. model: (T, K) calibrated probabilities of the model that says
    what comes. recogniser: (T, K) those of one that says what is; None: there is none.
    """

    present: Ints
    model: Shares
    recogniser: Shares | None = None


def foresight(
    recordings: Sequence[Foreseen],
    labels: Sequence[str],
    ahead: int,
    rate_hz: float,
    rule: DecisionRule,
    *,
    commonest: int,
    background: int | None,
) -> ForesightScores:
    """ahead: steps that the model looks ahead. commonest: the label that is guessed by who knows nothing."""
    leads = sorted({*(round(lead_s * rate_hz) for lead_s in LEADS_S), ahead})
    begin = sorted({int(r.present[start]) for r in recordings for start in _changes(r.present)} - {background})
    return ForesightScores(
        recordings=len(recordings),
        leads=tuple(_lead(recordings, lead, rate_hz, commonest) for lead in leads),
        onsets={labels[k]: _onsets(recordings, k, ahead, rate_hz, rule) for k in begin},
    )


def _changes(present: Ints) -> list[int]:
    """The steps at which a label begins, but for the first."""
    begins = (present[1:] != present[:-1]) & (present[1:] >= 0)
    return (np.flatnonzero(begins) + 1).tolist()


def last_labels(present: Ints) -> Ints:
    """(T,) the label of each step, or the last one before it; -1 where there was none yet."""
    steps = np.where(present >= 0, np.arange(len(present)), -1)
    last = np.maximum.accumulate(steps)
    return np.where(last >= 0, present[np.maximum(last, 0)], -1)


def _lead(recordings: Sequence[Foreseen], lead: int, rate_hz: float, commonest: int) -> LeadScores:
    right: dict[str, list[NDArray[np.bool_]]] = {"model": [], "recogniser": [], "last": [], "chance": []}
    changes = []
    for r in recordings:
        steps = max(0, len(r.present) - lead)
        truth, last = r.present[lead:], last_labels(r.present)[:steps]
        known = truth >= 0
        changes.append((truth != last)[known])
        answers = {"model": r.model[:steps].argmax(1), "last": last, "chance": np.full(steps, commonest)}
        if r.recogniser is not None:
            answers["recogniser"] = r.recogniser[:steps].argmax(1)
        for name, answer in answers.items():
            right[name].append((answer == truth)[known])
    changed = np.concatenate(changes)
    found = {name: np.concatenate(parts) for name, parts in right.items() if parts}
    return LeadScores(
        lead_s=round(lead / rate_hz, 3),
        steps=len(changed),
        changes=int(changed.sum()),
        right={name: _share(values) for name, values in found.items()},
        right_at_changes={name: _share(values[changed]) for name, values in found.items()},
    )


def _onsets(
    recordings: Sequence[Foreseen], label: int, ahead: int, rate_hz: float, rule: DecisionRule
) -> dict[str, OnsetScores]:
    """Of the model and, where there is one, of the recogniser."""
    found = {"model": _onset([(r.present, r.model[:, label]) for r in recordings], label, ahead, rate_hz, rule)}
    others = [(r.present, r.recogniser[:, label]) for r in recordings if r.recogniser is not None]
    if others:
        found["recogniser"] = _onset(others, label, ahead, rate_hz, rule)
    return found


def _onset(
    answers: Iterable[tuple[Ints, Shares]], label: int, ahead: int, rate_hz: float, rule: DecisionRule
) -> OnsetScores:
    onsets, early, false, quiet = 0, [], 0, 0
    for present, share in answers:
        begun = [begin for begin, _ in events(share, rule)]
        other = _quiet(present, label, ahead)
        quiet += int(other.sum())
        false += int(other[begun].sum())
        for start, stop in stretches(present == label):
            if start == 0:
                continue  # nobody saw it begin
            onsets += 1
            first = next((begin for begin in begun if start - ahead <= begin < stop), None)
            early += [] if first is None else [(start - first) / rate_hz]
    return OnsetScores(
        onsets=onsets,
        met=len(early),
        before=sum(seconds > 0 for seconds in early),
        early_s=round(float(np.median(early)), 3) if early else None,
        false=false,
        quiet_minutes=round(quiet / rate_hz / 60, 3),
    )


def _quiet(present: Ints, label: int, ahead: int) -> NDArray[np.bool_]:
    """(T,) whether from a step on to `ahead` later all is labelled as something else, or as anything but the label."""
    other = ((present >= 0) & (present != label)) | (present == anything_but(label))
    counted = np.concatenate([[0], np.cumsum(other)])
    steps = np.arange(len(present))
    ends = np.minimum(steps + ahead + 1, len(present))
    return np.asarray(counted[ends] - counted[steps] == ends - steps)


def leads_rows(by_set: Mapping[str, ForesightScores], lead_s: float | None) -> Rows:
    """Who is how often right, a row for each data set and lead. lead_s: what the model is for, marked in its row."""
    rows = []
    for name, scores in by_set.items():
        for lead in scores.leads:
            mark = " (its own)" if lead_s is not None and abs(lead.lead_s - lead_s) < 1e-3 else ""
            cells = (_percent(lead.right.get(who)) for who in WHO)
            at_changes = (_percent(lead.right_at_changes.get(who)) for who in WHO if who != "last")
            rows.append((name, f"{lead.lead_s:g} s{mark}", str(lead.steps), *cells, str(lead.changes), *at_changes))
    new = (f"{said}, new" for who, said in WHO.items() if who != "last")
    return ("data set", "ahead", "steps", *WHO.values(), "of these new", *new), rows


LEADS = (
    "What is labelled so long after a step, in recordings whose labels change: how often this model's answer to the "
    "step is right, beside what the recogniser takes the present for, the last label of the data (as if somebody told "
    "it), and the commonest label of the training clips. New: only the steps whose future is another label than the "
    "last."
)
"""Said before the table of leads."""
ONSETS = (
    "How long before an action begins its event does, by the recipe's decision rule (below 0: after it), and the "
    "events at times from which on to the lead all is labelled as something else."
)
"""Said before the table of onsets."""


def foretold(lead_s: float) -> str:
    """Said first of a model that says what comes."""
    return (
        f"Every answer is of {lead_s:g} s after its step, and is judged by what is labelled then. So an action's share "
        "counts from that long before it begins."
    )


WHO = {"model": "this model", "recogniser": "recogniser now", "last": "last label", "chance": "commonest"}
"""Columns of the table: who answers."""


def onsets_rows(by_set: Mapping[str, ForesightScores]) -> Rows:
    """What became of beginnings, a row for each label of each data set and who answers."""
    rows: list[tuple[str, ...]] = [
        (
            name,
            label,
            WHO[who],
            f"{found.met} of {found.onsets}",
            str(found.before),
            "-" if found.early_s is None else f"{found.early_s:+.2f} s",
            f"{found.false} in {found.quiet_minutes:.1f} min",
        )
        for name, scores in by_set.items()
        for label, by_who in scores.onsets.items()
        for who, found in by_who.items()
    ]
    head = ("data set", "label", "who", "onsets with an event", "before it begins", "early (median)")
    return (*head, "events at other times"), rows


def foresight_tables(by_set: Mapping[str, ForesightScores], lead_s: float | None) -> list[tuple[str, Rows]]:
    """What is measured of a model that says what comes: a sentence and a table each; none of another model."""
    found = [(LEADS, leads_rows(by_set, lead_s)), (ONSETS, onsets_rows(by_set))]
    return [(said, table) for said, table in found if table[1]]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _share(right: NDArray[np.bool_]) -> float | None:
    return round(float(right.mean()), 5) if right.size else None
