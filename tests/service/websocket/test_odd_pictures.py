"""Pictures that are not what cameras usually send, through a server: tiny, long, grey, transparent, turned."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from inkling.client import Client
from inkling.models.skeletons import Skeleton
from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate.watch_film import watch_film
from inkling.service.protocol.codec import ErrorMessage, Outgoing, PeopleMessage, Prediction, Ready, decode_reply
from inkling.service.protocol.image_binary import pack_image
from tests.coloured_people import BLUE, RED, room
from tests.films import make_film
from tests.people_bundle import Box, make_people_bundle
from tests.service.conftest import Running, finish, hear, opened, raw, running, say, settled, tiny_settings
from tests.support import make_bundle

Image = NDArray[np.uint8]
RATE_HZ = 15.0


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root)
    make_people_bundle(root)
    settings = tiny_settings(root, people_bundle="colours", source_schemes=("file",), source_directories=(films,))
    with running(settings) as shared:
        yield shared


def png(image: Image) -> bytes:
    good, data = cv2.imencode(".png", image)
    assert good
    return data.tobytes()


def watch(server: Running, *images: Image | bytes, **header: Any) -> list[Outgoing]:
    """What is said of these pictures, one a tick."""
    with opened(server, bundle="tiny", input="frame", people=True) as socket:
        heard: list[Outgoing] = []
        for seq, image in enumerate(images):
            say(socket, pack_image(seq, image, seq / RATE_HZ, **header))
            heard += settled(socket, seq)
        _, summary = finish(socket)
    assert summary.received == len(images)
    assert summary.dropped == 0
    return heard


def the_box(heard: list[Outgoing]) -> NDArray[np.float64]:
    (message,) = [message for message in heard if isinstance(message, PeopleMessage)]
    (person,) = message.people
    assert [prediction.track for prediction in heard if isinstance(prediction, Prediction)] == [person.track]
    joints = np.array(person.keypoints)
    found = joints[joints[:, 2] > 0]
    left, top, right, bottom = person.box
    assert (found[:, 0] >= left - 1).all()
    assert (found[:, 0] <= right + 1).all()
    assert (found[:, 1] >= top - 1).all()
    assert (found[:, 1] <= bottom + 1).all()
    return np.array(person.box)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [
        (16, 16, (2, 2, 12, 15)),
        (8192, 64, (2048, 0, 4096, 64)),
        (64, 8192, (0, 2048, 64, 4096)),
        (1, 1, None),
        (2, 4096, None),
    ],
)
def test_pictures_of_odd_sizes_are_looked_at_like_any_other(
    server: Running, width: int, height: int, box: Box | None
) -> None:
    heard = watch(server, room({} if box is None else {RED: box}, height, width))
    assert not [message for message in heard if isinstance(message, ErrorMessage)]
    if box is not None:
        pixel = max(width / 128, height / 128, 1)  # of what the estimator sees, at the least
        assert np.allclose(the_box(heard), box, atol=2 * pixel)


def test_pictures_may_change_their_size_from_one_to_the_next(server: Running) -> None:
    """As a camera that turns from landscape to portrait; people keep the places that they have in each."""
    wide, high = room({RED: (20, 20, 60, 90)}, 96, 128), room({RED: (20, 20, 60, 90)}, 128, 96)
    heard = watch(server, wide, high, wide)
    boxes = [message.people[0].box for message in heard if isinstance(message, PeopleMessage)]
    assert np.allclose(boxes, (20, 20, 60, 90), atol=2)
    assert {prediction.track for prediction in heard if isinstance(prediction, Prediction)} == {1}


def test_grey_pictures_are_pictures(server: Running) -> None:
    grey = cv2.cvtColor(room({RED: (20, 20, 60, 90)}), cv2.COLOR_RGB2GRAY)
    good, data = cv2.imencode(".jpg", grey)
    assert good
    for file in (png(np.asarray(grey, np.uint8)), data.tobytes()):
        heard = watch(server, file)
        assert [type(message) for message in heard] == [PeopleMessage], "colours are gone, so nobody is found"


def test_a_png_with_transparency_is_seen_without_it(server: Running) -> None:
    image = cv2.cvtColor(room({BLUE: (20, 20, 60, 90)}), cv2.COLOR_RGB2BGRA)
    image[..., 3] = 128
    assert np.allclose(the_box(watch(server, png(np.asarray(image, np.uint8)))), (20, 20, 60, 90), atol=2)


def test_a_picture_that_says_how_it_is_turned_is_told_of_upright(server: Running) -> None:
    upright = room({RED: (20, 20, 60, 90)}, 128, 96)
    stored = np.ascontiguousarray(np.rot90(upright, 1))  # orientation 6: turn it clockwise
    assert stored.shape == (96, 128, 3)
    assert np.allclose(the_box(watch(server, png(stored[..., ::-1]), orientation=6)), (20, 20, 60, 90), atol=2)
    upside_down = np.ascontiguousarray(upright[::-1, ::-1])
    assert np.allclose(the_box(watch(server, upside_down, orientation=3)), (20, 20, 60, 90), atol=2)


def test_a_camera_that_hangs_on_its_side_is_turned_and_told_of_as_it_is_then(server: Running, films: Path) -> None:
    hung = np.ascontiguousarray(np.rot90(room({RED: (20, 20, 60, 90)}, 128, 96), 1))
    make_film(films / "hung.mkv", [hung] * 30, RATE_HZ)
    wanted = {"url": "file:hung.mkv", "bundle": "tiny", "rotate": 90}
    answer = httpx.post(f"{server.url}/v1/sources", json=wanted)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    url = f"{server.url.replace('http', 'ws', 1)}/v1/streams/{id}/predictions?people=true"
    with connect(url) as follower:
        told = next(m for data in follower if isinstance(m := decode_reply(data), PeopleMessage))
    httpx.delete(f"{server.url}/v1/sources/{id}")
    assert np.allclose(told.people[0].box, (20, 20, 60, 90), atol=2)


def test_a_turn_that_is_none_is_refused(server: Running) -> None:
    answer = httpx.post(f"{server.url}/v1/sources", json={"url": "file:a.mkv", "bundle": "tiny", "rotate": 45})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")
    assert "rotate" in answer.json()["message"]


def test_eyes_whose_skeleton_is_too_poor_for_a_model_are_refused_by_name(tmp_path: Path) -> None:
    """A model of hands: its streams of pictures are refused, those of poses are not."""
    hand = Skeleton(name="hand5", joints=("thumb", "index", "middle", "ring", "little"), root=(2,))
    make_bundle(tmp_path, skeleton=hand)
    make_people_bundle(tmp_path)
    with running(tiny_settings(tmp_path, people_bundle="colours")) as server:
        with raw(server) as socket:
            say(socket, {"type": "start", "bundle": "tiny", "input": "frame"})
            error = hear(socket)
        assert isinstance(error, ErrorMessage)
        assert error.code == "unsupported_input"
        assert "coco17 has only 0 of the 5 joints of hand5" in error.message
        with raw(server) as socket:
            say(socket, {"type": "start", "bundle": "tiny"})
            assert isinstance(hear(socket), Ready)


def portrait(path: Path, upright: list[Image]) -> Path:
    """A phone's film: stored lying, with a matrix in its head (ISO 14496-12, 8.3.2) that turns it clockwise."""
    lying = [np.ascontiguousarray(np.rot90(image, 1)) for image in upright]
    data = bytearray(make_film(path, lying, RATE_HZ, "png", "rgb24").read_bytes())
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52  # of its two versions
    one, width = 0x10000, upright[0].shape[1]
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, width * one, 0, 0x40000000)
    path.write_bytes(data)
    return path


def test_a_portrait_film_is_watched_as_it_is_shown(server: Running, films: Path) -> None:
    upright = [room({RED: (20, 20 + i % 10, 60, 90)}, 128, 96) for i in range(30)]
    film = portrait(films / "phone.mp4", upright)
    with VideoReader(film, threads=1) as video:
        np.testing.assert_array_equal([to_rgb(frame) for _, frame in video], upright)
    streamed = [p for p in watch(server, *upright) if isinstance(p, Prediction)]
    answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=film.read_bytes())
    assert answer.status_code == 200, answer.text
    scored = [row["probabilities"] for row in answer.json()["timeline"]]
    np.testing.assert_allclose(scored, [p.probabilities for p in streamed], atol=2e-5)
    watched = watch_film(Client(server.url), film, "tiny")
    assert watched.size == (96, 128)
    assert watched.record.poses(1)[1][..., 1].max() <= 101, "in pixels of the picture as it is shown"
    (person,) = watched.record.people_at(0.0)
    assert person.body is not None
    assert np.allclose(person.body.box, (20, 20, 60, 90), atol=2)
