from __future__ import annotations

from pathlib import Path

import numpy as np

from inkling.models.skeletons import BODY13
from inkling.training.data.pose_dataset import Clip, PoseDataset, Split
from inkling.training.data.pose_sets import label_set, renamed_sets, same_folders, untrained_labels
from inkling.training.recipe.sections import Source


def a_set(name: str, *clips: tuple[str, Split]) -> tuple[Source, PoseDataset]:
    poses, times = np.zeros((2, 13, 3), np.float32), np.arange(2.0)
    found = tuple(Clip("p", i + 2, label or None, split, "g", poses, times) for i, (label, split) in enumerate(clips))
    return Source(path=Path(name)), PoseDataset(Path(name), BODY13, 10.0, "", "", found)


def test_labels_are_renamed_and_to_nothing_is_unlabelled() -> None:
    source, dataset = a_set("one", ("run", "train"), ("walk", "train"), ("", "train"), ("sit", "test"))
    source = source.model_copy(update={"rename": {"run": "move", "walk": "", "fly": "move", "dig": "x"}})
    (found,), problems = renamed_sets([(source, dataset)], measured=True)
    assert [clip.label or "" for clip in found.clips] == ["move", "", "", "sit"]
    assert [problem.reason for problem in problems] == [
        *("the recipe renames 'dig', no clip has it", "the recipe renames 'fly', no clip has it")
    ]
    (found,), _ = renamed_sets([(source, dataset)], measured=False)
    assert [clip.label or "" for clip in found.clips] == ["move"], "labelled training clips"


def test_labels_are_those_of_training_clips_of_any_set_and_the_background() -> None:
    sets, _ = renamed_sets([a_set("one", ("b", "train"), ("c", "test")), a_set("two", ("a", "train"))], measured=True)
    assert label_set(sets, None) == ("a", "b")
    assert label_set(sets, "idle") == ("a", "b", "idle")


def test_the_first_clip_of_a_label_that_is_never_trained_is_named() -> None:
    (found,), _ = renamed_sets([a_set("one", ("a", "train"), ("c", "test"), ("c", "val"))], measured=True)
    assert [(problem.row, problem.reason) for problem in untrained_labels(found, ["a"])] == [
        (3, "label 'c' has no training clip")
    ]


def test_a_folder_is_recognised_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "alias").symlink_to("one")
    own, other, alias = (a_set(str(tmp_path / name)) for name in ("one", "two", "alias"))
    assert [problem.file for problem in same_folders([own], [other, alias])] == [tmp_path / "alias"]


def test_what_is_left_out_is_neither_learned_nor_tested_but_its_test_clips_are_kept_aside() -> None:
    sets = [a_set("one", ("a", "train"), ("b", "train"), ("b", "test")), a_set("two", ("b", "val"), ("c", "test"))]
    (one, two), problems = renamed_sets(sets, measured=True, left_out=("b", "d"))
    assert [[clip.label for clip in each.clips] for each in (one, two)] == [["a"], ["c"]]
    assert [[clip.row for clip in each.left_out] for each in (one, two)] == [[4], []]
    assert label_set([one, two], None) == ("a",)
    assert [problem.reason for problem in problems] == ["unknown.left_out has 'd', no clip has it"]
