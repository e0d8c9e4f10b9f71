from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.clips.formats import csv_table
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip, TooLarge


def read(text: str) -> PoseClip:
    return csv_table.read(text.encode(), Bounds(100, 10**6))


def test_lines_of_one_time_are_people_of_one_frame_and_an_empty_cell_is_a_missing_joint() -> None:
    clip = read("pts_s,track,a_x,a_y,b_x,b_y\n0.5,anna,1,2,3,4\n0.5,7,5,6,,\n1,7,1,1,2,2\n")
    assert clip.pts_s is not None
    assert clip.pts_s.tolist() == [0.5, 1.0]
    assert clip.present["anna"].tolist() == [True, False]
    assert clip.people["anna"][0].tolist() == [[1, 2], [3, 4]]
    assert np.isnan(clip.people[7][0, 1]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a_x,a_y,b_x\n", "header"),
        ("a_x,a_y,pts_s\n1,2,3\n", "come first"),
        ("a_x,a_y\n1\n", "line 2"),
        ("a_x,a_y\n1,two\n", "two|number"),
        (f"a_x,a_y\n1,{'2' * 70000}\n", "longer"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(BadClip, match=words):
        read(text)


@given(st.text(max_size=200))
def test_any_text_is_a_clip_or_a_typed_error(text: str) -> None:
    try:
        clip = csv_table.read(f"a_x,a_y\n{text}".encode("utf-8", "replace"), Bounds(50, 1000))
    except (BadClip, TooLarge):
        return
    assert clip.frames <= 50
