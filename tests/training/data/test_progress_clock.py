from __future__ import annotations

import pytest

from inkling.training.data.progress_clock import progress_frames


def test_each_level_sees_the_last_frame_that_is_observed_by_then() -> None:
    assert progress_frames(20, 10) == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert progress_frames(7, 3) == [2, 4, 6]


def test_the_last_level_sees_the_end_and_no_level_the_future() -> None:
    for frames in range(1, 60):
        found = progress_frames(frames, 10)
        assert found[-1] == frames - 1
        assert all(index + 1 >= frames * level / 10 > index for level, index in enumerate(found, 1))


def test_a_clip_of_fewer_frames_than_levels_shows_some_twice() -> None:
    assert progress_frames(2, 4) == [0, 0, 1, 1]


@pytest.mark.parametrize(("frames", "levels"), [(0, 10), (5, 0)])
def test_a_clip_has_a_frame_and_a_level(frames: int, levels: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        progress_frames(frames, levels)
