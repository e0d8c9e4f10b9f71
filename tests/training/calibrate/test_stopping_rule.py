from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.early_decision import EarlyDecisionRule
from inkling.training.calibrate.stopping_rule import (
    THRESHOLDS,
    Watched,
    certify,
    chance,
    commit,
    fit_rule,
    measured,
    p_value,
)

LABELS = 3


def clip(rows: list[list[float]], target: int, group: str = "") -> Watched:
    return Watched(np.array(rows), target, group)


def drawn(count: int, rng: np.random.Generator, hardness: float = 1.0) -> list[Watched]:
    """Clips of a made-up world: evidence for the true label grows with time, of some clips for a wrong one."""
    found = []
    for _ in range(count):
        target, steps = int(rng.integers(LABELS)), int(rng.integers(6, 14))
        leads = target if rng.random() > 0.03 * hardness else int(rng.integers(LABELS))
        drift = np.zeros(LABELS)
        drift[leads] = rng.uniform(0.2, 1.0)
        logits = np.cumsum(drift + rng.normal(0, 0.6, (steps, LABELS)), 0)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        found.append(Watched(powers / powers.sum(1, keepdims=True), target))
    return found


def test_a_clip_is_committed_at_the_step_that_completes_the_run() -> None:
    sure, unsure = [0.05, 0.9, 0.05], [0.3, 0.4, 0.3]
    found = commit(clip([unsure, sure, sure, unsure], target=1), 0.8, 2, None)
    assert (found.step, found.right, found.share) == (2, True, 0.75)
    never = commit(clip([unsure, sure, unsure, sure], target=1), 0.8, 2, None)
    assert (never.step, never.right, never.share) == (None, False, 1.0)


def test_clips_of_the_background_are_never_committed_to_and_any_action_there_is_wrong() -> None:
    clips = [clip([[0.9, 0.1, 0.0]], target=0), clip([[0.1, 0.9, 0.0]], target=0)]
    kept = measured(clips, 0.8, 1, background=0, rate_hz=10)
    assert (kept.committed, kept.wrong, kept.never) == (1, 1, 0.5)


def test_what_was_needed_is_told_of_those_committed_on() -> None:
    clips = [clip([[0.9, 0.1]] * 4, 0), clip([[0.5, 0.5], [0.9, 0.1]], 0), clip([[0.5, 0.5]], 0)]
    kept = measured(clips, 0.8, 1, None, rate_hz=10)
    assert (kept.clips, kept.committed, kept.wrong) == (3, 2, 0)
    assert kept.share == pytest.approx((0.25 + 1.0) / 2)
    assert kept.seconds == pytest.approx(0.05)
    assert measured(clips, 0.99, 1, None, 10).share == 0


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=20), st.floats(0.3, 1))
def test_the_fit_and_the_service_use_one_rule(rows: list[list[float]], threshold: float) -> None:
    shares = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    rule = EarlyDecisionRule(threshold, 2, 0)
    steps = [i for i, row in enumerate(shares) if rule.push(int(row.argmax()), float(row.max()))]
    assert commit(Watched(shares, 1), threshold, 2, 0).step == (steps[0] if steps else None)


def test_forty_five_right_commitments_are_the_least_for_five_per_cent() -> None:
    assert p_value(0, 45, 0.05) <= 0.1 < p_value(0, 44, 0.05)
    assert p_value(1, 77, 0.05) <= 0.1 < p_value(1, 76, 0.05)
    assert p_value(0, 0, 0.05) == 1


def test_testing_ends_at_the_first_threshold_that_may_be_too_lenient() -> None:
    counts = [(0.9, [(60, 0)]), (0.8, [(90, 1)]), (0.7, [(95, 9)]), (0.6, [(5000, 9)])]
    assert certify(counts, 0.05, 0.1) == 0.8
    assert certify(counts[2:], 0.05, 0.1) is None
    assert certify([], 0.05, 0.1) is None


def test_every_data_set_must_pass() -> None:
    counts = [(0.9, [(60, 0), (500, 2)]), (0.8, [(70, 6), (900, 3)])]  # together 9 of 970 would be few
    assert certify(counts, 0.05, 0.1) == 0.9
    assert certify([(0.9, [(44, 0), (500, 0)])], 0.05, 0.1) is None


def test_a_promise_of_two_data_sets_is_no_more_lenient_than_that_of_the_harder_one() -> None:
    rng = np.random.default_rng(3)

    def named(source: str, hardness: float) -> list[Watched]:
        return [replace(clip, source=source) for clip in drawn(300, rng, hardness)]

    easy, hard = named("easy", 0.0), named("hard", 6.0)

    def threshold(*sets: list[Watched]) -> float:
        others, clips = ([clip for clips in sets for clip in clips[half::2]] for half in (0, 1))
        (promise,) = fit_rule(others, clips, (0.2,), delta=0.1, min_steps=1, background=None).promises
        assert promise.threshold is not None
        return promise.threshold

    assert threshold(easy, hard) >= threshold(hard) > threshold(easy)
    mixed = threshold([replace(clip, source="one") for clip in easy + hard])
    assert mixed < threshold(easy, hard)


def test_a_made_up_clip_counts_for_every_data_set() -> None:
    sure = clip([[0.05, 0.95, 0.0]], target=1)
    real = [replace(sure, source=source) for source in ("one", "two") for _ in range(60)]
    false_alarms = [replace(sure, target=0)] * 20
    for made_up, promised in (([], True), (false_alarms, False)):
        clips = real + made_up
        (promise,) = fit_rule(clips, clips, (0.05,), delta=0.1, min_steps=1, background=0).promises
        assert (promise.threshold is not None) == promised


def test_the_test_that_is_begun_with_is_likelier_passed_with_more_clips_and_fewer_errors() -> None:
    assert chance(20, 0, 1.0, 0.05, 0.1) == 0  # 45 are needed
    assert 0 < chance(20, 0, 3.0, 0.05, 0.1) < chance(60, 0, 3.0, 0.05, 0.1) < 1
    assert chance(60, 5, 3.0, 0.05, 0.1) < chance(60, 1, 3.0, 0.05, 0.1)
    assert chance(0, 0, 3.0, 0.05, 0.1) == 0


def test_too_few_clips_certify_nothing() -> None:
    rng = np.random.default_rng(0)
    rule = fit_rule(drawn(30, rng), drawn(20, rng), (0.05, 0.01), delta=0.1, min_steps=1, background=None)
    assert [(p.error_rate, p.threshold) for p in rule.promises] == [(0.01, None), (0.05, None)]
    empty = fit_rule([], [], (0.5,), delta=0.1, min_steps=1, background=None)
    assert (empty.clips, empty.promises[0].threshold) == (0, None)


def test_a_higher_rate_is_promised_at_a_lower_threshold_and_counts_are_those_of_the_clips() -> None:
    rng = np.random.default_rng(1)
    others, clips = drawn(200, rng), drawn(300, rng)
    rule = fit_rule(others, clips, (0.2, 0.05, 0.1), delta=0.1, min_steps=2, background=None)
    thresholds = [p.threshold for p in rule.promises if p.threshold is not None]
    assert len(thresholds) == 3
    assert thresholds == sorted(thresholds, reverse=True)
    assert set(thresholds) <= set(THRESHOLDS)
    for promise in rule.promises:
        kept = measured(clips, promise.threshold or 0, 2, None, 1)
        assert (promise.committed, promise.wrong) == (kept.committed, kept.wrong)
        assert promise.wrong / promise.committed < promise.error_rate
    assert (rule.clips, rule.groups) == (300, 300)


def test_a_promise_is_broken_no_more_often_than_delta() -> None:
    """Repeated draws of validation clips; what each rule truly does is seen on very many clips of the same world."""
    rng = np.random.default_rng(7)
    error_rate, delta, repetitions = 0.1, 0.2, 150
    world = drawn(4000, rng, hardness=2.0)
    truth = {t: measured(world, t, 1, None, 1) for t in THRESHOLDS}
    risks = {t: kept.wrong / max(1, kept.committed) for t, kept in truth.items()}
    assert min(risks.values()) < error_rate < max(risks.values())  # some would hold it, some would not
    broken = certified = 0
    for _ in range(repetitions):
        picked = [world[i] for i in rng.integers(len(world), size=160)]
        rule = fit_rule(picked[:60], picked[60:], (error_rate,), delta=delta, min_steps=1, background=None)
        threshold = rule.promises[0].threshold
        certified += threshold is not None
        broken += threshold is not None and risks[threshold] > error_rate
    assert certified > repetitions / 2
    # three standard deviations above delta would be chance; 0.2 + 3 * 0.033
    assert broken / repetitions <= delta + 0.1
