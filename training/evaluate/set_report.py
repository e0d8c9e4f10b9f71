"""What was measured on one data set's test clips."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict

from inkling.training.scores import Floats, auc


class ReportPart(BaseModel):
    """Base of every part of an evaluation: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scores(ReportPart):
    """Accuracy at each of the ten observation ratios, and its mean; shares in [0, 1]."""

    accuracy: tuple[float, ...]
    auc: float

    @classmethod
    def of(cls, accuracies: Floats) -> Self:
        return cls(accuracy=tuple(round(float(a), 5) for a in accuracies), auc=round(auc(accuracies), 5))


class Condition(ReportPart):
    """Scores where every label of the model may be answered, and where only those of the data set may."""

    joint: Scores
    own: Scores


class CalibrationScores(ReportPart):
    """Expected calibration error, mean negative log-likelihood (nats) and Brier score, over clips and ratios.

    The error and the Brier score also at each of the ten ratios.
    """

    error: float
    surprise: float
    brier: float
    error_at: tuple[float, ...]
    brier_at: tuple[float, ...]


class ReliabilityBin(ReportPart):
    """Answers of about the same confidence. confidence, accuracy: their means; count: how many they are."""

    confidence: float
    accuracy: float
    count: int


class PromiseScores(ReportPart):
    """What became of a promise on test clips: of `committed` ones `wrong` were; None: nothing was promised.

    share: of the action that was needed, and seconds until then, on average over the committed ones. never: share of
    the clips that were never committed on.
    """

    error_rate: float
    threshold: float | None
    committed: int = 0
    wrong: int = 0
    error: float | None = None
    share: float | None = None
    seconds: float | None = None
    never: float | None = None


class UnknownClips(ReportPart):
    """What became of clips of one kind. above: share that counts as unknown at its end. events: share in which an event
    begins, and events_without: would begin without the score. auroc: against the data set's clips of known actions.
    """

    clips: int
    above: float
    events: float
    events_without: float
    auroc: float | None = None


class AnswerSpan(ReportPart):
    """A label that was answered for a while. from_s: seconds since the clip began. probability: the highest of it."""

    from_s: float
    label: str
    probability: float


class ClipReport(ReportPart):
    """What a model answered to one clip.

    path, group: as in `clips.csv`. start_s: where the clip begins in its recording. seconds: how long it is. right:
    share of the ten observation ratios at which the answer is right. truth: calibrated probability of the true label at
    these. answers: in order of time, the longest ones where there are many.
    """

    path: str
    group: str
    label: str
    start_s: float
    seconds: float
    right: float
    truth: tuple[float, ...]
    answers: tuple[AnswerSpan, ...]


class LabelSteps(ReportPart):
    """What became of a label in clips that are labelled by step.

    accuracy: share of its steps that were answered with it; None without any. met: of its `spans`, those in which an
    event of it began; left_s: median seconds from there to the span's end. false: events of it that began in the
    `quiet_minutes` that are labelled as something else, or as anything but it.
    """

    accuracy: float | None
    spans: int
    met: int
    left_s: float | None
    false: int
    quiet_minutes: float


class StepScores(ReportPart):
    """One data set's test clips by step. accuracy: share of the labelled `steps` that were answered rightly."""

    clips: int
    steps: int
    accuracy: float | None
    labels: dict[str, LabelSteps]


class LeadScores(ReportPart):
    """Answers to what is labelled `lead_s` later, at the `steps` where that is known.

    right: shares of them by who answers: `model`, `recogniser` (what it takes the present for), `last` (the last label
    that is known by then, as it is in the data), `chance` (the commonest label). right_at_changes: the same at the
    `changes`, the steps whose future is another label than the last.
    """

    lead_s: float
    steps: int
    changes: int
    right: dict[str, float | None]
    right_at_changes: dict[str, float | None]


class OnsetScores(ReportPart):
    """What became of a label's beginnings. met: of its `onsets`, those with an event, from the time ahead on that the
    model looks, until the action is over; before: of these, the ones that began before the action did.

    early_s: median seconds between the two, below 0: too late. false: events that began in the `quiet_minutes`, from
    which on to the time ahead all is labelled as something else.
    """

    onsets: int
    met: int
    before: int
    early_s: float | None
    false: int
    quiet_minutes: float


class ForesightScores(ReportPart):
    """One data set's recordings whose labels change. onsets: of each label, by who answers."""

    recordings: int
    leads: tuple[LeadScores, ...]
    onsets: dict[str, dict[str, OnsetScores]]


class SetReport(ReportPart):
    """One data set's test clips. What has a default is missing in files of earlier releases."""

    clips: int
    own_labels: tuple[str, ...]
    conditions: dict[str, Condition]
    raw: CalibrationScores
    calibrated: CalibrationScores
    promises: dict[str, tuple[PromiseScores, ...]] = {}
    """By condition; of a model that has a stopping rule."""
    unknown: dict[str, UnknownClips] = {}
    """By kind of clip (`evaluate.unknown`); of a model that says what it does not know."""
    confusion: tuple[tuple[int, ...], ...]
    """At the whole clip, clean: rows true labels, columns answers, in the order of the model's labels."""
    by_label: dict[str, tuple[float, ...]] = {}
    """Accuracy of each label's clips, clean, at each of the ten observation ratios."""
    reliability: dict[str, tuple[ReliabilityBin, ...]] = {}
    """Of clean clips at all ratios, `before` and `after` calibration."""
    worst: tuple[ClipReport, ...] = ()
    """The clips whose true label was given the least probability, worst first."""
