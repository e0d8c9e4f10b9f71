"""How well a score tells what is none of the labels from what is one, and what it does to events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from inkling.models.bundle.schema import Calibration, DecisionRule, Unknown
from inkling.models.calibration import probabilities
from inkling.models.unknown import UnknownScore
from inkling.training import markdown
from inkling.training.calibrate.stopping_rule import Watched, commit
from inkling.training.calibrate.unknown import held_back_at
from inkling.training.data.corpus import Example
from inkling.training.evaluate.set_report import UnknownClips
from inkling.training.scores import Floats

KNOWN, OTHERS, LEFT_OUT = "known", "of other labels", "left out"
"""Clips by what they are: of a label that names an action, of one that means 'none of the others', of none at all."""
SHOWN = {KNOWN: "known actions", OTHERS: "actions of a label for others", LEFT_OUT: "actions left out of training"}


class UnknownMeasure:
    """What it takes to measure the score of one model."""

    def __init__(
        self,
        unknown: Unknown,
        labels: Sequence[str],
        calibration: Calibration,
        rate_hz: float,
        rule: DecisionRule,
        background: int | None,
    ) -> None:
        self.score = UnknownScore(unknown, labels, rate_hz)
        self._unknown = unknown
        self._labels = labels
        self._calibration = calibration
        self._rate_hz = rate_hz
        self._rule = rule
        self._background = background

    def of(
        self, examples: Sequence[Example], steps: Sequence[Floats], left_out: Sequence[Floats]
    ) -> dict[str, UnknownClips]:
        """Of one data set: of its test clips and the logits (T, K) of their steps, and those of its clips left out."""
        named = {self._labels.index(label) for label in self._unknown.labels}
        is_other = [example.target in named for example in examples]
        clips = [(logits, example.lead) for logits, example in zip(steps, examples, strict=True)]
        parts = {
            KNOWN: [clip for clip, other in zip(clips, is_other, strict=True) if not other],
            OTHERS: [clip for clip, other in zip(clips, is_other, strict=True) if other],
            LEFT_OUT: [(logits, 0) for logits in left_out],
        }
        ends: dict[str, Floats] = {}
        found: dict[str, UnknownClips] = {}
        for kind, part in parts.items():
            if not part:
                continue
            runs = [self._run(logits, lead) for logits, lead in part]
            ends[kind] = np.array([end for end, _, _ in runs])
            apart = area(ends[KNOWN], ends[kind]) if kind != KNOWN and KNOWN in ends else None
            found[kind] = UnknownClips(
                clips=len(part),
                above=_share([end > self._unknown.threshold for end in ends[kind].tolist()]),
                events=_share([with_score for _, _, with_score in runs]),
                events_without=_share([without for _, without, _ in runs]),
                auroc=None if apart is None else round(apart, 4),
            )
        return found

    def _run(self, logits: Floats, lead: int) -> tuple[float, bool, bool]:
        """A clip's score at its end, and whether an event begins in it without the score and with it."""
        shares = probabilities(logits, self._calibration, np.arange(len(logits)) / self._rate_hz)
        scores = self.score.over(shares)
        held_back = held_back_at(self.score, scores, shares)
        without, with_score = Watched(shares[lead:], -1), Watched(shares[lead:], -1, held_back=held_back[lead:])
        return float(scores[-1]), self._begins(without), self._begins(with_score)

    def _begins(self, clip: Watched) -> bool:
        return commit(clip, self._rule.on, self._rule.min_steps, self._background).step is not None


def area(known: Floats, unknown: Floats) -> float:
    """The chance that an unknown clip's score is above a known one's, ties counting half: the area under the ROC."""
    ranks = rankdata(np.concatenate([known, unknown]))[len(known) :]
    return float((ranks.sum() - len(unknown) * (len(unknown) + 1) / 2) / (len(known) * len(unknown)))


def unknown_rows(by_set: Mapping[str, Mapping[str, UnknownClips]]) -> list[tuple[str, ...]]:
    """A row for each kind of clip of each data set."""
    return [
        (
            name,
            SHOWN[kind],
            str(scores.clips),
            "-" if scores.auroc is None else f"{scores.auroc:.3f}",
            f"{scores.above:.0%}",
            f"{scores.events_without:.0%}",
            f"{scores.events:.0%}",
        )
        for name, found in by_set.items()
        for kind, scores in found.items()
    ]


HEAD = ("data set", "clips of", "clips", "AUROC", "unknown at their end", "an event begins", "with the score")


def unknown_text(unknown: Unknown) -> str:
    """What the score does, and how its threshold was set."""
    urgent = f" Never held back: {', '.join(f'`{label}`' for label in unknown.urgent)}." if unknown.urgent else ""
    return (
        "The score of the unknown is 1 - the largest probability of a known action, averaged over about "
        f"{unknown.average_s:g} s. Above {unknown.threshold:g} no event begins and nothing is decided.{urgent} The "
        f"threshold costs {unknown.lost:.1%} of the {unknown.events} validation clips on which an event of their own "
        "action begins. AUROC: the chance that an unknown clip ends with a higher score than a known one of the same "
        "data set. Nothing is promised of unknown actions: those that will be met were in no clip."
    )


def unknown_table(by_set: Mapping[str, Mapping[str, UnknownClips]]) -> str:
    """The rows as Markdown."""
    return markdown.table(HEAD, unknown_rows(by_set)) + "\n"


def _share(which: Sequence[bool]) -> float:
    return round(sum(which) / len(which), 5)
