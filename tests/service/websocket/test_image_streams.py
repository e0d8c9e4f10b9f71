"""Camera frames over a real WebSocket: what is sent is what the model sees, and nothing else happens to the stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection

from inkling.models.resize import fit_image
from inkling.service.protocol.codec import Credit, ErrorMessage, Outgoing, Prediction, Ready, Summary, pack_pose
from inkling.service.protocol.image_binary import pack_image
from tests.service.conftest import Running, hear, hear_all, opened, raw, running, say, settled, tiny_settings
from tests.support import TinyFrameReference, make_bundle, make_frame_bundle, picture

RATE_HZ = 15.0
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("frames")
    make_frame_bundle(root)
    make_bundle(root)
    settings = tiny_settings(root, load=("tiny-frames", "tiny"), max_image_pixels=400 * 400, inbox=4)
    with running(settings) as shared:
        yield shared


def watching(server: Running, **start: Any) -> Any:
    return opened(server, bundle="tiny-frames", input="frame", **start)


def encoded(image: Image, kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), list(options))
    assert good
    return data.tobytes()


def expected(images: Sequence[Image], fit: Any = "letterbox") -> NDArray[np.float32]:
    tiny = TinyFrameReference()
    return tiny.probabilities(np.stack([fit_image(image, tiny.height, tiny.width, fit) for image in images]))


def predictions(messages: Sequence[Outgoing]) -> list[Prediction]:
    return [message for message in messages if isinstance(message, Prediction)]


def send_all(socket: ClientConnection, messages: Sequence[bytes]) -> list[Outgoing]:
    """Send one by one, so that nothing is dropped; everything that came back."""
    heard: list[Outgoing] = []
    for mark, message in enumerate(messages):
        say(socket, message)
        heard += settled(socket, mark)
    return heard


def test_ready_says_what_size_the_model_sees(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny-frames", "input": "frame"})
        ready = hear(socket)
    assert isinstance(ready, Ready)
    assert ready.image_size == (32, 24)


@pytest.mark.parametrize("kind", ["png", "webp", "rgb"])
def test_lossless_images_of_any_size_give_what_the_reference_gives(server: Running, kind: str) -> None:
    images = [picture(60 + 10 * i, 100 - 5 * i, seed=i) for i in range(6)]
    packed = [
        pack_image(i, image if kind == "rgb" else encoded(image, f".{kind}", *_lossless(kind)), i / RATE_HZ)
        for i, image in enumerate(images)
    ]
    with watching(server) as socket:
        answers = predictions(send_all(socket, packed))
    assert [answer.seq for answer in answers] == list(range(6))
    assert {answer.track for answer in answers} == {0}
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected(images), atol=2e-5)


def _lossless(kind: str) -> tuple[int, ...]:
    return (cv2.IMWRITE_WEBP_QUALITY, 101) if kind == "webp" else ()


def test_a_jpeg_is_seen_as_the_same_jpeg_decoded_in_full(server: Running) -> None:
    files = [encoded(picture(300, 400, seed=i), ".jpg") for i in range(4)]
    full = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB) for file in files]
    with watching(server) as socket:
        answers = predictions(send_all(socket, [pack_image(i, file, i / RATE_HZ) for i, file in enumerate(files)]))
    np.testing.assert_allclose(
        [answer.probabilities for answer in answers], expected([np.asarray(i, np.uint8) for i in full]), atol=0.02
    )


def test_nv12_is_seen_in_its_colours(server: Running) -> None:
    image = np.full((48, 64, 3), (200, 60, 90), np.uint8)
    i420 = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8)
    chroma = i420[48:].reshape(2, -1)
    nv12 = np.concatenate([i420[:48], chroma.T.reshape(24, 64)])
    with watching(server) as socket:
        (answer,) = predictions(send_all(socket, [pack_image(0, nv12, 0.0, nv12=True)]))
    np.testing.assert_allclose(answer.probabilities, expected([image])[0], atol=0.02)


def test_orientation_is_undone_whether_the_header_or_the_file_says_it(server: Running) -> None:
    image = picture(60, 100, seed=3)
    sideways = np.ascontiguousarray(np.rot90(image))  # what a camera on its side stores: turn clockwise to see it
    jpeg = encoded(sideways, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    tagged = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    for message in (
        pack_image(0, sideways, 0.0, orientation=6),
        pack_image(0, jpeg, 0.0, orientation=6),
        pack_image(0, tagged, 0.0),
    ):
        with watching(server) as socket:
            (answer,) = predictions(send_all(socket, [message]))
        np.testing.assert_allclose(answer.probabilities, expected([image])[0], atol=0.02)
    with watching(server) as socket:  # the header has the last word
        (answer,) = predictions(send_all(socket, [pack_image(0, tagged, 0.0, orientation=1)]))
    np.testing.assert_allclose(answer.probabilities, expected([sideways])[0], atol=0.02)


BROKEN = {
    "no image": b"hello, here is no image at all",
    "cut": encoded(picture(60, 80), ".jpg")[:400],
    "cut png": encoded(picture(60, 80), ".png")[:400],
    "scrambled png": encoded(picture(60, 80), ".png").replace(b"IDAT", b"IDAX"),
    "empty": b"",
    "bomb": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + b"IEND",
    "too large": encoded(np.zeros((500, 500, 3), np.uint8), ".jpg"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_image_is_refused_and_the_stream_goes_on(server: Running, case: str) -> None:
    good = [pack_image(i, picture(60, 80, seed=i), i / RATE_HZ) for i in (0, 2)]
    bad = pack_image(1, BROKEN[case], 1 / RATE_HZ)
    with watching(server) as socket:
        heard = send_all(socket, [good[0], bad, good[1]])
        (row,) = httpx.get(f"{server.url}/v1/streams").json()
        assert (row["counts"]["refused"], row["counts"]["errors"]) == (1, {"bad_image": 1})
        say(socket, {"type": "end"})
        rest, code = hear_all(socket)
    errors = [message for message in heard if isinstance(message, ErrorMessage)]
    assert [(error.code, error.seq) for error in errors] == [("bad_image", 1)]
    assert [answer.seq for answer in predictions(heard)] == [0, 2]
    summary = rest[-1]
    assert isinstance(summary, Summary)
    assert (summary.received, summary.stepped, summary.refused, code) == (3, 2, 1, 1000)


def test_a_frame_that_the_clock_skips_is_never_decoded(server: Running) -> None:
    broken = encoded(picture(60, 80), ".png").replace(b"IEND", b"IEND\0")  # its checksum is wrong
    with watching(server) as socket:
        heard = send_all(
            socket,
            [
                pack_image(0, picture(60, 80), 0.0),
                pack_image(1, broken, 0.01),
                pack_image(2, picture(60, 80), 1 / RATE_HZ),
            ],
        )
    assert [answer.seq for answer in predictions(heard)] == [0, 2]
    assert not [message for message in heard if isinstance(message, ErrorMessage)]


def test_a_flood_is_answered_in_order_and_what_is_dropped_is_said(server: Running) -> None:
    files = [pack_image(i, encoded(picture(300, 390, seed=i % 5), ".jpg"), i / RATE_HZ) for i in range(60)]
    with watching(server) as socket:
        for file in files:
            say(socket, file)
        say(socket, {"type": "end"})
        heard, code = hear_all(socket)
    answers, summary = predictions(heard), heard[-1]
    assert isinstance(summary, Summary)
    seqs = [message.seq for message in heard if isinstance(message, Prediction | Credit)]
    assert seqs == sorted(seqs)
    assert summary.received == 60 == summary.stepped + summary.dropped
    assert len(answers) == summary.stepped >= 4
    assert code == 1000


def test_under_block_every_frame_is_stepped(server: Running) -> None:
    images = [picture(100, 130, seed=i % 5) for i in range(30)]
    with watching(server, policy="block") as socket:
        for i, image in enumerate(images):
            say(socket, pack_image(i, image, i / RATE_HZ))
        say(socket, {"type": "end"})
        heard, _ = hear_all(socket)
    answers = predictions(heard)
    assert [answer.seq for answer in answers] == list(range(30))
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected(images), atol=2e-5)


def test_streams_that_share_the_decoders_do_not_mix(server: Running) -> None:
    clips = [[picture(60, 80, seed=10 * s + i) for i in range(8)] for s in range(4)]
    with watching(server) as a, watching(server) as b, watching(server) as c, watching(server) as d:
        sockets = (a, b, c, d)
        answers: list[list[Prediction]] = [[] for _ in sockets]
        for i in range(8):
            for socket, clip in zip(sockets, clips, strict=True):
                say(socket, pack_image(i, encoded(clip[i], ".png"), i / RATE_HZ))
            for answer, socket in zip(answers, sockets, strict=True):
                answer += predictions(settled(socket, i))
    for answer, clip in zip(answers, clips, strict=True):
        np.testing.assert_allclose([one.probabilities for one in answer], expected(clip), atol=2e-5)


@pytest.mark.parametrize(
    ("bundle", "kind", "message"),
    [
        ("tiny-frames", "frame", pack_pose(0, [1], np.ones((1, 13, 3)), 0.0)),
        ("tiny", "pose", pack_image(0, np.zeros((4, 4, 3), np.uint8), 0.0)),
    ],
)
def test_poses_among_images_and_images_among_poses_end_the_stream(
    server: Running, bundle: str, kind: str, message: bytes
) -> None:
    with opened(server, bundle=bundle, input=kind) as socket:
        say(socket, message)
        heard, code = hear_all(socket)
    assert isinstance(heard[-1], ErrorMessage)
    assert (heard[-1].code, code) == ("unsupported_input", 4415)


@pytest.mark.parametrize(("bundle", "kind"), [("tiny-frames", "pose"), ("tiny", "frame")])
def test_a_bundle_refuses_the_other_kind_of_input(server: Running, bundle: str, kind: str) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": bundle, "input": kind})
        heard, code = hear_all(socket)
    assert [message.code for message in heard if isinstance(message, ErrorMessage)] == ["unsupported_input"]
    assert code == 4415
