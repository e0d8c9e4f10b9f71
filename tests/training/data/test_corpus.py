from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models import skeletons
from inkling.models.clock import step_frames
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile
from inkling.training.data.spans import Span
from inkling.training.errors import DataError
from inkling.training.labels import UNLABELLED, anything_but
from inkling.training.recipe.recipe import Recipe
from tests.training.support import STICK, read_rows, stick_clip, tiny_recipe, write_rows, write_stick_set


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


def test_the_origins_are_told(corpus: Corpus) -> None:
    assert corpus.origins == (f"{STICK.about} {STICK.terms}",)


def two_stages(**changes: Any) -> Recipe:
    return tiny_recipe(pretraining={"datasets": [{"path": "more"} | changes]})


def test_of_what_is_learned_first_only_labelled_training_clips_are_taken(root: Path) -> None:
    actions = ("raise", "kick", "wave")
    write_stick_set(root / "more", train=4, test=2, actions=actions, unlabelled=3, seed=9)
    corpus = load_corpus(two_stages(rename={"wave": ""}), root)
    first = corpus.pretraining
    assert first is not None
    assert first.labels == ("kick", "raise")
    assert Counter((e.target, e.split, e.source) for e in first.examples) == {
        (0, "train", "more"): 4,
        (1, "train", "more"): 4,
    }
    alone = load_corpus(tiny_recipe(), root)
    assert (corpus.labels, corpus.own_labels, corpus.origins) == (alone.labels, alone.own_labels, alone.origins)
    assert {e.source for e in corpus.examples} == {"sticks"}
    assert set(corpus.tests()) == {"sticks"}


def test_a_label_that_is_only_tested_is_no_problem_of_what_is_learned_first(root: Path, tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2)
    write_stick_set(tmp_path / "more", train=2, test=1, actions=("raise", "kick", "wave"))
    rows = read_rows(tmp_path / "more")
    write_rows(tmp_path / "more", [row for row in rows if (row["label"], row["split"]) != ("wave", "train")])
    first = load_corpus(two_stages(), tmp_path).pretraining
    assert first is not None
    assert first.labels == ("kick", "raise")


def test_what_is_learned_first_is_mapped_onto_the_skeleton_of_the_recipes_own_set(tmp_path: Path) -> None:
    poses = np.random.default_rng(0).uniform(1, 9, (10, 17, 3)).astype(np.float32)
    thirteen = skeletons.mapping(skeletons.get("coco17"), skeletons.BODY13).apply(poses)
    for name, skeleton, keypoints in (("sticks", "body13", thirteen), ("more", "coco17", poses)):
        clips = [NewClip(f"{label}{i}", keypoints, label, "train") for label in ("a", "b") for i in range(2)]
        write(tmp_path / name, DatasetFile(skeleton=skeleton, fps=10), clips)
    corpus = load_corpus(two_stages(), tmp_path)
    assert corpus.pretraining is not None
    assert corpus.pretraining.skeleton == corpus.skeleton == skeletons.BODY13
    np.testing.assert_array_equal(corpus.pretraining.examples[0].pose.numpy(), thirteen)


def test_the_digest_sees_what_is_learned_first(root: Path, tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2)
    digests = set()
    for seed in (0, 1):
        write_stick_set(tmp_path / f"{seed}", train=2, seed=seed)
        recipe = tiny_recipe(pretraining={"datasets": [{"path": f"{seed}"}]})
        digests.add(load_corpus(recipe, tmp_path).digest())
    assert len(digests | {load_corpus(tiny_recipe(), tmp_path).digest()}) == 3


def test_a_set_cannot_be_learned_first_under_another_name(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2)
    (tmp_path / "more").symlink_to(tmp_path / "sticks")
    with pytest.raises(DataError, match="more: is a data set of the recipe itself"):
        load_corpus(two_stages(), tmp_path)


def test_problems_of_what_is_learned_first_are_told_with_those_of_the_rest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_corpus(two_stages(), tmp_path)
    assert [problem.file.parent.name for problem in caught.value.problems] == ["sticks", "more"]
    write_stick_set(tmp_path / "sticks", train=2)
    coco = np.ones((10, 17, 3), np.float32)
    write(tmp_path / "more", DatasetFile(skeleton="coco17", fps=10), [NewClip("one", coco, "a", "train")])
    with pytest.raises(DataError) as caught:
        load_corpus(two_stages(rename={"b": "c"}), tmp_path)
    said = str(caught.value)
    for problem in ("the recipe renames 'b'", "pretraining needs clips of at least two labels", "coco17 has only"):
        assert problem in said


def spans_set(root: Path) -> None:
    """A recording of a raise between quiet times, beside the sticks."""
    spans = (Span("!raise", 0.0, 1.0), Span("raise", 1.5, 3.0), Span("nod", 3.0))
    poses = stick_clip("nod", 100, 0)
    clips = [
        NewClip("long0", poses, "", "train", spans=spans),
        NewClip("long1", poses, "", "test", spans=spans),
        NewClip("other", poses, "!nod", "test"),
    ]
    write(root / "long", STICK, clips)
    write_stick_set(root / "sticks", train=2, test=0)


def test_a_clip_with_spans_has_a_target_at_each_step(tmp_path: Path) -> None:
    spans_set(tmp_path)
    corpus = load_corpus(tiny_recipe(datasets=[{"path": "sticks"}, {"path": "long"}]), tmp_path)
    assert corpus.labels == ("nod", "raise", "spread")
    example = next(e for e in corpus.examples if e.source == "long")
    assert example.step_targets is not None
    assert example.step_targets.tolist() == [anything_but(1)] * 10 + [UNLABELLED] * 5 + [1] * 15 + [0] * 20
    assert example.target == 0
    assert corpus.own_labels["long"] == (0, 1)


def test_labelled_stretches_are_measured_led_in_by_what_came_before_and_exclusions_are_not(tmp_path: Path) -> None:
    spans_set(tmp_path)
    corpus = load_corpus(tiny_recipe(datasets=[{"path": "sticks"}, {"path": "long"}]), tmp_path)
    measured = corpus.tests()["long"]
    assert [(e.target, e.lead, len(e.pose)) for e in measured] == [(1, 15, 30), (0, 30, 50)]
    assert [e.path for e in corpus.watched()["long"]] == ["poses/long1.npz", "poses/other.npz"]


def test_a_recipe_may_make_a_label_anything_but_another(tmp_path: Path) -> None:
    spans_set(tmp_path)
    renamed = {"path": "long", "rename": {"nod": "!raise", "raise": "lift"}}
    corpus = load_corpus(tiny_recipe(datasets=[{"path": "sticks"}, renamed]), tmp_path)
    lift, up = corpus.labels.index("lift"), corpus.labels.index("raise")
    example = next(e for e in corpus.examples if e.source == "long")
    assert example.step_targets is not None
    runs = [target for target, _ in groupby(example.step_targets.tolist())]
    assert runs == [anything_but(lift), UNLABELLED, lift, anything_but(up)]
    assert example.target == lift
    assert "poses/other.npz" not in {e.path for e in corpus.examples}, "anything but 'anything but X' says nothing"


def test_an_excluded_label_that_nothing_is_trained_on_is_refused(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=0)
    write(tmp_path / "long", STICK, [NewClip("a", stick_clip("nod", 100, 0), "", "train", spans=(Span("!fal"),))])
    with pytest.raises(DataError, match="label 'fal' has no training clip"):
        load_corpus(tiny_recipe(datasets=[{"path": "sticks"}, {"path": "long"}]), tmp_path)


def test_the_digest_knows_where_spans_lie(tmp_path: Path) -> None:
    spans_set(tmp_path)
    recipe = tiny_recipe(datasets=[{"path": "sticks"}, {"path": "long"}])
    before = load_corpus(recipe, tmp_path).digest()
    table = tmp_path / "long" / "spans.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("1.5", "1.7"), encoding="utf-8")
    assert load_corpus(recipe, tmp_path).digest() != before


def anticipating(lead_s: float, **changes: Any) -> Recipe:
    sources = [{"path": "sticks"}, {"path": "long"}]
    return tiny_recipe(datasets=sources, task="anticipation", lead_s=lead_s, **changes)


def test_a_recording_is_labelled_by_what_is_under_way_later_and_a_clip_of_one_action_by_itself(tmp_path: Path) -> None:
    spans_set(tmp_path)
    plain = load_corpus(tiny_recipe(datasets=[{"path": "sticks"}, {"path": "long"}]), tmp_path)
    corpus = load_corpus(anticipating(0.7), tmp_path)
    for now, later in zip(plain.examples, corpus.examples, strict=True):
        assert later.ahead == 7
        if now.step_targets is None:
            assert (later.step_targets, later.present, later.target) == (None, None, now.target)
            continue
        assert later.step_targets is not None
        assert later.present is not None
        assert later.present.tolist() == now.step_targets.tolist()
        assert later.step_targets.tolist() == (
            [anything_but(1)] * 3 + [UNLABELLED] * 5 + [1] * 15 + [0] * 20 + [UNLABELLED] * 7
        )
    assert plain.digest() != corpus.digest() != load_corpus(anticipating(0.5), tmp_path).digest()


def test_what_comes_is_measured_from_so_long_before_it_begins(tmp_path: Path) -> None:
    spans_set(tmp_path)
    measured = load_corpus(anticipating(0.7), tmp_path).tests()["long"]
    assert [(e.target, e.lead, len(e.pose), e.present) for e in measured] == [(1, 8, 23, None), (0, 23, 43, None)]


def test_a_lead_past_all_that_is_labelled_is_refused_with_the_longest_recording(tmp_path: Path) -> None:
    spans_set(tmp_path)
    with pytest.raises(
        DataError, match=r"long/clips\.csv: lead_s = 60 leads past .* \(the longest recording: 5\.0 s\)"
    ):
        load_corpus(anticipating(60.0), tmp_path)


def test_the_commonest_label_is_that_of_most_steps_of_a_sets_training_clips(tmp_path: Path) -> None:
    spans_set(tmp_path)
    (tmp_path / "sticks" / "clips.csv").write_text(
        "path,label,split\n" + "".join(f"poses/{name}0.npz,{name},train\n" for name in ("raise", "spread", "nod"))
        + "poses/spread1.npz,spread,train\n"
    )  # fmt: skip
    corpus = load_corpus(anticipating(0.7), tmp_path)
    assert [corpus.labels[corpus.commonest_label(name)] for name in ("sticks", "long")] == ["spread", "nod"]
    others = replace(corpus, examples=tuple(e for e in corpus.examples if e.source == "sticks"))
    assert corpus.labels[others.commonest_label("long")] == "spread", "a set that trains nothing has that of all"


def test_clips_of_a_label_that_is_left_out_are_kept_for_measuring_alone(root: Path, corpus: Corpus) -> None:
    less = load_corpus(tiny_recipe(unknown={"left_out": ["spread"]}), root)
    assert less.labels == ("nod", "raise")
    assert [e.path for e in less.left_out] == [f"poses/spread{i}.npz" for i in range(12, 16)]
    assert {e.target for e in less.left_out} == {UNLABELLED}
    assert {e.path for e in less.examples} == {e.path for e in corpus.examples if "spread" not in e.path}
    assert not corpus.left_out
