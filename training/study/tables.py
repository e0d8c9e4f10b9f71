"""A study's outcomes as files: a table (Markdown, CSV), everything (JSON), accuracy over observation as a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict

from inkling.training.files import write_text
from inkling.training.markdown import table
from inkling.training.scores import RATIOS
from inkling.training.study.runner import CellOutcome
from inkling.training.study.statistics import Estimate, estimate, paired
from inkling.training.study.study import Study

SHOWN = (0.1, 0.2, 0.5, 1.0)
"""Observation ratios that the Markdown table has."""
HOW = """Means over seeds and their standard deviation; a seed draws the labelled clips, the validation clips and the
initial weights, of all methods alike. Of several splits a seed's value is their mean. "Gain" is AUC less that of
`{baseline}`, seed by seed, with the 95 % interval of its mean (Student's t over the n seeds). The interval says how
sure the gain is on these test clips, for other labelled clips and weights; it says nothing about other test clips."""


class MethodRow(BaseModel):
    """One method on one set at one share of labels. split: None for the mean of all splits. Shares in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str
    split: str | None
    labelled: float
    method: str
    auc: Estimate
    accuracy: tuple[Estimate, ...]
    gain: Estimate | None
    """AUC less the baseline's."""
    accuracy_gain: tuple[Estimate, ...] | None
    teacher_accuracy: float | None


class Tables(BaseModel):
    """What `results.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str
    command: str
    done: int
    planned: int
    ratios: tuple[float, ...] = RATIOS
    rows: tuple[MethodRow, ...]
    runs: tuple[CellOutcome, ...]


def tabulate(study: Study, outcomes: Sequence[CellOutcome], command: str = "") -> Tables:
    """Rows of all methods that have a finished seed, set by set, share by share."""
    rows = tuple(_rows(study, outcomes))
    return Tables(
        study=study.name,
        command=command,
        done=len(outcomes),
        planned=len(list(study.cells())),
        rows=rows,
        runs=tuple(outcomes),
    )


def _rows(study: Study, outcomes: Sequence[CellOutcome]) -> Iterator[MethodRow]:
    for name, wanted in study.sets.items():
        splits = [split.name for split in wanted.splits]
        for split in [None, *(splits if len(splits) > 1 else [])]:
            together = splits if split is None else [split]
            for share in study.labelled:
                seeds = {method: _by_seed(outcomes, name, share, method, together) for method in study.methods}
                for method in [method for method in study.methods if seeds[method]]:
                    yield _row(name, split, share, method, seeds[method], seeds[study.baseline], study.baseline)


def _by_seed(
    outcomes: Sequence[CellOutcome], name: str, share: float, method: str, splits: Sequence[str]
) -> dict[int, list[CellOutcome]]:
    """The outcomes of a method on a set at a share of labels, of each seed that has all of these splits."""
    seeds: dict[int, list[CellOutcome]] = {}
    for outcome in outcomes:
        if (outcome.set, outcome.labelled, outcome.method) == (name, share, method) and outcome.split in splits:
            seeds.setdefault(outcome.seed, []).append(outcome)
    return {seed: them for seed, them in seeds.items() if len(them) == len(splits)}


def _row(
    name: str,
    split: str | None,
    share: float,
    method: str,
    seeds: Mapping[int, Sequence[CellOutcome]],
    baseline: Mapping[int, Sequence[CellOutcome]],
    baseline_name: str,
) -> MethodRow:
    """A value of a seed is the mean over its splits."""

    def value(them: Sequence[CellOutcome], which: int | None) -> float:
        return float(np.mean([o.auc if which is None else o.accuracy[which] for o in them]))

    def values(which: int | None, of: Mapping[int, Sequence[CellOutcome]]) -> dict[int, float]:
        return {seed: value(them, which) for seed, them in of.items()}

    def gain(which: int | None) -> Estimate | None:
        return None if method == baseline_name else paired(values(which, seeds), values(which, baseline))

    taught = [o.teacher_accuracy for them in seeds.values() for o in them if o.teacher_accuracy is not None]
    gains = [gain(i) for i in range(len(RATIOS))]
    return MethodRow(
        set=name,
        split=split,
        labelled=share,
        method=method,
        auc=estimate(list(values(None, seeds).values())),
        accuracy=tuple(estimate(list(values(i, seeds).values())) for i in range(len(RATIOS))),
        gain=gain(None),
        accuracy_gain=tuple(g for g in gains if g is not None) or None,
        teacher_accuracy=float(np.mean(taught)) if taught else None,
    )


def markdown(tables: Tables, study: Study) -> str:
    """The table, in percent, with what its figures are."""
    shares = [f"{ratio:.0%}" for ratio in SHOWN]
    lines = [f"# {tables.study}", ""]
    lines += [study.about.strip(), ""] if study.about else []
    if tables.done < tables.planned:
        lines += [f"Unfinished: {tables.done} of {tables.planned} fits.", ""]
    if tables.command:
        lines += [f"    {tables.command}", ""]
    lines += [HOW.format(baseline=study.baseline), ""]
    rows = []
    for row in tables.rows:
        where = row.set if row.split is None else f"- {row.split}"
        cells = [where, f"{row.labelled:.0%}", row.method, str(row.auc.n), _spread(row.auc)]
        cells += [_spread(row.accuracy[RATIOS.index(ratio)]) for ratio in SHOWN]
        cells += [_interval(row.gain), "" if row.teacher_accuracy is None else f"{100 * row.teacher_accuracy:.1f}"]
        rows.append(cells)
    lines.append(table(("set", "labels", "method", "n", "AUC", *shares, "gain in AUC (95 %)", "teacher"), rows))
    lines += ["", "Teacher: accuracy of the teacher's answer to whole test clips."]
    return "\n".join(lines) + "\n"


def _spread(value: Estimate) -> str:
    return f"{100 * value.mean:.1f}" + ("" if value.sd is None else f" ± {100 * value.sd:.1f}")


def _interval(gain: Estimate | None) -> str:
    if gain is None:
        return ""
    if gain.low is None or gain.high is None:
        return f"{100 * gain.mean:+.1f}"
    return f"{100 * gain.mean:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def spreadsheet(tables: Tables) -> str:
    """The rows as CSV: every ratio, with means, deviations and intervals of gains, as shares in [0, 1]."""
    measures = ["auc", *(f"accuracy_{ratio:.0%}".rstrip("%") for ratio in RATIOS)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    kinds = ("mean", "sd", "gain", "gain_low", "gain_high")
    head = [f"{measure}_{kind}" for measure in measures for kind in kinds]
    writer.writerow(("set", "split", "labelled", "method", "n", *head))
    for row in tables.rows:
        cells: list[object] = [row.set, row.split or "all", row.labelled, row.method, row.auc.n]
        gains = [row.gain, *(row.accuracy_gain or (None,) * len(RATIOS))]
        for value, gain in zip((row.auc, *row.accuracy), gains, strict=True):
            numbers = (value.mean, value.sd, *((gain.mean, gain.low, gain.high) if gain else (None,) * 3))
            cells += ["" if number is None else f"{number:.5f}" for number in numbers]
        writer.writerow(cells)
    return text.getvalue()


def figure(tables: Tables, study: Study) -> Figure:
    """Accuracy over observation, a panel for each set and share of labels; bands are one standard deviation.

    A set of several splits has one panel, or while no seed has been through all of them one for each split.
    """
    whole = {(row.set, row.labelled) for row in tables.rows if row.split is None}
    rows = [row for row in tables.rows if row.split is None or (row.set, row.labelled) not in whole]
    panels = list(dict.fromkeys((row.split or row.set, row.labelled) for row in rows))
    across = max(1, min(len(panels), len({share for _, share in panels}) if len(panels) > 2 else 2))
    down = max(1, -(-len(panels) // across))
    drawn = Figure(figsize=(4.6 * across, 3.6 * down), layout="constrained")
    colours = {method: f"C{i}" for i, method in enumerate(study.methods)}
    shares = [100 * ratio for ratio in RATIOS]
    for place, (name, labelled) in enumerate(panels, 1):
        axes = drawn.add_subplot(down, across, place)
        for row in (row for row in rows if (row.split or row.set, row.labelled) == (name, labelled)):
            mean = np.array([100 * value.mean for value in row.accuracy])
            spread = np.array([100 * (value.sd or 0.0) for value in row.accuracy])
            label = f"{row.method} (AUC {100 * row.auc.mean:.1f})"
            axes.plot(shares, mean, color=colours[row.method], label=label)
            axes.fill_between(shares, mean - spread, mean + spread, color=colours[row.method], alpha=0.15, linewidth=0)
        axes.set(
            xlabel="observed share of the clip (%)",
            ylabel="accuracy (%)",
            title=f"{name}, {labelled:.0%} labelled",
            xticks=shares,
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return drawn


def write_tables(study: Study, outcomes: Sequence[CellOutcome], out: Path | str, command: str = "") -> Path:
    """Write `results.md`, `.csv`, `.json` and `accuracy.png` into a directory."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tables = tabulate(study, outcomes, command)
    write_text(out / "results.md", markdown(tables, study))
    write_text(out / "results.csv", spreadsheet(tables))
    write_text(out / "results.json", tables.model_dump_json(indent=1) + "\n")
    figure(tables, study).savefig(out / "accuracy.png", dpi=90)
    return out
