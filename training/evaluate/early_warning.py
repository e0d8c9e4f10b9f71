"""How early a label is warned of, and at what price in false alarms, over the folds of a cross-validation.

An alarm is raised at the `min_steps`-th step in a row at which the label's calibrated probability reaches a threshold.
Each fold's threshold is the lowest that gave the folds' other recordings, as answered by the models that had not been
trained on them, no more than one false alarm in ten minutes. So a fold's own recordings decide nothing about it but
this: the other folds' models had them among their training clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inkling.models.calibration import probabilities
from inkling.training.data import frame_dataset
from inkling.training.data.corpus import Example, load_corpus
from inkling.training.data.frame_dataset import Recording
from inkling.training.errors import ConfigError
from inkling.training.evaluate.figures import Figures
from inkling.training.markdown import table
from inkling.training.run import Run
from inkling.training.scores import RATIOS, Floats, Ints, accuracy, ratio_logits

ALLOWED_PER_S = 1 / 600
"""One false alarm in ten minutes."""
THRESHOLDS = np.arange(0.05, 0.9951, 0.005)


@dataclass(frozen=True, slots=True)
class WatchedRecording:
    """A recording and what a model that was not trained on it says, step by step.

    probability: (T,) of the label. quiet: (T,) whether the step is labelled as something else. start, stop: the steps
    of what is to be warned of, both 0 in a recording without.
    """

    name: str
    probability: NDArray[np.float64]
    quiet: NDArray[np.bool_]
    start: int = 0
    stop: int = 0


def alarms(probability: NDArray[np.float64], threshold: float, min_steps: int) -> list[int]:
    """The steps at which an alarm is raised."""
    raised, run = [], 0
    for i, high in enumerate((probability >= threshold).tolist()):
        run = run + 1 if high else 0
        if run == min_steps:
            raised.append(i)
    return raised


def false_alarms(watched: Sequence[WatchedRecording], threshold: float, min_steps: int) -> int:
    """Alarms raised at quiet steps."""
    return sum(int(w.quiet[i]) for w in watched for i in alarms(w.probability, threshold, min_steps))


def lowest_threshold(watched: Sequence[WatchedRecording], rate_hz: float, min_steps: int) -> float:
    """The lowest threshold from which on there is at most one false alarm in ten quiet minutes."""
    allowed = int(sum(int(w.quiet.sum()) for w in watched) / rate_hz * ALLOWED_PER_S)
    lowest = float(THRESHOLDS[-1])
    for threshold in THRESHOLDS[::-1]:
        if false_alarms(watched, float(threshold), min_steps) > allowed:
            break
        lowest = float(threshold)
    return round(lowest, 4)


def warning_figures(
    folds: Sequence[Sequence[WatchedRecording]],
    rate_hz: float,
    min_steps: int,
    only: str = "",
    *,
    before_events: bool = False,
    threshold: float | None = None,
) -> dict[str, Any]:
    """What warning comes to over all folds; events are those of recordings with `only` in their name.

    before_events: whether the thresholds must keep still in the time before events too, or in recordings without any.
    An alarm counts as a warning only when it is raised between the beginning of the event and its end. threshold: of
    all folds, in place of those that the other folds give. `macro_f1` is of whole recordings, those with an event and
    those without: a recording is right when it has an alarm, late or not, and an event, or neither.
    """
    given = threshold
    without, still = 0, 0
    thresholds, in_time, late, missed = [], [], 0, 0
    wrong, quiet = {"without": 0, "before": 0}, {"without": 0, "before": 0}
    for k, fold in enumerate(folds):
        others = [w for j, other in enumerate(folds) if j != k for w in other if before_events or not w.stop]
        threshold = lowest_threshold(others, rate_hz, min_steps) if given is None else given
        thresholds.append(threshold)
        for w in fold:
            where = "before" if w.stop else "without"
            wrong[where] += false_alarms([w], threshold, min_steps)
            quiet[where] += int(w.quiet.sum())
            if not w.stop:
                without += 1
                still += not alarms(w.probability, threshold, min_steps)
            if not w.stop or only not in w.name:
                continue
            after = [i for i in alarms(w.probability, threshold, min_steps) if i >= w.start]
            if after and after[0] < w.stop:
                in_time.append((w.stop - after[0]) / rate_hz)
            else:
                late, missed = late + bool(after), missed + (not after)
    events = len(in_time) + late + missed
    return {
        "events": events,
        "warned_in_time": len(in_time),
        "share_in_time": round(len(in_time) / max(1, events), 4),
        "late": late,
        "missed": missed,
        "warning_s_median": round(float(np.median(in_time)), 3) if in_time else None,
        "warning_s_mean": round(float(np.mean(in_time)), 3) if in_time else None,
        "false_alarms": wrong["without"],
        "quiet_minutes": round(quiet["without"] / rate_hz / 60, 2),
        "false_alarms_before_events": wrong["before"],
        "quiet_minutes_before_events": round(quiet["before"] / rate_hz / 60, 2),
        "macro_f1": round((_f1(events - missed, missed, without - still) + _f1(still, without - still, missed)) / 2, 4),
        "thresholds": thresholds,
        "min_steps": min_steps,
    }


def _f1(right: int, missed: int, wrong: int) -> float:
    """The harmonic mean of precision and recall."""
    return 2 * right / max(1, 2 * right + missed + wrong)


def measure_folds(runs: Sequence[Run], folds: Path, of: str, only: str = "") -> Figures:
    """Measure run k on fold k's test recordings, `folds/k` being where its data set paths start.

    of: the segments to be warned of before they end, by their label in `clips.csv`. only: count those of recordings
    with this in their name. Raises TrainingError.
    """
    if len(runs) < 2:
        raise ConfigError("a threshold is set on the other folds: there must be at least two")
    recipe = runs[0].recipe
    if not recipe.on_frames or len(recipe.datasets) != 1:
        raise ConfigError(f"recipe {recipe.name}: warnings are measured on one data set of recordings of frames")
    source = recipe.datasets[0]
    label = source.rename.get(of, of)
    watched: list[list[WatchedRecording]] = []
    logits: list[Floats] = []
    targets: list[Ints] = []
    labels: tuple[str, ...] = ()
    for k, run in enumerate(runs, 1):
        result = run.chosen()
        labels = result.labels
        if label not in labels:
            raise ConfigError(f"{run.directory} does not know {label!r}")
        student = run.student(result)
        corpus = load_corpus(run.recipe, folds / str(k))
        test: list[Example] = corpus.tests().get(source.name, [])
        if not test:
            raise ConfigError(f"fold {k} has no test recordings")
        fold_logits, fold_targets = ratio_logits(student, test)
        logits.append(fold_logits)
        targets.append(fold_targets)
        fold = []
        for recording in frame_dataset.read(folds / str(k) / source.path).recordings:
            if recording.split == "test":
                with torch.no_grad():
                    answer = student(torch.from_numpy(recording.steps)[None])[0].numpy()
                elapsed_s = np.arange(len(answer)) / recipe.rate_hz
                probability = probabilities(answer, result.calibration, elapsed_s)[:, labels.index(label)]
                fold.append(_watched(recording, probability, of, label, source.rename))
        watched.append(fold)
    min_steps = recipe.bundle.decision.min_steps
    all_logits, all_targets = np.concatenate(logits), np.concatenate(targets)
    right = accuracy(all_logits, all_targets)
    by_label = {
        name: accuracy(all_logits[all_targets == i], all_targets[all_targets == i]) for i, name in enumerate(labels)
    }
    figures = {
        "folds": len(runs),
        "clips": len(all_targets),
        "clean": {"joint": {"auc": round(float(right.mean()), 4), "accuracy": [round(float(a), 4) for a in right]}},
        "accuracy_by_label": {name: [round(float(a), 4) for a in of_label] for name, of_label in by_label.items()},
        "warning": {"label": label, "before_the_end_of": of, "only": only}
        | warning_figures(watched, recipe.rate_hz, min_steps, only),
        "strict_warning": warning_figures(watched, recipe.rate_hz, min_steps, only, before_events=True),
    }
    return Figures(figures={f"{source.name}, {len(runs)} folds": figures}, text=_text(figures, recipe.rate_hz))


def _watched(
    recording: Recording, probability: NDArray[np.float64], of: str, label: str, rename: dict[str, str]
) -> WatchedRecording:
    quiet = np.zeros(len(probability), bool)
    start = stop = 0
    for segment in recording.segments:
        if segment.label == of:
            start, stop = segment.start, segment.stop
        named = rename.get(segment.label or "", segment.label or "")
        quiet[segment.start : segment.stop] = bool(named) and named != label
    return WatchedRecording(recording.path, probability, quiet, start, stop)


def _text(figures: dict[str, Any], rate_hz: float) -> str:
    warned = figures["warning"]
    overall = figures["clean"]["joint"]
    rows = {"all": overall["accuracy"], **figures["accuracy_by_label"]}
    lines = [
        f"Cross-validation in {figures['folds']} folds, each recording answered by a model not trained on its "
        f"event; accuracy (%) by observed share of the segment, {figures['clips']} segments, AUC "
        f"{100 * overall['auc']:.1f}:",
        "",
        table(
            ("segments", "AUC", *(f"{ratio:.0%}" for ratio in RATIOS)),
            [
                (name, *(f"{100 * share:.1f}" for share in (float(np.mean(accuracies)), *accuracies)))
                for name, accuracies in rows.items()
            ],
        ),
    ]
    where = f" in recordings named {warned['only']}" if warned["only"] else ""
    lines += [
        "",
        f"Warning of `{warned['label']}` before the end of `{warned['before_the_end_of']}`{where}. An alarm is "
        f"{warned['min_steps']} steps in a row ({warned['min_steps'] / rate_hz:.1f} s) at or above a threshold, set "
        "for each fold on the others' recordings to at most one false alarm in ten minutes, once of recordings without "
        "an event alone, once of the time before events too. An alarm that was on already when the event began is no "
        "warning.",
        "",
        table(
            (
                "threshold set on",
                *("warned in time", "median s before the end", "later", "not at all"),
                *("false alarms without event", "false alarms before events", "thresholds"),
            ),
            [
                _warning_row("recordings without event", warned),
                _warning_row("all quiet time", figures["strict_warning"]),
            ],
        ),
    ]
    return "\n".join(lines)


def _warning_row(name: str, counts: dict[str, Any]) -> tuple[str, ...]:
    """A row: what came of thresholds that were set on the time called `name`."""
    return (
        name,
        f"{counts['warned_in_time']} of {counts['events']}",
        "-" if counts["warning_s_median"] is None else f"{counts['warning_s_median']:.2f}",
        str(counts["late"]),
        str(counts["missed"]),
        f"{counts['false_alarms']} in {counts['quiet_minutes']:.1f} min",
        f"{counts['false_alarms_before_events']} in {counts['quiet_minutes_before_events']:.1f} min",
        ", ".join(f"{t:g}" for t in counts["thresholds"]),
    )
