"""What comes, from recordings to a bundle: a recogniser is trained, an anticipating model learns from it, is measured
against it, and becomes a bundle that says how far it looks ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models.bundle import load
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.spans import Span
from inkling.training.errors import ConfigError
from inkling.training.evaluate.evaluation import Evaluation, evaluate_bundle, evaluate_run
from inkling.training.evaluate.page import page
from inkling.training.evaluate.report import sections
from inkling.training.export.bundle import export
from inkling.training.fit import fit
from inkling.training.recogniser import kept_recogniser
from inkling.training.run import Run
from tests.training.support import STICK, stick_clip, tiny_recipe, write_stick_set

ALONE: dict[str, Any] = {"distillation": {"alpha": 0, "beta": 0}, "fit": {"epochs": 2, "batch_size": 8}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sticks`: recordings of a nod and then a raise."""
    root = tmp_path_factory.mktemp("data")
    clips = []
    for i in range(12):
        poses = np.concatenate([stick_clip("nod", 24, i), stick_clip("raise", 24, i)])
        spans = (Span("nod", 0.0, 1.2), Span("raise", 1.2))
        clips.append(NewClip(f"clip{i}", poses, "", "train" if i < 9 else "test", spans=spans))
    write(root / "sticks", STICK, clips)
    return root


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    """An anticipating run that learned from a recogniser, and what its fit reported."""
    out, lines = tmp_path_factory.mktemp("runs"), list[str]()
    fit(tiny_recipe(**ALONE), out / "recogniser", data, device="cpu")
    wanted = {"run": str(out / "recogniser"), "states": 0.1}
    recipe = tiny_recipe(task="anticipation", lead_s=0.33, recogniser=wanted, **ALONE)
    return fit(recipe, out / "ahead", data, device="cpu", report=lines.append), lines


@pytest.fixture(scope="module")
def evaluation(trained: tuple[Run, list[str]]) -> Evaluation:
    return evaluate_run(trained[0])


def test_a_fit_says_how_far_ahead_in_whole_steps(trained: tuple[Run, list[str]]) -> None:
    assert trained[1][0] == "answers are of 0.3 s later, 3 steps (lead_s = 0.33 in whole steps)"
    assert not any("labels that change" in line for line in trained[1])


def test_a_fit_says_that_clips_of_one_action_teach_nothing_of_what_comes(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=1)
    lines: list[str] = []
    recipe = tiny_recipe(task="anticipation", lead_s=0.3, **ALONE | {"fit": {"epochs": 1}})
    fit(recipe, tmp_path / "run", tmp_path, device="cpu", report=lines.append)
    assert "no recording has labels that change" in lines[1]


def test_it_is_measured_by_what_is_labelled_then_against_what_is_had_for_nothing(evaluation: Evaluation) -> None:
    assert evaluation.lead_s == 0.3
    scores = evaluation.foresight["sticks"]
    assert scores.recordings == 3
    own = next(lead for lead in scores.leads if lead.lead_s == 0.3)
    assert own.steps == 3 * (24 - 3)
    assert own.right["last"] == pytest.approx(1 - 3 / 21, abs=1e-4)
    assert set(own.right) == {"model", "recogniser", "last", "chance"}
    assert set(scores.onsets) == {"raise"}
    assert set(scores.onsets["raise"]) == {"model", "recogniser"}
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_the_report_and_the_page_say_what_is_measured(evaluation: Evaluation) -> None:
    told = "\n".join(sections(evaluation))
    shown = page(evaluation)
    for words in (
        "Every answer is of 0.3 s after its step",
        "recogniser now",
        "0.3 s (its own)",
        "onsets with an event",
    ):
        assert words in told
        assert words in shown


def test_a_bundle_and_its_card_say_how_far_it_looks_ahead(
    trained: tuple[Run, list[str]], evaluation: Evaluation, data: Path, tmp_path: Path
) -> None:
    run = trained[0]
    path = export(run, tmp_path, "1", name="next", evaluation=evaluation)
    spec = load(path).spec
    assert (spec.task, spec.lead_s) == ("anticipation", 0.3)
    assert spec.quality["sticks"]["foresight"]["recordings"] == 3
    card = (path / "card.md").read_text()
    assert "Says which of 2 actions will be under way in 0.3 s, from a stream of body joints." in card
    assert "**An answer is of 0.3 s later**" in card
    assert "It learned from a recogniser that sees so much further, by its answers and its hidden states" in card
    again = evaluate_bundle(path, run.recipe, data, kept_recogniser(run).directory)  # type: ignore[union-attr]
    assert again.foresight == evaluation.foresight
    other = run.recipe.model_copy(update={"lead_s": 0.5})
    with pytest.raises(ConfigError, match=r"recipe tiny looks 0\.5 s ahead, next 0\.3 s ahead"):
        evaluate_bundle(path, other, data)


def test_a_recogniser_is_compared_with_nothing(finished: tuple[Run, Path]) -> None:
    run, _ = finished
    with pytest.raises(ConfigError, match="it is not compared with a recogniser"):
        evaluate_run(run, recogniser=run.directory)
