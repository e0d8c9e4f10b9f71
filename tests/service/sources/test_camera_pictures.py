"""Pictures over real HTTP, by the code that runs in the process that fetches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest

from inkling.models.clean_decoding import Damage
from inkling.service.inputs.frame_mapper import fitted
from inkling.service.protocol.image_binary import EncodedImage
from inkling.service.protocol.image_file import image_file
from inkling.service.sources.address import Address
from inkling.service.sources.camera_pictures import MANY_DAMAGED, ONE_PICTURE, CameraPictures
from inkling.service.sources.failure import Failure
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.live_input import open_live
from inkling.service.sources.pipe import Damaged, FetchedFrame, Opened
from tests.service.sources.cameras import jpeg, reply, serving
from tests.service.sources.test_jpeg_end import FILES
from tests.service.sources.test_multipart import ODD, PICTURES, PNG, TYPE, stream
from tests.service.sources.test_worker import job

Message = Opened | FetchedFrame | Damaged


@contextlib.contextmanager
def camera(url: str, **options: Any) -> Iterator[Iterator[Message]]:
    """What a camera gives, in this process."""
    request = job(url, **options)
    live = open_live(request, Address.parse(url), lambda message: None)
    assert isinstance(live, CameraPictures)
    with contextlib.closing(live):
        yield live.messages()


def send(request: BaseHTTPRequestHandler, chunks: Iterable[bytes], kind: str = TYPE) -> None:
    """An answer that ends with the connection."""
    request.send_response(200)
    request.send_header("content-type", kind)
    request.end_headers()
    for chunk in chunks:
        request.wfile.write(chunk)


def taken(chunks: Iterable[bytes], kind: str = TYPE, **options: Any) -> tuple[list[Message], Failure]:
    """Everything that comes of an answer, and how it ends."""
    got: list[Message] = []
    with (
        serving(lambda request: send(request, chunks, kind)) as port,
        camera(f"http://127.0.0.1:{port}/", **options) as messages,
    ):
        try:
            got += messages
        except Failure as failure:
            return got, failure
    raise AssertionError("it ended without a reason")


def seen(data: bytes, height: int = 24, width: int = 32) -> Any:
    """The pixels that a client's picture gives."""
    facts = image_file(data)
    image = EncodedImage(0, None, 0, facts.width, facts.height, 0, memoryview(data), facts)
    return fitted(image, height, width, "letterbox")


@pytest.mark.parametrize("odd", ODD)
def test_the_first_picture_is_there_before_the_camera_sends_another_byte(odd: str) -> None:
    kind, data = ODD[odd]
    first = data.index(PICTURES[0]) + len(PICTURES[0])
    go_on = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield data[:first]
        assert go_on.wait(10)
        yield data[first:]

    with (
        serving(lambda request: send(request, chunks(), kind)) as port,
        camera(f"http://127.0.0.1:{port}/") as messages,
    ):
        assert next(messages) == Opened(64, 48, "mpjpeg", live=True)
        assert isinstance(next(messages), FetchedFrame)
        go_on.set()
        assert [type(next(messages)) for _ in PICTURES[1:]] == [FetchedFrame] * 2
        with pytest.raises(Failure, match="the other side ended the stream") as caught:
            next(messages)
    assert caught.value.cause is Cause.CLOSED


def test_a_camera_and_a_client_give_the_same_pixels() -> None:
    large = jpeg(480, 640)
    (_, *frames), _ = taken([stream(pictures=[*PICTURES, large, PNG])])
    for frame, data in zip(frames, [*PICTURES, large, PNG], strict=True):
        assert isinstance(frame, FetchedFrame)
        np.testing.assert_array_equal(frame.image, seen(data))


def test_pixels_that_are_not_square_are_made_so() -> None:
    (_, wide), _ = taken([stream(pictures=PICTURES[:1])], aspect=2.0)
    (_, high), _ = taken([stream(pictures=PICTURES[:1])], aspect=0.5)
    assert isinstance(wide, FetchedFrame)
    assert isinstance(high, FetchedFrame)
    assert not wide.image[:5].any()  # 128 x 48 in 32 x 24
    assert wide.image[8:16].any()
    assert not high.image[:, :8].any()  # 64 x 96


def test_a_camera_that_hangs_on_its_side_is_turned_and_so_is_its_size() -> None:
    (_, lying), _ = taken([stream(pictures=PICTURES[:1])], aspect=2.0)
    (_, frame), _ = taken([stream(pictures=PICTURES[:1])], aspect=2.0, rotate=90)
    assert isinstance(lying, FetchedFrame)
    assert isinstance(frame, FetchedFrame)
    assert (lying.size, frame.size) == ((128, 48), (48, 128))
    assert not frame.image[:, :8].any(), "48 x 128 in 32 x 24"


def test_the_cameras_own_time_is_the_media_time() -> None:
    data = b"".join(stream(head=f"X-Timestamp: {s}\r\n\r\n", pictures=[PICTURES[0]]) for s in ("5.25", "6.5", "x"))
    (_, *frames), _ = taken([data])
    assert [frame.media_s for frame in frames if isinstance(frame, FetchedFrame)] == [5.25, 6.5, None]


def broken_scan() -> bytes:
    """A JPEG that ends as it should, and whose pixels do not."""
    data = bytearray(jpeg(96, 128))
    del data[len(data) // 2 : -20]
    return bytes(data)


@pytest.mark.parametrize(
    ("damaged", "cause"),
    [
        (PICTURES[0][:-200], Damage.LOST),
        (PICTURES[0][:-2], Damage.LOST),
        (broken_scan(), Damage.BROKEN),
        (b"\xff\xd8\xff no picture", Damage.LOST),
        (b"Not found", Damage.BROKEN),
    ],
)
def test_a_damaged_picture_is_said_and_not_given(damaged: bytes, cause: Damage) -> None:
    head = "Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    messages, _ = taken([stream(head=head, pictures=[PICTURES[0], damaged, PICTURES[1], damaged, PICTURES[2]])])
    frames = [message for message in messages if isinstance(message, FetchedFrame)]
    for frame, whole in zip(frames, PICTURES, strict=True):
        np.testing.assert_array_equal(frame.image, seen(whole))
    told = [message for message in messages if isinstance(message, Damaged)]
    assert [message.counts for message in told] == [{cause: 1}, {cause: 1}]  # the first at once, the rest at the end


def test_a_camera_that_sends_nothing_but_damage_is_given_up_with_the_reason() -> None:
    cut = [PICTURES[0][:-200]] * (MANY_DAMAGED + 1)
    messages, failure = taken([stream(pictures=cut)])
    assert [message.counts for message in messages if isinstance(message, Damaged)] == [
        {Damage.LOST: 1},
        {Damage.LOST: MANY_DAMAGED - 1},
    ]
    assert len(messages) == 2
    assert (failure.cause, str(failure)) == (
        Cause.UNREADABLE,
        "no picture can be decoded: the JPEG is cut off: it has no end",
    )


def test_a_camera_that_was_watched_is_not_given_up_for_damage() -> None:
    cut = [PICTURES[0][:-200]] * (MANY_DAMAGED + 1)
    messages, failure = taken([stream(pictures=[PICTURES[0], *cut, PICTURES[1]])])
    assert [type(message) for message in messages] == [Opened, FetchedFrame, Damaged, FetchedFrame, Damaged]
    assert failure.cause is Cause.CLOSED


def test_pictures_that_are_too_large_are_not_decoded() -> None:
    messages, failure = taken([stream()], max_pixels=64 * 48 - 1)
    assert (messages, failure.cause) == ([], Cause.UNREADABLE)
    assert "64 x 48 pixels are too large" in str(failure)


def test_what_never_has_a_picture_is_given_up() -> None:
    messages, failure = taken([b"x" * 2**20] * 17)
    assert (messages, failure.cause) == ([], Cause.UNREADABLE)
    assert "there is no picture" in str(failure)


def test_a_single_picture_without_a_length_is_known_at_its_end() -> None:
    messages, failure = taken([PICTURES[0]], "image/jpeg")
    assert len(messages) == 2
    assert (failure.cause, str(failure)) == (Cause.UNREADABLE, ONE_PICTURE)


class Snapshots:
    """A camera that answers with one picture each time. validators: of its answers; asked: those of the requests."""

    def __init__(self, *pictures: bytes, **validators: str) -> None:
        self.pictures = list(pictures)
        self.validators = {name.replace("_", "-"): value for name, value in validators.items()}
        self.asked: list[tuple[str | None, str | None]] = []

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        number = len(self.asked)
        asked = request.headers["if-none-match"], request.headers["if-modified-since"]
        self.asked.append(asked)
        body = self.pictures[min(number, len(self.pictures) - 1)]
        known = number and body == self.pictures[min(number - 1, len(self.pictures) - 1)]
        fresh = not (known and any(asked))
        request.send_response(200 if fresh else 304)
        for name, value in self.validators.items():
            request.send_header(name, value)
        request.send_header("content-type", "image/jpeg")
        if fresh:
            request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body if fresh else b"")


@contextlib.contextmanager
def polling(answer: Any, interval_s: float = 0.1) -> Iterator[Iterator[Message]]:
    with serving(answer) as port, camera(f"http://127.0.0.1:{port}/shot.jpg", interval_s=interval_s) as messages:
        yield messages


def test_a_picture_is_asked_for_at_the_interval() -> None:
    answer = Snapshots(*PICTURES, PNG)
    with polling(answer) as messages:
        assert next(messages) == Opened(64, 48, "pictures", live=True)
        frames = [frame for frame in (next(messages) for _ in range(4)) if isinstance(frame, FetchedFrame)]
    for frame, data in zip(frames, [*PICTURES, PNG], strict=True):
        np.testing.assert_array_equal(frame.image, seen(data))
    assert frames[-1].arrived_s - frames[0].arrived_s >= 0.25
    assert {frame.media_s for frame in frames} == {None}
    assert answer.asked[0] == (None, None)


def test_a_picture_that_is_the_same_counts_unless_the_server_says_so() -> None:
    with polling(Snapshots(PICTURES[0])) as messages:
        assert [type(next(messages)) for _ in range(4)] == [Opened] + [FetchedFrame] * 3
    answer = Snapshots(PICTURES[0], PICTURES[0], PICTURES[0], PICTURES[1], etag='"7"', last_modified="now")
    with polling(answer) as messages:
        assert [type(next(messages)) for _ in range(3)] == [Opened] + [FetchedFrame] * 2
    assert answer.asked[:4] == [(None, None)] + [('"7"', None)] * 3


def test_whole_seconds_tell_only_slow_pictures_apart() -> None:
    for interval_s, sent in ((0.1, None), (1.0, "Sat, 28 Nov 2026 05:00:00 GMT")):
        answer = Snapshots(*PICTURES, last_modified="Sat, 28 Nov 2026 05:00:00 GMT")
        with polling(answer, interval_s) as messages:
            assert [type(next(messages)) for _ in range(3)] == [Opened] + [FetchedFrame] * 2
        assert answer.asked[1] == (None, sent)


def test_a_damaged_snapshot_is_said_and_not_given() -> None:
    with polling(Snapshots(PICTURES[0], PICTURES[1][:-100], PICTURES[2])) as messages:
        assert [type(next(messages)) for _ in range(4)] == [Opened, FetchedFrame, Damaged, FetchedFrame]


@pytest.mark.parametrize(
    ("kind", "body", "status", "cause", "said"),
    [
        (TYPE, stream(), 200, Cause.UNREADABLE, "leave interval_s out"),
        ("video/mp4", b"", 200, Cause.UNREADABLE, "leave interval_s out"),
        ("text/html", b"<html>", 200, Cause.UNREADABLE, "the address gives text/html, not a picture"),
        ("image/jpeg", bytes(16 * 2**20 + 1), 200, Cause.UNREADABLE, "bytes, not a picture"),
        ("image/jpeg", b"", 503, Cause.UNREACHABLE, "HTTP status 503"),
        ("image/jpeg", b"", 304, Cause.UNREADABLE, "HTTP status 304"),
        ("image/jpeg", b"", 404, Cause.NOT_FOUND, "HTTP status 404"),
    ],
)
def test_an_address_that_gives_no_picture_has_its_cause(
    kind: str, body: bytes, status: int, cause: Cause, said: str
) -> None:
    with polling(lambda request: reply(request, body, kind, status)) as messages, pytest.raises(Failure) as caught:
        next(messages)
    assert caught.value.cause is cause
    assert said in str(caught.value)


def test_a_progressive_picture_is_read_too() -> None:
    (_, frame), _ = taken([stream(pictures=[FILES["progressive"]])])
    assert isinstance(frame, FetchedFrame)
    np.testing.assert_array_equal(frame.image, seen(FILES["progressive"]))
