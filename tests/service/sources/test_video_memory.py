"""What fetching a source is given: as much as was measured, and more when that was too little."""

from __future__ import annotations

import pytest

from inkling.service.sources.video_memory import FIRST, MIB, MOST, video_bytes


@pytest.mark.parametrize(
    ("width", "height", "measured"), [(640, 480, 9), (1280, 720, 19), (1920, 1080, 37), (3840, 2160, 134)]
)
def test_what_is_given_is_more_than_what_was_measured_and_not_much_more(width: int, height: int, measured: int) -> None:
    assert measured * MIB < video_bytes(width, height) <= max(1.2 * measured * MIB, FIRST)


def test_a_second_try_gets_more_up_to_a_bound() -> None:
    assert video_bytes(1920, 1080, 2) == 2 * video_bytes(1920, 1080)
    assert video_bytes(4096, 4096, 64) == MOST
