"""What fetching a source is given: as much as was measured, and more when that was too little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.memory_account import MemoryAccount
from inkling.service.protocol.errors import OverCapacity
from inkling.service.sources.video_memory import FIRST, MIB, MOST, PROCESS, VideoMemory, video_bytes


@pytest.mark.parametrize(
    ("width", "height", "measured"), [(640, 480, 9), (1280, 720, 19), (1920, 1080, 37), (3840, 2160, 134)]
)
def test_what_is_given_is_more_than_what_was_measured_and_not_much_more(width: int, height: int, measured: int) -> None:
    assert measured * MIB < video_bytes(width, height) <= max(1.2 * measured * MIB, FIRST)


def test_a_second_try_gets_more_up_to_a_bound() -> None:
    assert video_bytes(1920, 1080, 2) == 2 * video_bytes(1920, 1080)
    assert video_bytes(4096, 4096, 64) == MOST


def test_a_source_takes_what_its_pictures_take_once_they_are_known() -> None:
    account = MemoryAccount(1024 * MIB)
    memory = VideoMemory(account.share("sources"))
    memory.reserve()
    assert account.promised["sources"] == PROCESS + FIRST
    assert memory.fit(3840, 2160) == video_bytes(3840, 2160) - FIRST
    assert memory.fit(640, 480) == 0, "a smaller picture gives nothing back while it is connected"
    memory.close()
    assert account.promised["sources"] == 0


def test_what_was_too_little_is_twice_as_much_on_the_next_connection() -> None:
    memory = VideoMemory(MemoryAccount(4096 * MIB).share("sources"))
    memory.fit(1920, 1080)
    memory.was_too_little()
    assert memory.video_bytes == 2 * video_bytes(1920, 1080)
    assert memory.fit(1920, 1080) == 0
    for _ in range(9):
        memory.was_too_little()
    assert memory.video_bytes == MOST


@given(st.lists(st.tuples(st.integers(1, 4096), st.integers(1, 4096)), max_size=8), st.integers(64, 512))
def test_a_refusal_keeps_nothing(sizes: list[tuple[int, int]], limit: int) -> None:
    account = MemoryAccount(limit * MIB)
    memory = VideoMemory(account.share("sources"))
    for width, height in sizes:
        try:
            memory.fit(width, height)
        except OverCapacity:
            assert account.promised["sources"] == 0
        else:
            assert account.promised["sources"] == PROCESS + memory.video_bytes
