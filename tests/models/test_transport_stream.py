from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.transport_stream import PACKET, LossFinder, stride_of
from tests.films import make_film, pictures

PID = 256


def packet(counter: int, begins: bool = False, pid: int = PID, fill: int = 0) -> bytes:
    return bytes([0x47, begins << 6 | pid >> 8, pid & 255, 0x10 | counter % 16]) + bytes([fill]) * (PACKET - 4)


def damaged(packets: list[bytes], pieces: list[int] | None = None) -> set[int]:
    """The places of the pieces that are said to lack something, fed in pieces of these sizes."""
    data, finder, place = b"".join(packets), LossFinder(PACKET, 0), 0
    for size in [*(pieces or []), len(data)]:
        finder.feed(data[place : place + size], place)
        place = min(place + size, len(data))
    return {i * PACKET for i in range(len(packets)) if finder.is_damaged(PID, i * PACKET)}


PIECES = [packet(i, begins=i % 5 == 0) for i in range(40)]


def test_a_whole_stream_lacks_nothing() -> None:
    assert damaged(PIECES) == set()


@pytest.mark.parametrize("lost", range(1, 39))
def test_what_lacks_a_packet_is_the_piece_that_it_was_lost_from(lost: int) -> None:
    """Or the piece before, where a whole beginning is lost: what follows it then belongs to nothing."""
    begun = (lost if lost % 5 else lost - 1) // 5 * 5
    assert damaged(PIECES[:lost] + PIECES[lost + 1 :]) == {begun * PACKET}


@given(st.sets(st.integers(1, 39), max_size=12), st.lists(st.integers(1, 900), max_size=30))
def test_it_does_not_matter_in_which_pieces_the_bytes_come(lost: set[int], sizes: list[int]) -> None:
    kept = [piece for i, piece in enumerate(PIECES) if i not in lost]
    assert damaged(kept, sizes) == damaged(kept)


def test_a_packet_that_is_sent_twice_is_no_loss_and_sixteen_lost_ones_are() -> None:
    assert damaged([*PIECES[:8], PIECES[7], *PIECES[8:]]) == set()
    different = [packet(i, begins=i % 5 == 0, fill=i) for i in range(40)]
    assert damaged(different[:8] + different[23:]) == {5 * PACKET}


def test_other_streams_count_for_themselves() -> None:
    others = [packet(7, pid=99), packet(3, pid=99), packet(9, pid=0x1FFF)]
    assert damaged([*PIECES[:4], *others, *PIECES[4:]]) == set()


def test_a_packet_marked_as_broken_is_a_loss() -> None:
    broken = bytearray(PIECES[7])
    broken[1] |= 0x80
    assert damaged([*PIECES[:7], bytes(broken), *PIECES[8:]]) == {5 * PACKET}


def test_bytes_that_are_read_again_change_nothing() -> None:
    finder, data = LossFinder(PACKET, 0), b"".join(PIECES)
    for place in (0, 10 * PACKET, 0, 5):
        finder.feed(data[place:], place)
    assert not any(finder.is_damaged(PID, i * PACKET) for i in range(40))


def test_a_real_stream_is_known_by_its_head_and_other_files_are_not(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.ts", pictures(10), 25.0, "mpeg2video", "yuv420p", base=Fraction(1, 25))
    data = film.read_bytes()
    assert stride_of(data[:4096]) == (188, 0)
    timed = b"".join(bytes(4) + data[i : i + 188] for i in range(0, len(data), 188))
    assert stride_of(timed[:4096]) == (192, 4)
    assert stride_of(np.random.default_rng(0).bytes(4096)) is None
    assert stride_of(b"") is None
