from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inkling.models.bundle.schema import PoseInput
from inkling.models.skeletons import BODY13
from inkling.training.data.corpus import Corpus, Example, load_corpus
from inkling.training.data.folds import cross_folds, draw_fold, parted
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile
from inkling.training.data.synthetic_falls import SYNTHETIC_FALLS
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.errors import DataError
from inkling.training.labels import UNLABELLED, anything_but
from tests.training.support import read_rows, tiny_recipe, write_rows, write_stick_set


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=6)
    return load_corpus(tiny_recipe(), root)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_lies_on_one_side_and_every_class_on_both(corpus: Corpus, seed: int) -> None:
    fold = draw_fold(corpus, tiny_recipe(), seed)
    assert not {e.group for e in fold.train} & {e.group for e in fold.val}
    for side in (fold.train, fold.val):
        assert {e.target for e in side} - {UNLABELLED} == {0, 1, 2}
    assert Counter(e.target for e in fold.val) == {0: 4, 1: 4, 2: 4}
    assert not [e for e in (*fold.train, *fold.val) if e.split == "test"]


def test_a_fold_follows_from_its_seed(corpus: Corpus) -> None:
    def groups(seed: int) -> list[str]:
        return [e.group for e in draw_fold(corpus, tiny_recipe(), seed).val]

    assert groups(1) == groups(1)
    assert len({tuple(groups(seed)) for seed in range(6)}) > 1


def test_groups_that_hold_every_class_are_split_too(corpus: Corpus) -> None:
    people = [replace(e, group=f"person{i % 5}") for i, e in enumerate(corpus.examples)]
    fold = draw_fold(replace(corpus, examples=tuple(people)), tiny_recipe(validation={"share": 0.2}), 0)
    assert len({e.group for e in fold.val}) == 1


def test_rows_of_the_split_val_are_used_instead_of_drawing(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=2)
    rows = read_rows(tmp_path / "sticks")
    write_rows(tmp_path / "sticks", [row | {"split": row["split"].replace("test", "val")} for row in rows])
    fold = draw_fold(load_corpus(tiny_recipe(), tmp_path), tiny_recipe(), 0)
    assert (len(fold.train), len(fold.val)) == (12, 6)
    assert {e.split for e in fold.val} == {"val"}


def test_without_two_groups_of_a_class_nothing_can_be_kept_out(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=1)
    with pytest.raises(DataError, match="two groups"):
        draw_fold(load_corpus(tiny_recipe(), tmp_path), tiny_recipe(), 0)


def test_a_share_of_the_labels_is_kept_of_every_class(corpus: Corpus) -> None:
    recipe = tiny_recipe(labelled=0.25)
    full = draw_fold(corpus, tiny_recipe(), 0)
    fold = draw_fold(corpus, recipe, 0)
    assert len(fold.train) == len(full.train)
    assert [e.group for e in fold.val] == [e.group for e in full.val]
    assert Counter(e.target for e in fold.train if e.target != UNLABELLED) == {0: 2, 1: 2, 2: 2}
    assert all(a.target in (b.target, UNLABELLED) for a, b in zip(fold.train, full.train, strict=True))


def test_repeated_sets_are_seen_more_often(corpus: Corpus) -> None:
    once = draw_fold(corpus, tiny_recipe(), 0)
    thrice = draw_fold(replace(corpus, repeats={"sticks": 3}), tiny_recipe(), 0)
    assert len(thrice.train) == 3 * len(once.train)
    assert len(thrice.val) == len(once.val)


def test_background_is_a_label_with_made_up_clips_on_both_sides(tmp_path: Path) -> None:
    body = np.random.default_rng(0).uniform(1, 9, (10, 13, 3)).astype(np.float32)
    clips = [NewClip(f"{label}{i}", body, label, "train") for label in ("a", "b") for i in range(4)]
    write(tmp_path / "bodies", DatasetFile(skeleton="body13", fps=10), clips)
    recipe = tiny_recipe(datasets=[{"path": "bodies"}], background={"label": "idle", "clips": 7})
    corpus = load_corpus(recipe, tmp_path)
    assert corpus.labels == ("a", "b", "idle")
    assert [corpus.labels[i] for i in corpus.own_labels["bodies"]] == ["a", "b"]
    fold, again = draw_fold(corpus, recipe, 0), draw_fold(corpus, recipe, 0)
    made = [[e for e in side if e.source == "synthetic"] for side in (fold.train, fold.val)]
    assert [len(side) for side in made] == [7, 3]
    assert {e.target for side in made for e in side} == {2}
    assert not torch.equal(made[0][0].pose, made[1][0].pose)
    for one, other in zip(fold.train, again.train, strict=True):
        assert torch.equal(one.pose, other.pose)


def test_synthetic_falls_are_learned_in_every_fold_and_validated_in_none(tmp_path: Path) -> None:
    body = np.random.default_rng(0).uniform(1, 9, (10, 13, 3)).astype(np.float32)
    clips = [NewClip(f"{label}{i}", body, label, "train", f"{i}") for label in ("fall", "walk") for i in range(4)]
    write(tmp_path / "bodies", DatasetFile(skeleton="body13", fps=10), clips)
    fields = {"datasets": [{"path": "bodies"}], "validation": {"share": 0, "folds": 2, "select": "last"}}
    recipe = tiny_recipe(**fields, background={"label": "idle"}, synthetic_falls={"clips": 6})
    corpus = load_corpus(recipe, tmp_path)
    fold = draw_fold(corpus, recipe, 0)
    made = [e for e in fold.train if e.source == SYNTHETIC_FALLS]
    assert len(made) == 6
    assert {
        corpus.labels[t] for e in made if e.step_targets is not None for t in e.step_targets.tolist() if t >= 0
    } == {
        "fall",
        "idle",
    }
    for part in cross_folds(fold, 2, 0):
        assert sum(e.source == SYNTHETIC_FALLS for e in part.train) == 6
        assert not any(e.source == SYNTHETIC_FALLS for e in part.val)
    other = tiny_recipe(**fields, background={"label": "idle"}, synthetic_falls={"label": "faint"})
    with pytest.raises(DataError, match="no clip has the label 'faint'"):
        draw_fold(corpus, other, 0)


def test_synthetic_falls_too_are_labelled_by_what_comes_where_a_recipe_says_what_comes(tmp_path: Path) -> None:
    body = np.random.default_rng(0).uniform(1, 9, (10, 13, 3)).astype(np.float32)
    clips = [NewClip(f"{label}{i}", body, label, "train", f"{i}") for label in ("fall", "walk") for i in range(4)]
    write(tmp_path / "bodies", DatasetFile(skeleton="body13", fps=10), clips)
    fields = {"datasets": [{"path": "bodies"}], "validation": {"share": 0, "select": "last"}}
    fields |= {"background": {"label": "idle"}, "synthetic_falls": {"clips": 6}}
    made = []
    for task in ({}, {"task": "anticipation", "lead_s": 0.5}):
        recipe = tiny_recipe(**fields, **task)
        fold = draw_fold(load_corpus(recipe, tmp_path), recipe, 0)
        made.append([e for e in fold.train if e.source == SYNTHETIC_FALLS])
    changing = 0
    for now, later in zip(*made, strict=True):
        assert now.step_targets is not None
        assert later.step_targets is not None
        assert torch.equal(later.pose, now.pose)
        assert later.ahead == 5
        if len(now.step_targets.unique()) > 1:
            changing += 1
            assert torch.equal(later.step_targets[:-5], now.step_targets[5:])
    assert changing, "some change their label"


def test_nothing_is_kept_out_where_nothing_is_to_be_chosen(corpus: Corpus) -> None:
    fold = draw_fold(corpus, tiny_recipe(validation={"share": 0, "select": "last"}), 0)
    assert not fold.val
    assert len(fold.train) == sum(e.split == "train" for e in corpus.examples)


@pytest.mark.parametrize("parts", [2, 3])
def test_every_clip_with_a_label_is_validated_once_by_a_fold_without_its_group(corpus: Corpus, parts: int) -> None:
    recipe = tiny_recipe(validation={"share": 0, "folds": parts, "select": "last"})
    whole = draw_fold(corpus, recipe, 0)
    folds = cross_folds(whole, parts, 0)
    assert len(folds) == parts
    for fold in folds:
        assert not {e.group for e in fold.train} & {e.group for e in fold.val}
        assert Counter(e.target for e in fold.train)[0] + 12 // parts == 12
        assert {e.target for e in fold.train} >= {0, 1, 2}
        assert Counter(e.target for e in fold.val) == dict.fromkeys(range(3), 12 // parts)
    hidden = [sum(e.target == UNLABELLED for e in fold.train) for fold in folds]
    assert sum(hidden) == 6 * (parts - 1), "a clip without a label is learned from where its part is not validated"
    validated = Counter(id(e) for fold in folds for e in fold.val)
    assert validated == Counter(id(e) for e in whole.train if e.target != UNLABELLED)
    assert cross_folds(whole, 0, 0) == []


def test_folds_follow_from_their_seed(corpus: Corpus) -> None:
    whole = draw_fold(corpus, tiny_recipe(validation={"share": 0, "select": "last"}), 0)
    found = [[[id(e) for e in fold.val] for fold in cross_folds(whole, 3, seed)] for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_a_label_of_one_group_is_always_trained_on(corpus: Corpus) -> None:
    examples = [replace(e, group="one") if e.target == 0 else e for e in corpus.examples]
    recipe = tiny_recipe(validation={"share": 0, "folds": 2, "select": "last"})
    whole = draw_fold(replace(corpus, examples=tuple(examples)), recipe, 0)
    for fold in cross_folds(whole, 2, 0):
        assert sum(e.target == 0 for e in fold.train) == 12
        assert {e.target for e in fold.val} == {1, 2}
    rare = replace(corpus, examples=tuple(replace(e, group=f"one {e.target}") for e in corpus.examples))
    with pytest.raises(DataError, match="cannot be validated in 2 parts"):
        cross_folds(draw_fold(rare, recipe, 0), 2, 0)


def test_repeated_clips_are_validated_once_and_made_up_ones_are_in_parts_of_like_size(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=8, test=1)
    changes = {"validation": {"share": 0, "folds": 2, "select": "last"}}
    recipe = tiny_recipe(datasets=[{"path": "sticks", "repeat": 3}], **changes)
    corpus = load_corpus(recipe, tmp_path)
    whole = draw_fold(corpus, recipe, 0)
    made_up = tuple(replace(whole.train[0], source=SYNTHETIC, group="") for _ in range(20))
    for fold in cross_folds(replace(whole, train=whole.train + made_up), 2, 0):
        assert Counter(e.source for e in fold.val) == {"sticks": 12, SYNTHETIC: 10}
        assert Counter(e.source for e in fold.train) == {"sticks": 36, SYNTHETIC: 10}


def test_a_clip_of_anything_but_a_label_is_held_out_with_its_group_and_is_no_clip_to_validate(corpus: Corpus) -> None:
    examples = [replace(e, target=anything_but(0)) if e.target == UNLABELLED else e for e in corpus.examples]
    recipe = tiny_recipe(validation={"share": 0, "folds": 2, "select": "last"})
    whole = draw_fold(replace(corpus, examples=tuple(examples)), recipe, 0)
    for fold in cross_folds(whole, 2, 0):
        assert sum(e.target == anything_but(0) for e in fold.train) == 3, "of six"
        assert {e.target for e in fold.val} == {0, 1, 2}
        assert not {e.group for e in fold.train} & {e.group for e in fold.val}


def test_what_is_drawn_stays_what_it_is() -> None:
    """Finished runs are calibrated again on the clips that were drawn for them, in any later release."""
    clips = [
        Example(torch.zeros(4, 2, 3), i % 3, "sticks", "train", f"sticks/{i // 4}", path=f"{i}") for i in range(24)
    ]
    pose = PoseInput(kind="pose", skeleton=BODY13)
    corpus = Corpus(("a", "b", "c"), pose, 10.0, tuple(clips), {"sticks": (0, 1, 2)}, {"sticks": 1}, ())
    fold = draw_fold(corpus, tiny_recipe(labelled=0.5), 3)
    assert [int(e.path) for e in fold.val] == [8, 9, 10, 11, 20, 21, 22, 23]
    assert [int(e.path) for e in fold.train if e.target != UNLABELLED] == [0, 1, 2, 4, 12, 17, 18, 19]
    whole = draw_fold(corpus, tiny_recipe(validation={"share": 0, "folds": 3, "select": "last"}), 3)
    groups = [sorted({e.group.removeprefix("sticks/") for e in part.val}) for part in cross_folds(whole, 3, 3)]
    assert groups == [["1", "3"], ["0", "2"], ["4", "5"]]
    assert {e.group for e in parted(fold.train, 0.4, 3)[1]} == {"sticks/1", "sticks/3"}


def test_sets_that_share_groups_never_part_one(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "by-hand", train=8, test=1)
    write_stick_set(tmp_path / "estimated", train=8, test=1, seed=7)
    sources = [{"path": "by-hand", "groups": "sticks"}, {"path": "estimated", "groups": "sticks"}]
    recipe = tiny_recipe(datasets=sources, validation={"share": 0, "folds": 2, "select": "last"})
    whole = draw_fold(load_corpus(recipe, tmp_path), recipe, 0)
    assert {e.group.split("/")[0] for e in whole.train} == {"sticks"}
    for fold in cross_folds(whole, 2, 0):
        assert {e.source for e in fold.val} == {"by-hand", "estimated"}
        assert not {e.group for e in fold.train} & {e.group for e in fold.val}
    for clips in parted(whole.train, 0.5, 0):
        assert Counter(e.source for e in clips)["by-hand"] == Counter(e.source for e in clips)["estimated"]
