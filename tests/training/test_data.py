from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models import skeletons
from models.clock import step_frames
from tests.training.support import STICK, read_rows, stick_clip, tiny_recipe, write_rows, write_stick_set
from training.data import (
    Batch,
    Corpus,
    Example,
    Joining,
    collate,
    draw_fold,
    load_corpus,
    plain_batches,
    training_batches,
)
from training.dataset import DatasetFile, NewClip, write
from training.errors import DataError
from training.streams import UNLABELLED


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", unlabelled=6)
    return root


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return load_corpus(tiny_recipe(), root)


def test_clips_are_stepped_as_the_service_would(corpus: Corpus) -> None:
    frames = step_frames((np.arange(12) / 20).tolist(), 10.0)
    np.testing.assert_array_equal(corpus.examples[0].pose.numpy(), stick_clip("raise", 12, 0)[frames])


def test_labels_are_sorted_and_unlabelled_clips_have_none(corpus: Corpus) -> None:
    assert corpus.labels == ("nod", "raise", "spread")
    assert Counter(e.target for e in corpus.examples) == {0: 16, 1: 16, 2: 16, UNLABELLED: 6}
    assert corpus.own_labels == {"sticks": (0, 1, 2)}


def test_test_clips_are_found_by_data_set(corpus: Corpus) -> None:
    assert {name: len(examples) for name, examples in corpus.tests().items()} == {"sticks": 12}


def test_several_sets_share_labels_after_renaming_and_keep_their_own(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "one", train=2, test=1)
    write_stick_set(tmp_path / "two", train=2, test=1, actions=("nod", "raise", "wave"))
    sources = [
        {"path": "one", "rename": {"spread": "open"}},
        {"path": "two", "rename": {"raise": "lift", "wave": ""}},
    ]
    corpus = load_corpus(tiny_recipe(datasets=sources), tmp_path)
    assert corpus.labels == ("lift", "nod", "open", "raise")
    own = {name: [corpus.labels[i] for i in indices] for name, indices in corpus.own_labels.items()}
    assert own == {"one": ["nod", "open", "raise"], "two": ["lift", "nod"]}
    unlabelled = [e for e in corpus.examples if e.target == UNLABELLED]
    assert [(e.source, e.split) for e in unlabelled] == [("two", "train")] * 2
    assert not {e.group for e in corpus.examples if e.source == "one"} & {
        e.group for e in corpus.examples if e.source == "two"
    }


def test_poses_are_mapped_onto_the_recipes_skeleton(tmp_path: Path) -> None:
    coco = np.random.default_rng(0).uniform(1, 9, (10, 17, 3)).astype(np.float32)
    clips = [NewClip(f"{label}{i}", coco, label, "train") for label in ("a", "b") for i in range(2)]
    write(tmp_path / "coco", DatasetFile(skeleton="coco17", fps=10), clips)
    corpus = load_corpus(tiny_recipe(datasets=[{"path": "coco"}], skeleton="body13"), tmp_path)
    assert corpus.skeleton == skeletons.BODY13
    expected = skeletons.mapping(skeletons.get("coco17"), skeletons.BODY13).apply(coco)
    np.testing.assert_array_equal(corpus.examples[0].pose.numpy(), expected)


def test_a_skeleton_that_does_not_fit_is_a_problem_of_its_file(root: Path) -> None:
    with pytest.raises(DataError, match=r"sticks/dataset\.toml: stick has only"):
        load_corpus(tiny_recipe(skeleton="body13"), root)


def test_a_class_without_training_clips_is_named_with_its_row(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=2)
    rows = read_rows(tmp_path / "sticks")
    write_rows(tmp_path / "sticks", [row for row in rows if (row["label"], row["split"]) != ("spread", "train")])
    with pytest.raises(DataError, match=r"clips\.csv:6: label 'spread' has no training clip") as caught:
        load_corpus(tiny_recipe(), tmp_path)
    assert len(caught.value.problems) == 1


def test_another_set_may_train_what_one_only_tests(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "one", train=2, test=2)
    write_stick_set(tmp_path / "two", train=0, test=2)
    corpus = load_corpus(tiny_recipe(datasets=[{"path": "one"}, {"path": "two"}]), tmp_path)
    assert set(corpus.tests()) == {"one", "two"}


def test_problems_of_all_sets_are_told_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_stick_set(tmp_path / name, train=2, test=1)
        rows = read_rows(tmp_path / name)
        write_rows(tmp_path / name, [rows[0] | {"split": "x"}, *rows[1:]])
    with pytest.raises(DataError) as caught:
        load_corpus(tiny_recipe(datasets=[{"path": "one"}, {"path": "two"}, {"path": "three"}]), tmp_path)
    assert [p.file.parent.name for p in caught.value.problems] == ["one", "two", "three"]


def test_renaming_a_label_that_no_clip_has_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="renames 'gold', no clip has it"):
        load_corpus(tiny_recipe(datasets=[{"path": "sticks", "rename": {"gold": "golf"}}]), root)


def test_one_label_is_not_enough(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", actions=("nod",))
    with pytest.raises(DataError, match="at least two labels"):
        load_corpus(tiny_recipe(), tmp_path)


def test_the_digest_sees_a_changed_coordinate_and_a_changed_label(corpus: Corpus) -> None:
    first = corpus.examples[0]
    moved = first.pose.clone()
    moved[0, 0, 0] += 1
    for other in (replace(first, pose=moved), replace(first, target=2)):
        assert replace(corpus, examples=(other, *corpus.examples[1:])).digest() != corpus.digest()


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


def test_padding_is_zero_and_has_no_weight() -> None:
    examples = [Example(torch.ones(length, 2, 3), target, "s", "train", "") for length, target in ((2, 1), (4, -1))]
    batch = collate(examples)
    assert batch.x.shape == (2, 4, 2, 3)
    assert batch.x[0, 2:].abs().sum() == 0
    assert batch.weight.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch.step_targets.tolist() == [[1, 1, -1, -1], [-1, -1, -1, -1]]


JOINING = Joining(chance=0.5, longest=5, passage=2)


def drawn(corpus: Corpus, seed: int, epoch: int, joining: Joining | None = JOINING) -> list[Batch]:
    def augment(pose: Tensor, random: torch.Generator) -> Tensor:
        return pose + torch.rand((), generator=random)

    examples = [e for e in corpus.examples if e.split == "train"]
    batches: list[Any] = list(training_batches(examples, augment, joining, 8, seed, epoch))
    return batches


def test_an_epoch_is_drawn_from_seed_and_epoch_alone(corpus: Corpus) -> None:
    torch.manual_seed(0)
    one = drawn(corpus, 1, 2)
    torch.manual_seed(1)
    for a, b in zip(one, drawn(corpus, 1, 2), strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.targets, b.targets)


@pytest.mark.parametrize(("seed", "epoch"), [(1, 3), (2, 2)])
def test_other_epochs_and_seeds_are_drawn_otherwise(corpus: Corpus, seed: int, epoch: int) -> None:
    assert [b.targets.tolist() for b in drawn(corpus, 1, 2)] != [b.targets.tolist() for b in drawn(corpus, seed, epoch)]


def test_an_epoch_sees_every_clip_once_with_little_padding(corpus: Corpus) -> None:
    examples = [e for e in corpus.examples if e.split == "train"]
    batches = drawn(corpus, 0, 0, joining=None)
    sizes = [len(b.lengths) for b in batches]
    assert sum(sizes) == len(examples)
    assert max(sizes) == 8
    steps = sum(b.x.shape[1] * len(b.lengths) for b in batches)
    assert steps <= 1.1 * sum(len(e.pose) for e in examples)


def test_some_clips_follow_the_end_of_another_one(corpus: Corpus) -> None:
    batches = drawn(corpus, 0, 0)
    joined = 0
    for batch in batches:
        for targets, length, target in zip(batch.step_targets, batch.lengths, batch.targets, strict=True):
            of_clip = targets[: int(length)]
            assert of_clip[-1] == target
            joined += int((of_clip == UNLABELLED).sum() == JOINING.passage and target != UNLABELLED)
    clips = sum(len(batch.lengths) for batch in batches)
    assert 0.2 * clips < joined < 0.7 * clips


def test_plain_batches_name_their_examples(corpus: Corpus) -> None:
    seen = []
    for indices, batch in plain_batches(corpus.examples, batch_size=10):
        for row, i in enumerate(indices):
            seen.append(i)
            assert torch.equal(batch.x[row, : batch.lengths[row]], corpus.examples[i].pose)
    assert sorted(seen) == list(range(len(corpus.examples)))


def test_the_origins_are_told(corpus: Corpus) -> None:
    assert corpus.origins == (f"{STICK.about} {STICK.terms}",)
