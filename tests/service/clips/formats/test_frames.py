from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.clips.formats.frames import Bounds, PersonFrames
from inkling.service.protocol.errors import BadClip, TooLarge

_joint = st.one_of(st.none(), st.lists(st.floats(-1e5, 1e5, width=32), min_size=3, max_size=3))
_frame = st.one_of(st.none(), st.lists(_joint, min_size=4, max_size=4))


@given(st.lists(_frame, min_size=1, max_size=150))
def test_frames_come_out_as_they_went_in(frames: list[list[list[float] | None] | None]) -> None:
    person = PersonFrames(Bounds(1000, 10**6), "somebody")
    for frame in frames:
        person.add(frame)
    if all(frame is None for frame in frames):
        with pytest.raises(BadClip, match="somebody"):
            person.finish()
        return
    array, present = person.finish()
    assert present.tolist() == [frame is not None for frame in frames]
    for row, frame in zip(array, frames, strict=True):
        for numbers, joint in zip(row, frame or [], strict=frame is not None and len(row) == 4):
            assert np.isnan(numbers).all() if joint is None else numbers.tolist() == joint


def test_bounds_hold_before_anything_is_kept() -> None:
    person = PersonFrames(Bounds(frames=2, numbers=10**6), "somebody")
    person.add(None)
    person.add(None)
    with pytest.raises(TooLarge, match="2 frames"):
        person.add(None)
    with pytest.raises(TooLarge, match="numbers"):
        Bounds(9, 5).take(6)
