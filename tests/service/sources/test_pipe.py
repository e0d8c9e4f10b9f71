from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.clean_decoding import Damage
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import (
    DAMAGED,
    HEADER,
    IMAGE,
    BadPipe,
    Damaged,
    Ended,
    Failed,
    FetchedFrame,
    Fetching,
    Looped,
    Opened,
    body_length,
    pack,
    unpack,
)
from tests.support import picture

texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=40)
messages = st.one_of(
    st.builds(Opened, st.integers(0, 9999), st.integers(0, 9999), texts, st.booleans()),
    st.just(Looped()),
    st.builds(Fetching, texts),
    st.builds(Ended, st.lists(texts, max_size=4).map(tuple)),
    st.builds(Failed, st.sampled_from(Cause), texts),
    st.builds(Damaged, st.dictionaries(st.sampled_from(Damage), st.integers(0, 2**32 - 1))),
)


@given(messages)
def test_what_is_packed_is_unpacked(message: Opened | Looped | Fetching | Ended | Failed | Damaged) -> None:
    header, body = (bytes(part) for part in pack(message))
    assert body_length(header) == len(body)
    assert unpack(header, body) == message


@pytest.mark.parametrize("media_s", [None, -0.5, 12.25])
def test_a_picture_comes_back_pixel_for_pixel(media_s: float | None) -> None:
    image = picture(5, 7)[:, ::-1]
    header, body = (bytes(part) for part in pack(FetchedFrame(media_s, 3.5, image, (1920, 1080))))
    again = unpack(header, body)
    assert isinstance(again, FetchedFrame)
    assert (again.media_s, again.arrived_s, body_length(header)) == (media_s, 3.5, 105)
    assert again.size == (1920, 1080)
    np.testing.assert_array_equal(again.image, image)


@given(st.binary(min_size=HEADER.size, max_size=HEADER.size), st.binary(max_size=64))
def test_any_bytes_are_a_message_or_refused(header: bytes, body: bytes) -> None:
    try:
        length = body_length(header)
        assert 0 <= length <= 4096 * 4096 * 3
        if len(body) == length:
            unpack(header, body)
    except BadPipe:
        pass


@pytest.mark.parametrize(
    "numbers", [(0, 5, 9, 9), (5, 0, 9, 9), (5000, 5, 9, 9), (5, 2**32 - 1, 9, 9), (5, 5, 0, 2**16)]
)
def test_a_picture_of_a_size_that_cannot_be_is_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(BadPipe):
        body_length(HEADER.pack(IMAGE, 0.0, 0.0, *numbers))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"cause": "bored", "message": ""}', b"\xff", b'{"cause": []}'])
def test_a_failure_that_cannot_be_read_is_refused(body: bytes) -> None:
    header = HEADER.pack(5, 0.0, 0.0, len(body), 0, 0, 0)
    with pytest.raises(BadPipe):
        unpack(header, body)


def test_text_is_kept_on_one_short_line() -> None:
    header, body = pack(Failed(Cause.CLOSED, "a\nb\x1b[31m" + "c" * 600))
    again = unpack(bytes(header), bytes(body))
    assert isinstance(again, Failed)
    assert again.message.startswith("a b [31mccc")
    assert len(again.message) == 500


@pytest.mark.parametrize("counts", ["[]", '{"lost": -1}', '{"lost": 1.5}', '{"lost": "1"}', '{"stolen": 1}', "null"])
def test_a_count_of_damage_that_cannot_be_is_refused(counts: str) -> None:
    body = f'{{"counts": {counts}}}'.encode()
    with pytest.raises(BadPipe):
        unpack(HEADER.pack(DAMAGED, 0.0, 0.0, len(body), 0, 0, 0), body)
