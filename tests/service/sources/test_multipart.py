from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import cv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.service.sources.multipart import MAX_LINE, BadMultipart, MultipartParser, Part
from tests.service.sources.cameras import jpeg
from tests.service.sources.test_jpeg_end import FILES
from tests.support import picture

TYPE = "multipart/x-mixed-replace; boundary=frame"
MAX = 20_000
PICTURES = [jpeg(48, 64, seed) for seed in range(3)]
PNG = bytes(cv2.imencode(".png", picture(24, 32, 0))[1].tobytes())


def parse(data: bytes, kind: str = TYPE, step: int = 0, max_bytes: int = MAX) -> list[Part]:
    parser = MultipartParser(kind, max_bytes)
    return [part for chunk in split(data, step) for part in parser.feed(chunk)]


def split(data: bytes, step: int) -> Iterable[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)] if step else [data]


def stream(
    boundary: str = "--frame",
    head: str = "Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n",
    end: str = "\r\n",
    before: str = "",
    pictures: Iterable[bytes] = PICTURES,
) -> bytes:
    """Parts as a camera sends them: `before`, the boundary on its line, `head`, the picture, `end`."""
    return b"".join(
        f"{before}{boundary}\r\n{head.format(length=len(one))}".encode() + one + end.encode() for one in pictures
    )


ODD = {
    "as it should be": (TYPE, stream()),
    "a blank line before the boundary": (TYPE, stream(before="\r\n\r\n")),
    "no first boundary": (TYPE, stream().removeprefix(b"--frame\r\n")),
    "a boundary twice": (TYPE, stream(boundary="--frame\r\n--frame")),
    "a boundary twice with a blank line": (TYPE, stream(boundary="--frame\r\n\r\n--frame")),
    "dashes announced": ("multipart/x-mixed-replace;boundary=--frame", stream()),
    "dashes announced and doubled": ("multipart/x-mixed-replace;boundary=--frame", stream(boundary="----frame")),
    "no dashes": (TYPE, stream(boundary="frame")),
    "quotes": ('multipart/x-mixed-replace; boundary="frame"', stream()),
    "half a quote": ('multipart/x-mixed-replace; boundary="frame', stream()),
    "another boundary": ("multipart/x-mixed-replace; boundary=other", stream()),
    "no boundary announced": ("multipart/x-mixed-replace", stream()),
    "an end after each": (TYPE, stream(end="\r\n--frame--\r\n")),
    "image/jpg": (TYPE, stream(head="Content-Type: image/jpg\r\n\r\n")),
    "a charset": (TYPE + "; charset=utf-8", stream(head="Content-Type: image/jpeg; charset=utf-8\r\n\r\n")),
    "no type": (TYPE, stream(head="Content-Length: {length}\r\n\r\n")),
    "no headers": (TYPE, stream(head="\r\n")),
    "not even their end": (TYPE, stream(head="")),
    "a blank line before the headers": (TYPE, stream(head="\r\nContent-Type: image/jpeg\r\n\r\n")),
    "blank lines before the picture": (TYPE, stream(head="Content-Type: image/jpeg\r\n\r\n\r\n\r\n")),
    "one byte too few": (TYPE, stream(head="Content-Length: 1\r\n\r\n")),
    "a hundred too many": (TYPE, stream(head="Content-Length: 1{length}\r\n\r\n")),
    "a length that is none": (TYPE, stream(head="Content-Length: -5\r\nContent-Length: many\r\n\r\n")),
    "line feeds only": (TYPE, stream().replace(b"\r\n", b"\n")),
    "nothing after the picture": (TYPE, stream(end="")),
    "zeros after the picture": (TYPE, stream(end="\0" * 40 + "\r\n")),
    "headers of no meaning": (TYPE, stream(head="X-A: b\r\nServer: x\r\nContent-type : image/jpeg\r\n\r\n")),
    "one picture after the other": ("image/jpeg", b"".join(PICTURES)),
    "a boundary at the start only": (TYPE, b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + b"".join(PICTURES)),
    "a preamble": (TYPE, b"a camera says\nhello: you\r\n\r\n" + stream()),
    "text between": (TYPE, stream(end="\r\n--frame\r\nContent-Type: text/plain\r\n\r\nmotion: 1\r\n")),
}


@pytest.mark.parametrize("step", [0, 1, 1000])
@pytest.mark.parametrize("odd", ODD)
def test_every_camera_is_understood(odd: str, step: int) -> None:
    kind, data = ODD[odd]
    assert parse(data, kind, step) == [Part(one) for one in PICTURES]


@pytest.mark.parametrize("odd", ODD)
def test_a_picture_is_there_with_its_last_byte(odd: str) -> None:
    """A camera that sends one a second is not a second late."""
    kind, data = ODD[odd]
    parser = MultipartParser(kind, MAX)
    for one in PICTURES:
        until = data.index(one) + len(one)
        before, last, data = data[: until - 1], data[until - 1 : until], data[until:]
        assert list(parser.feed(before)) == []
        assert list(parser.feed(last)) == [Part(one)]


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_jpeg_comes_whole(kind: str) -> None:
    assert parse(stream(pictures=[FILES[kind]] * 2, head="Content-Length: 9\r\n\r\n")) == [Part(FILES[kind])] * 2


@pytest.mark.parametrize("head", ["Content-Type: image/png\r\n\r\n", "Content-Length: 20\r\n\r\n", ""])
def test_a_png_comes_whole(head: str) -> None:
    assert parse(stream(pictures=[PNG, PNG], head=head), step=5) == [Part(PNG), Part(PNG)]


def test_a_part_that_is_cut_short_ends_where_the_next_begins() -> None:
    cut = PICTURES[0][:-300]
    wanted = [Part(cut, whole=False), Part(PICTURES[1]), Part(cut, whole=False), Part(PICTURES[2])]
    pictures = [cut, PICTURES[1], cut, PICTURES[2]]
    for head in ("Content-Length: 9999\r\n\r\n", "Content-Length: {length}\r\n\r\n", "\r\n"):
        for step in (0, 1, 50):
            assert parse(stream(pictures=pictures, head=head), step=step) == wanted
    assert parse(b"".join(pictures), "image/jpeg") == wanted


def test_what_is_no_picture_that_is_known_ends_after_its_length_or_at_the_boundary() -> None:
    head = "Content-Type: image/x\r\nContent-Length: {length}\r\n\r\n"
    assert parse(stream(pictures=[b"ab\r\ncd"], head=head)) == [Part(b"ab\r\ncd")]
    assert parse(stream(pictures=[b"abc", b""], head="Content-Type: image/x\r\n\r\n")) == [Part(b"abc")]
    assert parse(stream(pictures=[b"abc", b""], head="Content-Length: 30\r\n\r\n")) == [Part(b"abc", whole=False)]


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("12.5", 12.5),
        ("1732800000.123456", 1732800000.123456),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1732800000123", None),
        ("noon", None),
        ("", None),
    ],
)
def test_the_cameras_own_time_is_taken_when_it_is_one(said: str, understood: float | None) -> None:
    data = stream(head=f"X-Timestamp: {said}\r\nContent-Type: image/jpeg\r\n\r\n")
    assert [part.timestamp_s for part in parse(data)] == [understood] * 3
    (first, *_) = parse(data.removeprefix(b"--frame\r\n"))
    assert first.timestamp_s == understood


def test_a_time_is_not_that_of_the_next_part() -> None:
    data = stream(head="X-Timestamp: 3\r\n\r\n", pictures=PICTURES[:1]) + stream(head="", pictures=PICTURES[1:])
    assert [part.timestamp_s for part in parse(data)] == [3.0, None, None]


def test_a_boundary_among_pixels_would_be_noticed_only_as_a_line() -> None:
    comment = b"\xff\xfe\x00\x0dx--framexyz"
    inside = PICTURES[0][:2] + comment + PICTURES[0][2:]
    assert parse(stream(pictures=[inside])) == [Part(inside)]


def test_a_picture_that_is_too_large_is_refused() -> None:
    assert outcome([stream()], 500) == ([], "a picture in it has more than 500 bytes")
    endless = [b"--frame\r\nContent-Type: image/x\r\n\r\n", *[bytes(100)] * 10]
    assert outcome(endless, 500) == ([], "a picture in it has more than 500 bytes")


@pytest.mark.parametrize("junk", [b"x", b"\n", b"--a\n", b"A: b\r\n", b"\r\n", b"\0\xff", b"Content-Type: text/a\n\n"])
@pytest.mark.parametrize("step", [1, 100])
def test_junk_without_a_picture_is_refused_and_not_kept(junk: bytes, step: int) -> None:
    fed = 0

    def endless() -> Iterator[bytes]:
        nonlocal fed
        while fed < 10 * MAX:
            fed += len(junk) * step
            yield junk * step

    assert outcome(endless(), MAX) == ([], f"there is no picture in {MAX} bytes of it")
    assert fed < MAX + 12_000


_PIECES = st.one_of(
    st.sampled_from(
        [
            *(b"--frame\r\n", b"--frame--\n", b"\r\n", b"\n", b"\r", b"-", b"frame\r\n", b"--other\n", b"\r\n--fra"),
            *(b"Content-Type: image/jpeg\r\n", b"Content-Length: 40\r\n", b"X-Timestamp: 1.5\n", b"\xff\xd8\xff"),
            *(b"\xff\xd9", b"\xff", b"\xd8", PICTURES[0], PICTURES[0][:-100], FILES["progressive"], PNG, PNG[:7]),
            *(b"Content-Type: text/plain\r\n\r\n", b"IEND\xaeB`\x82", b"x" * 9000, b"\xff\xda\x00\x04ab"),
        ]
    ),
    st.binary(max_size=40),
)


def outcome(data: Iterable[bytes], max_bytes: int) -> tuple[list[Part], str]:
    """What comes of it, and the error that ends it; insists on the bound."""
    parser = MultipartParser(TYPE, max_bytes)
    parts: list[Part] = []
    try:
        for chunk in data:
            parts += parser.feed(chunk)
            assert len(parser._data) <= max(max_bytes, MAX_LINE) + 300
    except BadMultipart as error:
        return parts, str(error)
    return parts, ""


@settings(max_examples=200)
@given(st.lists(_PIECES, max_size=14), st.data(), st.sampled_from([60, 3000, MAX]))
def test_any_bytes_give_the_same_parts_however_they_are_split(
    pieces: list[bytes], data: st.DataObject, max_bytes: int
) -> None:
    whole = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    edges = [0, *cuts, len(whole)]
    chunks = [whole[begin:end] for begin, end in pairwise(edges)]
    once = outcome([whole], max_bytes)
    assert outcome(chunks, max_bytes) == once
    assert outcome(split(whole, 1), max_bytes) == once
    assert all(len(part.data) <= max_bytes for part in once[0])
