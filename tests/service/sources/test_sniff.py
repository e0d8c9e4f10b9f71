from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkling.service.sources.address import Address
from inkling.service.sources.camera_pictures import ONE_PICTURE
from inkling.service.sources.failure import Failure, resolve
from inkling.service.sources.http_reader import ResponseBody, SourceClient
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.sniff import gives_pictures, index_is_last
from tests.service.sources.cameras import make_video, reply, serving
from tests.service.sources.test_camera_pictures import send
from tests.service.sources.test_multipart import ODD, PICTURES, PNG


@contextlib.contextmanager
def body(data: bytes, kind: str, length: bool = True) -> Iterator[ResponseBody]:
    """An answer over real HTTP, not yet read."""

    def answer(request: object) -> None:
        reply(request, data, kind) if length else send(request, [data], kind)  # type: ignore[arg-type]

    with serving(answer) as port:
        address = Address.parse(f"http://127.0.0.1:{port}/")
        client = SourceClient(address, SourcePolicy(hosts=("127.0.0.1",)), resolve, 5.0)
        with contextlib.closing(client):
            yield client.open(address.url)


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd not in ("a preamble", "no dashes")])
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream"])
def test_a_camera_is_known_under_a_wrong_type(odd: str, kind: str) -> None:
    with body(ODD[odd][1], kind, length=False) as answer:
        assert gives_pictures(answer)
        assert answer.peek(1)[:20] == ODD[odd][1][:20]


@pytest.mark.parametrize(
    ("data", "length"),
    [(PICTURES[0], True), (PICTURES[0] + b"\r\n", True), (PNG, True), (PNG, False), (b"RIFF1234WEBP" + PNG, True)],
)
@pytest.mark.parametrize("kind", ["image/jpeg", "text/plain"])
def test_a_single_picture_is_refused_with_what_to_set(data: bytes, length: bool, kind: str) -> None:
    with body(data, kind, length) as answer, pytest.raises(Failure) as caught:
        gives_pictures(answer)
    assert str(caught.value) == ONE_PICTURE


def test_what_is_no_video_is_refused_by_name() -> None:
    with body(b"%PDF-1.4", "video/mp4") as answer, pytest.raises(Failure, match="this is a PDF document, not a video"):
        gives_pictures(answer)


def test_recordings_are_no_cameras(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi"):
        with body(make_video(tmp_path / name, frames=3).read_bytes(), "video/x") as answer:
            assert not gives_pictures(answer)
    with body(b"".join(PICTURES), "video/x-motion-jpeg") as answer:
        assert not gives_pictures(answer)


def box(kind: bytes, size: int = 0) -> bytes:
    return (8 + size).to_bytes(4, "big") + kind + bytes(size)


@pytest.mark.parametrize(
    ("data", "last"),
    [
        (box(b"ftyp", 16) + box(b"free") + box(b"mdat", 50) + box(b"moov", 10), True),
        (box(b"ftyp", 16) + box(b"uuid", 100_000) + box(b"mdat", 50), True),
        (box(b"wide") + b"\0\0\0\1mdat" + (2**33).to_bytes(8, "big"), True),
        (box(b"ftyp", 16) + b"\0\0\0\0mdat", True),
        (box(b"ftyp", 16) + box(b"moov", 10) + box(b"mdat", 50), False),
        (box(b"ftyp", 16) + box(b"moof", 10), False),
        (box(b"ftyp", 16) + b"\0\0\0\0free", False),
        (box(b"ftyp", 16) + box(b"free", 2**21) + box(b"mdat"), False),
        (box(b"ftyp", 16), False),
        (b"\x1aE\xdf\xa3" + bytes(100), False),
        (b"", False),
    ],
)
def test_an_index_at_the_end_is_seen_from_the_begin(data: bytes, last: bool) -> None:
    with body(data, "video/mp4") as answer:
        assert index_is_last(answer) is last


def test_real_files_say_where_their_index_is(tmp_path: Path) -> None:
    for flags, last in (("disable_chpl", True), ("faststart", False), ("frag_keyframe", False)):
        path = make_video(tmp_path / f"{flags}.mp4", frames=5, movflags=flags)
        with body(path.read_bytes(), "video/mp4") as answer:
            assert index_is_last(answer) is last
