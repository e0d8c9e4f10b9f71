from __future__ import annotations

import numpy as np

from inkling.training.evaluate.early_warning import (
    WatchedRecording,
    alarms,
    false_alarms,
    lowest_threshold,
    warning_figures,
)

RATE_HZ = 10.0


def quiet(*high: tuple[int, float], steps: int = 100) -> WatchedRecording:
    """A recording of nothing, in which single stretches of 3 steps look like something: (step, probability)."""
    probability = np.full(steps, 0.1)
    for start, value in high:
        probability[start : start + 3] = value
    return WatchedRecording("adl", probability, np.ones(steps, bool))


def event(alarm_at: int, value: float = 0.9, name: str = "fall-cam0") -> WatchedRecording:
    """20 steps of nothing, 10 to be warned of, 10 after."""
    probability = np.full(40, 0.1)
    probability[alarm_at:] = value
    silent = np.zeros(40, bool)
    silent[:20] = True
    return WatchedRecording(name, probability, silent, 20, 30)


def test_an_alarm_takes_its_steps_in_a_row_and_is_raised_once() -> None:
    probability = np.array([0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9])
    assert alarms(probability, 0.5, 2) == [3, 8]
    assert alarms(probability, 0.5, 1) == [0, 2, 7]
    assert alarms(probability, 0.95, 1) == []


def test_alarms_count_as_false_where_nothing_happens() -> None:
    assert false_alarms([quiet((10, 0.8), (40, 0.6))], 0.5, 2) == 2
    assert false_alarms([event(15)], 0.5, 2) == 1
    assert false_alarms([event(22)], 0.5, 2) == 0


def test_the_threshold_is_above_what_ten_minutes_are_too_short_to_allow() -> None:
    assert lowest_threshold([quiet((10, 0.7)), quiet((5, 0.4))], RATE_HZ, 2) == 0.705


def test_ten_quiet_minutes_allow_one_false_alarm() -> None:
    long = [quiet((10, 0.7), steps=6100), quiet((5, 0.4))]
    assert lowest_threshold(long, RATE_HZ, 2) == 0.405


def test_a_fold_is_judged_at_the_threshold_of_the_others() -> None:
    first = [quiet((10, 0.95)), event(22)]
    second = [quiet((10, 0.5)), event(22)]
    found = warning_figures([first, second], RATE_HZ, 2)
    assert found["thresholds"] == [0.505, 0.955]
    assert found["warned_in_time"] == 1  # the second fold's 0.9 lies below the first one's noise
    assert found["missed"] == 1
    assert found["false_alarms"] == 1  # the first fold's noise lies above the second one's threshold
    assert found["warning_s_median"] == 0.7  # raised at step 23, the deadline is step 30
    assert found["quiet_minutes"] == round(200 / RATE_HZ / 60, 2)
    assert found["quiet_minutes_before_events"] == round(40 / RATE_HZ / 60, 2)


def test_an_alarm_after_the_deadline_is_late_and_one_before_the_event_is_no_warning() -> None:
    others = [quiet((10, 0.5))]
    found = warning_figures([[event(30)], others], RATE_HZ, 2)
    assert (found["late"], found["warned_in_time"], found["missed"]) == (1, 0, 0)
    found = warning_figures([[event(5)], others], RATE_HZ, 2)
    assert (found["late"], found["warned_in_time"], found["missed"]) == (0, 0, 1)
    assert found["false_alarms_before_events"] == 1


def test_a_strict_threshold_keeps_still_before_events_too() -> None:
    folds = [[event(22, 0.9)], [quiet((10, 0.5)), event(5, 0.8)]]
    assert warning_figures(folds, RATE_HZ, 2)["thresholds"][0] == 0.505
    assert warning_figures(folds, RATE_HZ, 2, before_events=True)["thresholds"][0] == 0.805


def test_only_the_events_that_were_asked_for_count() -> None:
    folds = [[event(22), event(22, name="fall-cam1")], [quiet((10, 0.5))]]
    assert warning_figures(folds, RATE_HZ, 2)["events"] == 2
    assert warning_figures(folds, RATE_HZ, 2, "cam0")["events"] == 1


def test_recordings_are_told_apart_by_whether_they_have_an_alarm() -> None:
    folds = [[quiet((10, 0.95)), quiet(), event(22), event(35)], [quiet(), event(50)]]
    found = warning_figures(folds, RATE_HZ, 2, threshold=0.6)
    # of three events two have an alarm, one of them late; of three recordings of nothing one has
    assert (found["warned_in_time"], found["late"], found["missed"]) == (1, 1, 1)
    assert found["macro_f1"] == round((2 * 2 / (4 + 1 + 1) + 2 * 2 / (4 + 1 + 1)) / 2, 4)
    assert found["thresholds"] == [0.6, 0.6]
