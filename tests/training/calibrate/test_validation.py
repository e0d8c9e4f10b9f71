"""From validation clips to what a result, a bundle and a card say of a student's answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from inkling.models.bundle.schema import Promise, StoppingRule, Temperature, TimedTemperature, Unknown
from inkling.training.calibrate.validation import Answered, Fitted, fit_promises, recalibrate, told, watched
from inkling.training.data.corpus import Corpus, Example, load_corpus
from inkling.training.data.folds import Fold, parted
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.errors import ConfigError
from inkling.training.evaluate.evaluation import Evaluation, measure
from inkling.training.evaluate.report import calibration_table, promises_table, sections, uncertified
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import UnknownActions
from inkling.training.run import Run
from tests.training.support import tiny_recipe, write_stick_set

RULE = StoppingRule(
    min_steps=2,
    clips=50,
    groups=20,
    promises=(Promise(error_rate=0.01, threshold=None), Promise(error_rate=0.2, threshold=0.7, committed=9, wrong=1)),
)


def examples(count: int, source: str = "s", per_group: int = 2) -> list[Example]:
    return [Example(torch.zeros(5, 1, 1), i % 3, source, "val", f"{source}/{i // per_group}") for i in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_share_no_group_and_have_their_share_of_every_set(seed: int) -> None:
    clips = examples(60) + examples(20, "t") + examples(10, SYNTHETIC, per_group=10)
    first, second = parted(clips, 0.4, seed)
    assert len(first) + len(second) == len(clips)
    groups = [{e.group for e in part if e.source != SYNTHETIC} for part in (first, second)]
    assert not groups[0] & groups[1]
    counts = [sum(e.source == source for e in second) for source in ("s", "t", SYNTHETIC)]
    assert counts == [24, 8, 4]
    assert [id(e) for e in second] == [id(e) for e in parted(clips, 0.4, seed)[1]]


def test_labels_do_not_decide_which_part_a_clip_is_in() -> None:
    clips = examples(40)
    others = [replace(clip, target=0) for clip in clips]
    assert [e.group for e in parted(clips, 0.5, 0)[1]] == [e.group for e in parted(others, 0.5, 0)[1]]


def test_one_group_cannot_be_parted_and_then_nothing_is_promised() -> None:
    recipe = tiny_recipe()
    clips = examples(6, per_group=6)
    answered = Answered.by(lambda x: torch.zeros(*x.shape[:2], 3), Fold((), tuple(clips)))
    fitted = fit_promises(answered, recipe, ("a", "b", "c"), 0)
    assert fitted.stopping is None
    assert isinstance(fitted.calibration, TimedTemperature)


def test_a_set_without_promises_is_calibrated_on_and_certifies_nothing() -> None:
    clips = examples(120, "sure") + examples(40, "unsure")
    logits = torch.eye(3)[torch.tensor([clip.target for clip in clips])] * 9
    logits[120:] = torch.eye(3)[torch.tensor([(clip.target + i % 2) % 3 for i, clip in enumerate(clips[120:])])] * 9
    steps = tuple(np.tile(row.numpy(), (5, 1)) for row in logits)
    answered = Answered(tuple(clips), steps)

    def rule(promises: bool) -> StoppingRule:
        sources = [{"path": "sure"}, {"path": "unsure", "promises": promises}]
        recipe = tiny_recipe(datasets=sources, stopping={"error_rates": [0.1]})
        found = fit_promises(answered, recipe, ("a", "b", "c"), 0).stopping
        assert found is not None
        return found

    assert rule(promises=True).promises[0].threshold is None
    alone = rule(promises=False)
    assert alone.promises[0].threshold is not None
    assert alone.clips == 60


def test_a_clip_is_watched_from_its_own_beginning_but_its_time_counts_from_the_stream_s() -> None:
    timed = TimedTemperature(first=5.0, later=1.0, settle_s=0.2)
    steps = [np.tile(np.array([2.0, 0.0]), (8, 1))]
    example = replace(examples(1)[0], pose=torch.zeros(8, 1, 1), lead=3)
    (clip,) = watched(steps, [example], timed, 10.0)
    assert clip.probabilities.shape == (5, 2)
    whole = watched(steps, [replace(example, lead=0)], timed, 10.0)[0]
    assert (clip.probabilities == whole.probabilities[3:]).all()


def test_clips_are_answered_by_the_student_that_was_not_trained_on_them() -> None:
    clips = [replace(clip, target=i % 2) for i, clip in enumerate(examples(6))]

    def says(label: int) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.eye(2)[label].expand(*x.shape[:2], 2)

    evens, odds = (Fold((), tuple(clips[half::2])) for half in (0, 1))
    answered = Answered.by(says(0), Fold(tuple(clips), ()), [(says(0), evens), (says(1), odds)])
    assert answered.clips == (*evens.val, *odds.val)
    assert answered.auc == 1.0
    part = answered.part(clips[:2])
    assert [(clip.target, int(steps.argmax())) for clip, steps in zip(part.clips, part.steps, strict=True)] == [
        (0, 0),
        (1, 1),
    ]
    assert Answered.by(says(0), Fold((), tuple(clips))).auc == 0.5


def test_made_up_clips_are_watched_as_every_set_s() -> None:
    clips = [examples(1)[0], examples(1, SYNTHETIC)[0]]
    found = watched([np.zeros((5, 3))] * 2, clips, Temperature(), 10.0)
    assert [clip.source for clip in found] == ["s", ""]


def test_a_line_says_what_was_fitted() -> None:
    assert told(Fitted(Temperature(temperature=0.8), None, None)) == "temperature 0.80, no promises"
    timed = TimedTemperature(first=1.1, later=0.8, settle_s=1.0)
    unknown = Unknown(threshold=0.52, lost=0.03, events=90)
    assert told(Fitted(timed, RULE, unknown)) == "temperature 1.10 to 0.80, promises 20%, unknown above 0.52"


def test_a_fit_calibrates_and_tries_every_rate(finished: tuple[Run, Path]) -> None:
    result = finished[0].chosen()
    assert isinstance(result.calibration, TimedTemperature)
    assert result.stopping is not None
    assert [p.error_rate for p in result.stopping.promises] == [0.01, 0.05, 0.1, 0.2]
    assert 0 < result.stopping.clips < result.val_clips


def test_a_finished_run_is_calibrated_anew_as_it_was(finished: tuple[Run, Path], tmp_path: Path) -> None:
    shutil.copytree(finished[0].directory, tmp_path / "run")
    run, lines = Run.open(tmp_path / "run"), list[str]()
    before = run.chosen()
    path = run.seed_directory(0) / "result.json"
    path.write_text(before.model_copy(update={"calibration": Temperature(), "stopping": None}).model_dump_json())
    recalibrate(run, finished[1], lines.append)
    assert run.chosen() == before
    assert len(lines) == 1
    write_stick_set(tmp_path / "others" / "sticks", train=5)
    with pytest.raises(ConfigError, match="clips are not those"):
        recalibrate(run, tmp_path / "others", lines.append)


def test_a_finished_run_whose_recipe_is_given_the_section_gets_a_score_of_the_unknown(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    shutil.copytree(finished[0].directory, tmp_path / "run")
    before, lines = finished[0].chosen(), list[str]()
    asked = finished[0].recipe.model_copy(update={"unknown": UnknownActions(urgent=("nod",))})
    run = Run.begin(tmp_path / "run", asked, load_corpus(asked, finished[1]).digest())
    recalibrate(run, finished[1], lines.append)
    found = run.chosen().unknown
    assert before.unknown is None
    assert found is not None
    assert (found.labels, found.urgent) == ((), ("nod",))
    assert f"unknown above {found.threshold:g}" in lines[0]


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Recipe]:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "one", train=4, test=5)
    write_stick_set(root / "two", train=4, test=3, actions=("nod", "wave"))
    recipe = tiny_recipe(datasets=[{"path": "one"}, {"path": "two"}])
    return load_corpus(recipe, root), recipe


@pytest.fixture(scope="module")
def evaluation(two_sets: tuple[Corpus, Recipe]) -> Evaluation:
    """Of a model that is unsure for four steps, and then says `nod`."""
    corpus, recipe = two_sets

    def predict(x: Tensor) -> Tensor:
        logits = torch.zeros(*x.shape[:2], 4)
        logits[:, 4:, corpus.labels.index("nod")] = 6.0
        return logits

    return measure("dummy", recipe, predict, corpus, Temperature(), RULE)


def test_promises_are_measured_on_test_clips(evaluation: Evaluation) -> None:
    none, some = evaluation.sets["one"].promises["clean"]
    assert (none.threshold, none.error) == (None, None)
    assert (some.committed, some.wrong, some.never) == (15, 10, 0.0)  # one label of three is right
    assert some.error == pytest.approx(2 / 3, abs=1e-4)
    assert some.seconds == 0.5  # the sixth step, at ten a second
    assert set(evaluation.sets["one"].promises) == set(evaluation.sets["one"].conditions)
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_the_tables_tell_each_set_and_all_together(evaluation: Evaluation) -> None:
    lines = promises_table(evaluation).splitlines()
    conditions = len(evaluation.sets["one"].promises)
    assert [line.split("|")[1].strip() for line in lines[2::conditions]] == ["all", "one", "two"]
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells[:5] == ["all", "clean", "20%", f"{13 / 21:.1%}", "21"]
    assert uncertified(evaluation).endswith("1%.")
    assert len(calibration_table(evaluation).splitlines()) == 2 + 2 * 4
    text = "\n".join(sections(evaluation))
    assert "Certified on 50 validation clips of 20 groups, at confidence 90%" in text


def test_a_set_that_certified_nothing_is_named_where_promises_are_told(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, _ = two_sets
    recipe = tiny_recipe(datasets=[{"path": "one"}, {"path": "two", "promises": False}])
    found = measure("dummy", recipe, lambda x: torch.zeros(*x.shape[:2], 4), corpus, Temperature(), RULE)
    assert "for every data set by itself but two, where they are measured only" in "\n".join(sections(found))


def test_a_model_without_a_rule_has_no_table_of_promises(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets
    plain = measure("dummy", recipe, lambda x: torch.zeros(*x.shape[:2], 4), corpus, Temperature())
    assert promises_table(plain) == uncertified(plain) == ""
    assert "promise" not in "\n".join(sections(plain))


def test_a_promise_that_nothing_was_decided_under_has_no_error(two_sets: tuple[Corpus, Recipe]) -> None:
    corpus, recipe = two_sets
    found = measure("dummy", recipe, lambda x: torch.zeros(*x.shape[:2], 4), corpus, Temperature(), RULE)
    scores = found.sets["one"].promises["clean"][1]
    assert (scores.committed, scores.error, scores.share, scores.never) == (0, None, None, 1.0)
    assert "| 20% | - | 0 | - | - | 100.0% |" in promises_table(found)
