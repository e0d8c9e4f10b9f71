from __future__ import annotations

from collections import Counter

from inkling.training.data.frame_dataset import Row
from inkling.training.prepare.splits import draw_groups, with_test_split


def rows(label: str, count: int, *, group: str = "", split: str = "train", start: int = 0) -> list[Row]:
    return [
        Row.model_validate({"line": 0, "path": f"x{label}/{i}.mp4", "label": label, "split": split, "group": group})
        for i in range(start, start + count)
    ]


def splits(found: tuple[Row, ...], label: str) -> Counter[str]:
    return Counter(row.split for row in found if row.label == label)


def test_a_fifth_of_every_label_is_kept_for_testing_and_it_is_said() -> None:
    found = with_test_split(rows("a", 10) + rows("b", 5) + rows("c", 20))
    assert [splits(found.rows, label)["test"] for label in "abc"] == [2, 1, 4]
    assert "7 of 35 recordings are kept for testing" in found.sentence


def test_the_same_clips_are_drawn_every_time_and_others_with_another_seed() -> None:
    clips = rows("a", 30) + rows("b", 30)
    assert with_test_split(clips).rows == with_test_split(clips).rows
    assert with_test_split(clips, seed=1).rows != with_test_split(clips).rows


def test_with_more_clips_most_test_clips_stay_test_clips() -> None:
    before = {row.path for row in with_test_split(rows("a", 50)).rows if row.split == "test"}
    after = {row.path for row in with_test_split(rows("a", 55)).rows if row.split == "test"}
    assert len(before & after) >= 8


def test_clips_of_one_group_stay_together() -> None:
    clips = [clip for person in "pqrstuvw" for label in "ab" for clip in rows(label, 3, group=person)]
    found = with_test_split(clips).rows
    sides = {person: {row.split for row in found if row.group == person} for person in "pqrstuvw"}
    assert all(len(side) == 1 for side in sides.values())
    assert sum(side == {"test"} for side in sides.values()) == 2


def test_two_recordings_of_each_label_stay_for_training() -> None:
    found = with_test_split(rows("a", 3) + rows("b", 2) + rows("c", 10))
    assert splits(found.rows, "a") == {"train": 2, "test": 1}
    assert splits(found.rows, "b") == {"train": 2}
    assert "none of b, which has too few" in found.sentence
    few = with_test_split(rows("a", 2) + rows("b", 2))
    assert few.sentence.endswith("every label needs 3 recordings")


def test_what_is_named_is_kept_and_no_share_draws_nothing() -> None:
    named = rows("a", 5) + rows("a", 1, split="test", start=5)
    assert with_test_split(named) == with_test_split(named, share=0)
    assert with_test_split(named).rows == tuple(named)
    assert with_test_split(rows("a", 10), share=0).sentence == ""
    validated = rows("a", 10) + rows("a", 4, split="val", start=10)
    assert splits(with_test_split(validated).rows, "a") == {"train": 8, "test": 2, "val": 4}


def test_a_group_with_an_unlabelled_clip_is_never_drawn() -> None:
    mixed = [clip for i in range(9) for clip in (*rows("a", 1, group=f"g{i}"), *rows("", 1, group=f"g{i}"))]
    clips = [*mixed, *rows("a", 3, group="", start=20)]
    assert {row.group for row in with_test_split(clips).rows if row.split == "test"} == {""}


def test_a_group_that_would_take_too_much_is_left() -> None:
    groups = {"large": Counter(a=90)} | {f"small{i}": Counter(a=2) for i in range(10)}
    assert "large" not in draw_groups(groups, 0.2, seed=0)
