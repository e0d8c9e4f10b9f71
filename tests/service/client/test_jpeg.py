"""Images from the client's side: made small, sent within the credits, answered by a real server."""

from __future__ import annotations

import argparse
import io
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from inkling.client import Client, ClientError, Prediction, RemoteError, Summary
from inkling.models.errors import VideoError
from inkling.models.resize import fit_image
from inkling.service.cli.client_verbs import register
from inkling.service.cli.film import draw_picture, show_video
from inkling.service.cli.people_board import PeopleBoard
from inkling.service.cli.play import play_video
from inkling.service.client.capture import CaptureError, open_capture
from inkling.service.client.jpeg import MOST_RAW, encode_image, plain_image
from inkling.service.protocol.codec import decode_reply
from tests.films import make_film, pictures
from tests.service.client.conftest import MakeClient
from tests.service.conftest import Running, running, tiny_settings
from tests.support import TinyFrameReference, make_frame_bundle, picture


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("frames")
    make_frame_bundle(root)
    with running(tiny_settings(root, load=("tiny-frames",))) as shared:
        yield shared


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv", pictures(9, 60, 80))


def decoded(data: Any) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


# -- what is sent -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((480, 640), (224, 299)),
        ((640, 480), (299, 224)),
        ((100, 100), (100, 100)),
        ((1080, 1920), (224, 398)),
        ((224, 4000), (224, 4000)),
    ],
)
def test_an_image_is_reduced_to_twice_what_the_model_sees_and_never_enlarged(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert decoded(encode_image(picture(*shape), (112, 112)).image).shape[:2] == expected


def test_colours_survive_in_either_order() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    for data, _ in (encode_image(red), encode_image(red[..., ::-1], bgr=True)):
        np.testing.assert_allclose(decoded(data)[16, 16], [200, 0, 0], atol=6)


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (0, 10, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="an image is uint8"):
        encode_image(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="an image is uint8"):
        encode_image(np.zeros((4, 4, 3), np.float32))


# -- over a socket ------------------------------------------------------------------------------------------------
def test_more_images_than_credits_are_all_answered(client: MakeClient, server: Running) -> None:
    images = pictures(20, 24, 32)
    with client(server.url).stream("tiny-frames", input="frame", policy="block") as stream:
        assert stream.ready.image_size == (32, 24)
        answers: list[Prediction] = []
        for seq, image in enumerate(images):
            assert stream.send_image(encode_png(image), seq / 15) == seq
            answers += stream.received()
        answers += stream.finish()
    expected = TinyFrameReference().probabilities(np.stack(images))
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected, atol=2e-5)
    assert stream.summary is not None
    assert stream.summary.received == 20


def encode_png(image: Any) -> bytes:
    good, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert good
    return data.tobytes()


def test_pixels_are_made_a_jpeg_on_the_way(client: MakeClient, server: Running) -> None:
    image = picture(96, 128)
    with client(server.url).stream("tiny-frames", input="frame") as stream:
        stream.send_image(image, 0.0)
        stream.send_image(image[..., ::-1].copy(), 1 / 15, bgr=True)
        first, second = stream.finish()
    sent = fit_image(decoded(encode_image(image, (32, 24)).image), 24, 32)
    expected = TinyFrameReference().probabilities(np.stack([sent, sent]))
    np.testing.assert_allclose([first.probabilities, second.probabilities], expected, atol=0.03)


def test_a_broken_image_is_told_and_the_stream_goes_on(client: MakeClient, server: Running) -> None:
    refused: list[RemoteError] = []
    with client(server.url).stream("tiny-frames", input="frame", on_error=refused.append) as stream:
        stream.send_image(b"no image", 0.0)
        stream.send_image(picture(24, 32), 1 / 15)
        (answer,) = stream.finish()
    assert answer.seq == 1
    assert [(error.code, error.seq, error.fatal) for error in refused] == [("bad_image", 0, False)]


def test_a_video_is_scored(client: MakeClient, server: Running, film: Path) -> None:
    timeline = client(server.url).score(film, "tiny-frames")
    assert len(timeline.entries) == 9
    assert timeline.tracks == [0]


# -- capture ------------------------------------------------------------------------------------------------------
def test_a_file_gives_its_frames_in_time(film: Path) -> None:
    with open_capture(str(film)) as capture:
        shots = [(pts_s, image()) for pts_s, image in capture]
    assert not capture.live
    np.testing.assert_allclose([pts_s for pts_s, _ in shots], np.arange(9) / 15, atol=1e-3)
    np.testing.assert_array_equal(shots[4][1], pictures(9, 60, 80)[4])


def test_what_cannot_be_opened_is_one_sentence_without_the_address(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="there is no such file"):
        open_capture(str(tmp_path / "gone.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="cannot be read"):
        open_capture(str(tmp_path / "text.mp4"))
    with pytest.raises(CaptureError, match="no camera 97"):
        next(iter(open_capture("97")))
    with pytest.raises(CaptureError, match="does not answer") as refusal:
        next(iter(open_capture("rtsp://user:secret@127.0.0.1:9/x", wait_s=2.0)))
    assert "secret" not in str(refusal.value)


def mjpeg(images: list[Any], pause_s: float) -> Iterator[str]:
    """A real camera on the network, of the oldest kind: the address of a server of JPEG after JPEG."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for image in images:
                data = encode_image(image).image
                assert isinstance(data, bytes)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                try:
                    self.wfile.write(head + data + b"\r\n")
                except OSError:
                    return
                time.sleep(pause_s)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}/video"
        finally:
            web.shutdown()
            thread.join()


@pytest.fixture
def camera() -> Iterator[str]:
    yield from mjpeg(pictures(200, 48, 64), 0.01)


def test_a_live_camera_gives_the_newest_frame_and_forgets_the_rest(camera: str) -> None:
    with open_capture(camera) as capture:
        assert capture.live
        taken: list[float] = []
        for pts_s, image in capture:
            assert image().shape == (48, 64, 3)
            taken.append(pts_s)
            time.sleep(0.1)
            if len(taken) == 5:
                break
    assert taken[0] < 0.1
    assert all(later - earlier > 0.05 for earlier, later in pairwise(taken))


def test_a_camera_is_played_into_a_stream(server: Running, camera: str) -> None:
    with (
        open_capture(camera) as capture,
        Client(server.url).stream("tiny-frames", input="frame") as stream,
    ):
        answers = list(play_video(stream, capture, seconds=0.6))
    assert len(answers) >= 4
    assert stream.summary is not None
    assert stream.summary.refused == 0


def test_pixels_can_be_sent_without_loss_and_large_ones_are_reduced() -> None:
    image = picture(480, 640)
    np.testing.assert_array_equal(plain_image(image).image, image)
    np.testing.assert_array_equal(plain_image(image[..., ::-1], bgr=True).image, image)
    assert plain_image(image).scale == (1, 1)
    sent, scale = plain_image(np.zeros((2160, 3840, 3), np.uint8))
    assert isinstance(sent, np.ndarray)
    assert 0.98 * MOST_RAW < sent.shape[0] * sent.shape[1] <= MOST_RAW
    assert scale == (3840 / sent.shape[1], 2160 / sent.shape[0])


# -- the verbs ----------------------------------------------------------------------------------------------------
def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def test_stream_plays_a_video_and_prints_messages(
    server: Running, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("stream", "--video", str(film), "--url", server.url, "--bundle", "tiny-frames")
    assert run(*base, "--fast", "--json") == 0
    messages = [decode_reply(line) for line in capsys.readouterr().out.splitlines()]
    assert [type(message) for message in messages] == [Prediction] * 9 + [Summary]
    began_s = time.monotonic()
    assert run(*base) == 0
    assert time.monotonic() - began_s > 8 / 15 * 0.9  # in real time
    out, err = capsys.readouterr()
    sent, stepped = map(int, re.findall(r"^(\d+) frames: (\d+) stepped", err)[0])
    assert 5 <= sent <= 9
    assert len(out.splitlines()) == stepped


def test_stream_wants_one_thing_to_play(film: Path) -> None:
    for argv in ((), (str(film), "--video", str(film))):
        with pytest.raises(ClientError, match="one thing to play"):
            run("stream", *argv)


def test_demo_plays_a_film(server: Running, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--video", str(film), "--url", server.url, "--bundle", "tiny-frames", "--plain") == 0
    assert "track 0" in capsys.readouterr().out


def test_score_takes_a_film(server: Running, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("score", str(film), "--url", server.url, "--bundle", "tiny-frames") == 0
    assert "track" in capsys.readouterr().out


# -- the picture --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(48, 64), (640, 200), (20, 900), (1, 1)])
def test_a_picture_of_any_shape_fits_its_place(shape: tuple[int, int]) -> None:
    lines = draw_picture(picture(*shape), 36, 17).plain.split("\n")
    assert len(lines) == 17
    assert {len(line) for line in lines} == {36}


def test_the_upper_half_of_a_picture_is_drawn_above_the_lower() -> None:
    image = np.zeros((34, 36, 3), np.uint8)
    image[:17] = (240, 0, 0)
    text = draw_picture(image, 36, 17)
    first, last = text.spans[0].style, text.spans[-1].style
    assert not isinstance(first, str)
    assert not isinstance(last, str)
    assert first.color is not None
    assert last.color is not None
    assert first.color.triplet == (240, 0, 0)
    assert last.color.triplet == (0, 0, 0)


def test_a_film_on_a_terminal_shows_picture_people_and_name(server: Running, film: Path) -> None:
    console = Console(width=80, height=24, force_terminal=True, color_system=None, file=io.StringIO())
    board = PeopleBoard()
    with (
        open_capture(str(film)) as capture,
        Client(server.url).stream("tiny-frames", input="frame", on_event=board.event) as stream,
        console.capture() as captured,
    ):
        show_video(stream, board, capture, "film", console)
    text = captured.get()
    assert "▀" in text
    assert all(words in text for words in ("tiny-frames 1", "film", "#0 "))
    assert board.frames >= 5


def test_av_is_the_reader_of_addresses() -> None:
    """`rtsp` must be among what this build of libav reads, or the client's promise is empty."""
    assert "rtsp" in av.formats_available
