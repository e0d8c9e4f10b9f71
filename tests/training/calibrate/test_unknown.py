from __future__ import annotations

import numpy as np
import pytest
import torch

from inkling.models.bundle.schema import Temperature
from inkling.models.unknown import UnknownScore
from inkling.training.calibrate.unknown import fit_unknown, held_back_at, unknown_wish
from inkling.training.data.corpus import Example
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import UnknownActions
from inkling.training.scores import Floats
from tests.training.support import tiny_recipe

LABELS = ("idle", "other", "wave", "fall")
STEPS = 10


def recipe(**unknown: object) -> Recipe:
    """Steps at 10 Hz; an event begins at .6 in three steps."""
    plain = tiny_recipe(rate_hz=10.0, background={"label": "idle"})
    return plain if not unknown else plain.model_copy(update={"unknown": UnknownActions.model_validate(unknown)})


def clip(late: int, label: str = "wave", source: str = "s") -> tuple[Floats, Example]:
    """Unsure for `late` steps, then sure of `label`."""
    logits = np.zeros((STEPS, 4))
    logits[late:, LABELS.index(label)] = 8
    return logits, Example(torch.zeros(STEPS, 1, 1), LABELS.index(label), source, "val", source)


def fitted(clips: list[tuple[Floats, Example]], recipe: Recipe) -> tuple[float, float, int]:
    found = fit_unknown([a for a, _ in clips], [b for _, b in clips], Temperature(), recipe, LABELS)
    assert found is not None
    return found.threshold, found.lost, found.events


def test_a_model_without_a_label_for_others_has_no_score_unless_it_is_asked_for() -> None:
    assert unknown_wish(recipe(), ("idle", "wave")) is None
    assert unknown_wish(recipe(average_s=2.0), ("idle", "wave")) == UnknownActions(labels=(), average_s=2.0)
    assert unknown_wish(recipe(), LABELS) == UnknownActions(labels=("other",))
    assert unknown_wish(recipe(labels=()), LABELS) == UnknownActions(labels=())


@pytest.mark.parametrize("section", [{"labels": ["nothing"]}, {"urgent": ["nothing"]}, {"labels": ["idle"]}])
def test_labels_that_are_no_actions_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="section unknown names"):
        unknown_wish(recipe(**section), LABELS)


def test_the_threshold_is_the_lowest_that_loses_few_events() -> None:
    clips = [clip(0)] * 38 + [clip(5)] * 2
    threshold, lost, events = fitted(clips, recipe(lost=0.05))
    assert events == 40
    assert lost == 0.05
    assert 0.01 <= threshold < fitted([clip(5)] * 40, recipe(lost=0.05))[0]
    assert fitted(clips, recipe(lost=0.01))[0] > threshold  # one of them may be lost, no other


def test_every_data_set_must_keep_its_own_events() -> None:
    many = [clip(0)] * 98
    few = [clip(5, source="t")] * 2
    assert fitted(many + few, recipe())[0] > fitted(many + [clip(5)] * 2, recipe())[0]


def test_what_is_urgent_cannot_be_lost_and_does_not_count() -> None:
    clips = [clip(0)] * 20 + [clip(5, "fall")] * 20
    assert fitted(clips, recipe(urgent=("fall",)))[::2] == (0.01, 20)
    assert fitted(clips, recipe())[0] > 0.2


def test_clips_of_others_of_nobody_and_of_wrong_events_do_not_count() -> None:
    wrong = clip(0)[0], clip(0, "fall")[1]
    made_up = clip(0, source=SYNTHETIC)
    assert fitted([clip(0), clip(0, "other"), wrong, made_up, clip(9)], recipe())[2] == 1


def test_where_nothing_was_known_nothing_is_held_back() -> None:
    assert fitted([clip(0, "other")], recipe()) == (1.0, 0.0, 0)
    assert fitted([], recipe()) == (1.0, 0.0, 0)


def test_steps_before_a_clip_s_own_are_part_of_the_score() -> None:
    logits, example = clip(5)
    led_in = Example(example.pose, example.target, "s", "val", "s", lead=5)
    alone = logits[5:], Example(torch.zeros(5, 1, 1), example.target, "s", "val", "s")
    assert fitted([(logits, led_in)] * 40, recipe())[0] > fitted([alone] * 40, recipe())[0]


def test_each_step_is_held_back_by_its_own_score_and_label() -> None:
    found = fit_unknown([clip(5)[0]] * 40, [clip(5)[1]] * 40, Temperature(), recipe(urgent=("fall",)), LABELS)
    assert found is not None
    score = UnknownScore(found, LABELS, 10.0)
    scores = np.array([0.0, 1.0, 1.0])
    assert held_back_at(score, scores, np.eye(4)[[2, 2, 3]]) == [False, True, False]
