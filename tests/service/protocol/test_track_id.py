from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.track_id import MAX_TRACK, MAX_TRACK_TEXT, UNTRACKED, clashing, read_track

TRACKS = st.one_of(st.integers(0, MAX_TRACK - 1), st.text(min_size=1, max_size=MAX_TRACK_TEXT))


@given(TRACKS)
def test_a_track_is_given_back_as_it_came(track: int | str) -> None:
    read = read_track(json.loads(json.dumps(track)))
    assert (read, type(read)) == (track, type(track))


@pytest.mark.parametrize("nobody", [None, -1, -1.0])
def test_who_is_not_tracked_has_one_name(nobody: object) -> None:
    assert read_track(nobody) == UNTRACKED


@pytest.mark.parametrize(
    "wrong", [-2, MAX_TRACK, 1.5, 2.0**53, float("nan"), float("inf"), "", "x" * 65, True, [], {}, b"x", 10**4000]
)
def test_anything_else_is_refused_in_a_short_sentence(wrong: object) -> None:
    with pytest.raises(ValueError, match="a track is a whole number from 0") as refused:
        read_track(wrong)
    assert len(str(refused.value)) < 250


def test_a_whole_float_is_the_number_that_it_holds() -> None:
    assert (read_track(7.0), type(read_track(7.0))) == (7, int)


@given(st.lists(st.one_of(TRACKS, st.just(UNTRACKED)), max_size=6))
def test_those_without_a_track_clash_where_there_are_several(tracks: list[int | str]) -> None:
    nameless = [index for index, track in enumerate(tracks) if track == UNTRACKED]
    assert clashing(tracks) == (nameless if len(nameless) > 1 else [])
