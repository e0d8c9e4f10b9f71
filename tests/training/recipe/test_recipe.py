from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import RECIPES, read_recipe
from inkling.training.study.study import is_study
from tests.training.rooms import rooms_recipe
from tests.training.support import tiny_recipe

SMALLEST = 'name = "mine"\nrate_hz = 10\n[[datasets]]\npath = "clips"\n'


def written(root: Path, text: str) -> Path:
    (root / "recipe.toml").write_text(text)
    return root / "recipe.toml"


def test_a_recipe_needs_a_name_a_rate_and_a_data_set(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST))
    assert recipe.name == "mine"
    assert recipe.datasets[0].name == "clips"
    assert recipe.background_label is None


def test_every_section_is_read(tmp_path: Path) -> None:
    text = SMALLEST + (
        'rename = { golf = "golf_swing" }\nrepeat = 2\noccluded = "keep"\n'
        "[student]\nhidden = 32\n[teacher]\nhidden = 16\n[distillation]\nalpha = 0.25\ntau_s = 1.0\n"
        '[fit]\nepochs = 7\n[fit_teacher]\noptimiser = "sgd"\n[augmentation]\nmirror = 0\n'
        '[validation]\nshare = 0.2\nselect = "last"\n[background]\nclips = 5\n[bundle]\ntitle = "Mine."\n'
    )
    recipe = read_recipe(written(tmp_path, text))
    assert recipe.datasets[0].rename == {"golf": "golf_swing"}
    assert (recipe.student.hidden, recipe.teacher.hidden, recipe.distillation.alpha) == (32, 16, 0.25)
    assert recipe.fit.epochs == 7
    assert recipe.fit_teacher is not None
    assert recipe.fit_teacher.optimiser == "sgd"
    assert recipe.augmentation.mirror == 0
    assert recipe.background_label == "idle"


def test_all_problems_of_a_recipe_are_told_with_their_keys(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "spede = 1\n[fit]\nepochs = 0\n[student]\nlayers = 3\n")
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    for key in ("datasets.0.spede", "fit.epochs", "student.layers"):
        assert sum(f": {key}: " in line for line in lines) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "Invalid value"),
        ('name = "mine"\nrate_hz = 10\ndatasets = []\n', "datasets"),
        (SMALLEST + '[[datasets]]\npath = "other/clips"\n', "same folder name"),
        ("seeds = [1, 1]\n" + SMALLEST, "seeds must be different"),
        (SMALLEST.replace("10", "nan"), "rate_hz"),
        (SMALLEST.replace("mine", "../mine"), "name"),
        (SMALLEST + "[distillation]\ntau_levels = 2\n", "tau_levels belongs to"),
        ('clock = "progress"\n' + SMALLEST, "speed = 1, crop = 0 and short = 0"),
        (SMALLEST + "[validation]\nshare = 0\n", "no epoch can be chosen"),
        (SMALLEST + "[pretraining]\nepochs = 3\n", r"pretraining\.datasets"),
        (SMALLEST + '[[pretraining.datasets]]\npath = "x/../clips"\n', "clips is a data set of the recipe itself"),
        (SMALLEST + '[pretraining]\ndatasets = [{ path = "a/x" }, { path = "b/x" }]\n', "the same folder name"),
        (SMALLEST + '[[pretraining.datasets]]\npath = "x"\n[frames]\nheight = 32\nwidth = 32\n', "clips of poses"),
        ('clock = "progress"\n' + SMALLEST + '[[pretraining.datasets]]\npath = "x"\n', "pretraining needs clock"),
        ("lead_s = 0.5\n" + SMALLEST, "belong to task"),
        (SMALLEST + '[recogniser]\nrun = "runs/a"\n', "belong to task"),
        ('task = "anticipation"\n' + SMALLEST, "needs lead_s"),
        ('task = "anticipation"\nlead_s = 0.04\n' + SMALLEST, "nearer to now than to the next step at 10 Hz"),
        (
            'task = "anticipation"\nlead_s = 1\nclock = "progress"\nstreaming.chance = 0\n'
            "augmentation.speed = 1\naugmentation.crop = 0\n" + SMALLEST,
            "a level is no number of seconds",
        ),
        (
            'task = "anticipation"\nlead_s = 1\n' + SMALLEST + '[recogniser]\nrun = "a"\nbegin = true\n'
            '[[pretraining.datasets]]\npath = "x"\n',
            "either with the recogniser's weights or with pretraining",
        ),
        (
            SMALLEST + '[unknown]\nleft_out = ["x"]\n[frames]\nheight = 32\nwidth = 32\n',
            "left_out is for",
        ),
        (SMALLEST + '[unknown]\nleft_out = ["idle"]\n[background]\n', "the background cannot be left out"),
        (SMALLEST + "[synthetic_falls]\n", "need the label of background"),
        (SMALLEST + "[distillation]\nteachers = 2\n[frames]\nheight = 32\nwidth = 32\n", "several teachers"),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_recipe(written(tmp_path, text))


def test_a_missing_file_and_an_unknown_recipe_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file$"):
        read_recipe(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="no shipped recipe"):
        read_recipe("nobody-made-this")


def test_a_folder_of_the_same_name_does_not_hide_a_shipped_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "penn").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_recipe("penn").name == "penn"


def test_every_shipped_recipe_is_read_by_its_name() -> None:
    shipped = [path for path in RECIPES.glob("*.toml") if not is_study(path)]
    assert {"body-actions", "fall-watch"} <= {path.stem for path in shipped}
    for path in shipped:
        assert read_recipe(path.stem) == read_recipe(path)


def test_the_lead_of_self_distillation_is_in_seconds_or_in_levels() -> None:
    assert tiny_recipe(distillation={"tau_s": 0.3}).lead == 3
    still = {"augmentation": {"speed": 1, "crop": 0}, "streaming": {"chance": 0}}
    assert tiny_recipe(clock="progress", distillation={"tau_levels": 2}, **still).lead == 2


@pytest.mark.parametrize(("lead_s", "ahead", "whole"), [(0.5, 5, 0.5), (0.33, 3, 0.3), (0.25, 3, 0.3), (1, 10, 1.0)])
def test_how_far_ahead_a_model_looks_is_a_whole_number_of_steps(lead_s: float, ahead: int, whole: float) -> None:
    recipe = tiny_recipe(task="anticipation", lead_s=lead_s)
    assert (recipe.ahead, recipe.whole_lead_s) == (ahead, whole)
    assert (tiny_recipe().ahead, tiny_recipe().whole_lead_s) == (0, None)


def test_the_digest_ignores_what_cannot_change_a_seeds_result() -> None:
    digest = tiny_recipe().digest()
    assert tiny_recipe(seeds=(3, 4)).digest() == digest
    assert tiny_recipe(bundle={"title": "Better words."}).digest() == digest
    assert tiny_recipe(unknown={"urgent": ["nod"]}).digest() == digest
    assert tiny_recipe(bundle={"gaps": {"policy": "skip"}}).digest() != digest
    assert tiny_recipe(distillation={"alpha": 0.6}).digest() != digest


def test_what_is_learned_first_is_a_recipe_of_its_own(tmp_path: Path) -> None:
    text = SMALLEST + '[pretraining]\nepochs = 3\n[[pretraining.datasets]]\npath = "more"\noccluded = "keep"\n'
    recipe = read_recipe(
        written(tmp_path, "labelled = 0.1\n" + text + "[fit]\nepochs = 9\nbatch_size = 4\n[background]\n")
    )
    first = recipe.first
    assert first is not None
    assert [(source.name, source.occluded) for source in first.datasets] == [("more", "keep")]
    assert (first.fit.epochs, first.fit.batch_size) == (3, 4)
    assert first.fit_teacher is not None
    assert (first.fit_teacher.epochs, first.fit_teacher.batch_size) == (3, 4)
    assert (first.labelled, first.background, first.distillation.taught, first.first) == (1, None, False, None)
    assert (first.rate_hz, first.augmentation, first.student) == (recipe.rate_hz, recipe.augmentation, recipe.student)


def test_the_digest_knows_what_is_learned_first() -> None:
    without = tiny_recipe().digest()
    digests = {
        tiny_recipe(pretraining={"datasets": [{"path": path}], "epochs": epochs}).digest()
        for path, epochs in (("more", 15), ("others", 15), ("more", 16))
    }
    assert len(digests | {without}) == 4


def test_a_key_that_is_new_changes_no_digest_until_it_says_something() -> None:
    begun = "6be263defccbb65c"  # of runs of `paper` before there were the keys below, and `standardised`
    assert read_recipe("paper").digest().startswith(begun)
    for change in (
        {"student": {"prototypes": True}},
        {"student": {"standardised": False}},
        {"poses": {"centre_spans_s": (0.5,)}},
        {"fit": {"late": 0.5}},
        {"augmentation": {"short": 0.1}},
        {"augmentation": {"hiding": 0.1}},
        {"augmentation": {"swapping": 0.1}},
    ):
        assert tiny_recipe(**change).digest() != tiny_recipe(**{name: {} for name in change}).digest()
    ahead = {"task": "anticipation", "lead_s": 0.5}
    taught = [{"recogniser": {"run": run}} for run in ("a", "b")]
    assert len({tiny_recipe(**change).digest() for change in ({}, ahead, ahead | taught[0], ahead | taught[1])}) == 4
    shared = [{"path": "sticks", "groups": "all"}]
    assert tiny_recipe(datasets=shared).digest() != tiny_recipe().digest()
    measured_only = [{"path": "sticks", "promises": False}]
    assert tiny_recipe(datasets=measured_only).digest() != tiny_recipe().digest()
    idle = tiny_recipe(background={})
    assert tiny_recipe(background={}, synthetic_falls={}).digest() != idle.digest()
    first = [tiny_recipe(pretraining={"datasets": [{"path": "more", "groups": name}]}).digest() for name in ("", "all")]
    assert first[0] != first[1]


@pytest.mark.parametrize(
    ("validation", "reason"),
    [
        ({"folds": 1, "share": 0, "select": "last"}, "nothing to train on"),
        ({"folds": 3, "select": "last"}, "share = 0 with folds"),
        ({"folds": 3, "share": 0}, 'select = "last"'),
    ],
)
def test_folds_are_several_with_nothing_kept_out_and_no_epoch_to_choose(
    validation: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        tiny_recipe(validation=validation)
    one = tiny_recipe(validation={"share": 0, "select": "last"})
    assert one.digest() != tiny_recipe(validation={"share": 0, "select": "last", "folds": 2}).digest()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "transformer"}, "network is one of recurrent, two_stage, not 'transformer'"),
        ({"network": "two_stage"}, "two_stage sees pictures through a frozen backbone"),
        ({"two_stage": {"hidden": 8}}, "two_stage belongs to network"),
    ],
)
def test_a_network_must_be_known_and_have_what_it_sees(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        tiny_recipe(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": {"hidden": 8}}, "has a section of its own in place of student and teacher"),
        ({"background": {"clips": 3}}, "no pretraining and no synthetic clips"),
        ({"distillation": {"teachers": 2}}, "several teachers need poses"),
    ],
)
def test_two_stages_refuse_what_they_cannot_be_trained_with(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rooms_recipe(**changes)


def test_two_stages_are_on_poses_with_pictures_and_may_have_the_clock_of_paper_a() -> None:
    assert not rooms_recipe().on_frames
    levels = {"clock": "progress", "augmentation": {"speed": 1, "crop": 0, "short": 0}, "streaming": {"chance": 0}}
    assert rooms_recipe(**levels).clock == "progress"
    assert rooms_recipe(two_stage={"hidden": 8}).digest() != rooms_recipe().digest()
    assert rooms_recipe(losses={"rising": 2}).digest() != rooms_recipe().digest()
