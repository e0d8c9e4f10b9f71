"""Pictures of people over real connections, on a bundle that takes poses: streams, followers, clips and sources."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import ClientConnection, connect

from inkling.client import Client
from inkling.models.skeletons import get
from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate.overlay import Style, colour_of, draw
from inkling.service.annotate.watch_film import watch_film
from inkling.service.protocol.codec import (
    ErrorMessage,
    Event,
    Outgoing,
    PeopleMessage,
    PeopleSkeleton,
    Prediction,
    Ready,
    Summary,
    decode_reply,
)
from inkling.service.protocol.image_binary import pack_image
from inkling.service.settings import Settings
from inkling.service.streams.stats import Counts
from tests.coloured_people import BLUE, GREEN, RED, moved, room
from tests.films import make_film
from tests.people_bundle import make_people_bundle
from tests.service.conftest import (
    WAIT_S,
    Running,
    finish,
    hear,
    hear_all,
    opened,
    raw,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)
from tests.support import make_bundle, make_frame_bundle

RATE_HZ = 15.0
LEFT, RIGHT = (8, 10, 40, 90), (80, 12, 118, 88)
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root, decision={"on": 0.3, "off": 0.0, "min_steps": 1})
    make_bundle(root, name="slower", rate_hz=7.5)
    make_frame_bundle(root)
    make_people_bundle(root)
    load = ("tiny", "slower", "tiny-frames")
    settings = tiny_settings(
        root, load=load, people_bundle="colours", source_schemes=("file",), source_directories=(films,)
    )
    with running(settings) as shared:
        yield shared


def scene(count: int) -> list[Image]:
    """Somebody goes to the right, somebody else comes after a second and goes again; then nobody is there."""
    pictures = []
    for i in range(count):
        people = {}
        if i < count - 20:
            people[RED] = moved(LEFT, i % 30)
        if 15 <= i < 30:
            people[BLUE] = moved(RIGHT, -i + 15)
        pictures.append(room(people))
    return pictures


def jpeg(image: Image, quality: int = 95) -> bytes:
    good, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert good
    return data.tobytes()


def watching(server: Running, **start: Any) -> Any:
    return opened(server, bundle="tiny", input="frame", **start)


def send_all(socket: ClientConnection, images: Sequence[Image | bytes], rate_hz: float = RATE_HZ) -> list[Outgoing]:
    """Send one by one, so that nothing is dropped; everything that came back."""
    heard: list[Outgoing] = []
    for seq, image in enumerate(images):
        say(socket, pack_image(seq, image, seq / rate_hz))
        heard += settled(socket, seq)
    return heard


def rows_of(messages: Sequence[Any]) -> list[tuple[int, int]]:
    return [(message.seq, message.track) for message in messages]


def alike(ours: Sequence[Any], theirs: Sequence[Any], error: float = 2e-5) -> None:
    assert rows_of(ours) == rows_of(theirs)
    assert len(ours) > 0
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.probabilities == pytest.approx(other.probabilities, abs=error)


def counts_of(server: Running, bundle: str = "tiny") -> Counts:
    return next(stats.counts for stats in server.core.hub.stats() if stats.spec.name == bundle)


class Entry:
    """A row of a timeline, as a prediction is read."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.seq, self.track, self.probabilities = row["seq"], row["track"], row["probabilities"]


def of(kind: type[Any], messages: Sequence[Outgoing]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def test_jpegs_of_people_give_predictions_and_places_of_each_of_them(server: Running) -> None:
    with watching(server, people=True) as socket:
        heard = send_all(socket, [jpeg(image) for image in scene(40)])
        rest, summary = finish(socket)
    heard += rest
    predictions, people = of(Prediction, heard), of(PeopleMessage, heard)
    assert {p.track for p in predictions} == {1, 2}
    assert [p.seq for p in predictions if p.track == 1] == list(range(20))
    assert next(p.seq for p in predictions if p.track == 2) == 15
    first = people[0]
    assert (first.seq, [person.track for person in first.people]) == (0, [1])
    assert np.allclose(first.people[0].box, LEFT, atol=2)
    assert len(first.people[0].keypoints) == 17
    kinds = [(m.type, m.seq) for m in heard if isinstance(m, PeopleMessage | Prediction) and m.seq == 16]
    assert kinds == [("people", 16), ("prediction", 16), ("prediction", 16)]
    assert (summary.received, summary.refused, summary.dropped) == (40, 0, 0)
    assert summary.tracks == 2
    ended = [event.track for event in of(Event, heard) if event.phase == "end"]
    begun = [event.track for event in of(Event, heard) if event.phase == "begin"]
    assert sorted(ended) == sorted(begun)


def test_without_the_wish_nobody_is_told_of_people(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny", "input": "frame"})
        ready = hear(socket)
        assert isinstance(ready, Ready)
        assert ready.image_size == (128, 128), "of what is seen of a picture, so that no more need be sent"
        assert ready.skeleton is None, "nobody is told of keypoints"
        heard = send_all(socket, scene(25)[:3])
    assert of(PeopleMessage, heard) == []
    assert len(of(Prediction, heard)) == 3


def test_who_is_told_of_people_is_told_what_their_keypoints_are(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny", "input": "frame", "people": True})
        ready = hear(socket)
        assert isinstance(ready, Ready)
        url = f"{server.url.replace('http', 'ws', 1)}/v1/streams/{ready.stream}/predictions"
        with connect(f"{url}?people=true") as told, connect(url) as untold:
            first, second = (decode_reply(follower.recv(WAIT_S)) for follower in (told, untold))
    assert isinstance(first, Ready)
    assert isinstance(second, Ready)
    coco17 = get("coco17")
    assert first.skeleton == ready.skeleton == PeopleSkeleton(name="coco17", joints=coco17.joints, bones=coco17.bones)
    assert second.skeleton is None


def test_a_users_own_eyes_may_have_another_skeleton_and_drawings_follow_it(tmp_path: Path) -> None:
    penn13 = get("penn13")
    make_bundle(tmp_path)
    make_people_bundle(tmp_path, skeleton=penn13)
    film = make_film(tmp_path / "film.mkv", scene(30)[:6], RATE_HZ)
    settings = tiny_settings(tmp_path, people_bundle="colours")
    with running(settings) as server:
        watched = watch_film(Client(server.url), film, "tiny")
        with Client(server.url).stream("tiny", input="frame", on_people=lambda seen: None) as stream:
            assert stream.skeleton is not None
            assert stream.skeleton.joints == penn13.joints
    assert watched.figure.name == "penn13"
    assert watched.figure.bones == penn13.bones
    assert [penn13.joints[joint] for joint in watched.figure.head] == ["head"]
    (person,) = watched.record.people_at(0.0)
    assert person.body is not None
    assert person.body.keypoints.shape == (13, 3)
    drawn = draw(np.zeros((96, 128, 3), np.uint8), [person], [], 0.0, Style(figure=watched.figure))
    assert (drawn == colour_of(1)).all(axis=-1).sum() > 100, "bones too, not the joints alone"


def test_poses_are_not_taken_among_pictures(server: Running) -> None:
    with watching(server) as socket:
        say(socket, {"type": "pose", "seq": 0, "people": []})
        error = hear(socket)
    assert isinstance(error, ErrorMessage)
    assert error.code == "unsupported_input"


def test_cameras_beside_each_other_get_what_each_gets_alone(server: Running) -> None:
    scenes = [scene(30), [room({GREEN: moved(RIGHT, -i)}, 120, 160) for i in range(30)]]
    alone = []
    for pictures in scenes:
        with watching(server) as socket:
            alone.append(of(Prediction, send_all(socket, pictures)))
    with watching(server) as one, watching(server) as two:
        together: list[list[Outgoing]] = [[], []]
        for seq in range(30):
            for socket, pictures in ((one, scenes[0]), (two, scenes[1])):
                say(socket, pack_image(seq, pictures[seq], seq / RATE_HZ))
            for number, socket in enumerate((one, two)):
                together[number] += settled(socket, seq)
    for number in (0, 1):
        alike(of(Prediction, together[number]), alone[number])


def test_a_film_over_rest_gives_what_its_stream_gives(server: Running, films: Path) -> None:
    pictures = scene(60)
    film = make_film(films / "film.mkv", pictures, 30.0)
    with watching(server, policy="block") as socket:
        streamed = send_all(socket, pictures, 30.0)
        streamed += finish(socket)[0]
    answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=film.read_bytes(), timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    scored = answer.json()
    alike([Entry(row) for row in scored["timeline"]], of(Prediction, streamed))
    assert scored["warnings"] == []
    events = [(event["seq"], event["track"], event["phase"]) for event in scored["events"]]
    assert events == [(event.seq, event.track, event.phase) for event in of(Event, streamed)]
    assert len(events) > 2


def test_a_film_that_the_server_fetches_gives_what_its_stream_gives(server: Running, films: Path) -> None:
    pictures = [cv2.resize(image, (512, 384), interpolation=cv2.INTER_LINEAR) for image in scene(45)]
    make_film(films / "fetched.mkv", [np.asarray(image, np.uint8) for image in pictures], RATE_HZ)
    with watching(server, people=True) as socket:
        streamed = send_all(socket, [np.asarray(image, np.uint8) for image in pictures])
    wanted = {"url": "file:fetched.mkv", "bundle": "tiny", "pace": "real"}
    id = httpx.post(f"{server.url}/v1/sources", json=wanted).json()["id"]
    url = f"{server.url.replace('http', 'ws', 1)}/v1/streams/{id}/predictions"
    with connect(f"{url}?people=true") as follower, connect(f"{url}?only=events") as events:
        heard = [decode_reply(data) for data in follower]
        of_events = [decode_reply(data) for data in events]
    httpx.delete(f"{server.url}/v1/sources/{id}")
    assert isinstance(heard[0], Ready)
    assert isinstance(heard[-1], Summary)
    assert heard[-1].received == 45
    after = heard[1].seq if isinstance(heard[1], PeopleMessage | Prediction) else 0
    wanted_rows = [p for p in of(Prediction, streamed) if p.seq >= after]
    alike(of(Prediction, heard), wanted_rows)
    places = {m.seq: m for m in of(PeopleMessage, streamed)}
    told = of(PeopleMessage, heard)
    assert len(told) > 20
    for message in told:
        ours = [person.box for person in message.people]
        theirs = [person.box for person in places[message.seq].people]
        assert np.allclose(np.array(ours), np.array(theirs), atol=4.5), "in pixels of the film, not of what is seen"
    assert {message.type for message in of_events[1:-1]} <= {"event", "decision"}


def test_a_source_may_have_perception_of_its_own(server: Running, films: Path) -> None:
    make_film(films / "own.mkv", scene(10), RATE_HZ)
    own = {"max_people": 1, "motion_gate": False}
    wanted = {"url": "file:own.mkv", "bundle": "tiny", "pace": "fast", "perception": own}
    before = counts_of(server)
    id = httpx.post(f"{server.url}/v1/sources", json=wanted).json()["id"]
    wait_until(lambda: httpx.get(f"{server.url}/v1/sources/{id}").json()["state"] == "ended")
    server.wait_idle()
    counts = counts_of(server)
    assert counts.perceived - before.perceived == 10
    httpx.delete(f"{server.url}/v1/sources/{id}")
    bad = httpx.post(f"{server.url}/v1/sources", json=wanted | {"perception": {"sharpness": 3}})
    assert bad.status_code == 422


def test_perception_is_in_the_metrics(server: Running) -> None:
    with watching(server) as socket:
        send_all(socket, scene(25)[:5])
        finish(socket)
    text = httpx.get(f"{server.url}/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['inkling_frames_perceived_total{bundle="tiny/1"}']) >= 5
    assert float(lines['inkling_people_found_total{bundle="tiny/1"}']) >= 5
    assert 'inkling_frames_gated_total{bundle="tiny/1"}' in lines
    assert float(lines['inkling_people_seconds_count{bundle="colours/1"}']) >= 5
    assert float(lines['inkling_people_queue_seconds_count{bundle="colours/1"}']) >= 5
    assert float(lines['inkling_decode_seconds_count{bundle="colours/1"}']) >= 5


def test_server_sent_events_may_be_of_people_too(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny", "input": "frame"})
        ready = hear(socket)
        assert isinstance(ready, Ready)
        url = f"{server.url}/v1/streams/{ready.stream}/predictions?people=true"
        with httpx.stream("GET", url, timeout=WAIT_S) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: ready"
            send_all(socket, scene(25)[:2])
            finish(socket)
            events = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert events.count("people") == events.count("prediction") == 2
    assert events[-1] == "summary"


def test_without_a_people_bundle_the_refusal_says_what_to_load(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundles")
    film = make_film(tmp_path / "film.mkv", scene(3))
    with running(tiny_settings(tmp_path / "bundles")) as server:
        with raw(server) as socket:
            say(socket, {"type": "start", "bundle": "tiny", "input": "frame"})
            error = hear(socket)
        assert isinstance(error, ErrorMessage)
        assert error.code == "unsupported_input"
        assert "people_bundle" in error.message
        answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=film.read_bytes())
        assert answer.status_code == 415
        assert "people_bundle" in json.loads(answer.text)["message"]


def test_the_client_is_told_of_people_in_pixels_of_what_it_sent(server: Running) -> None:
    seen: list[PeopleMessage] = []
    pictures = [np.asarray(cv2.resize(image, (640, 480)), np.uint8) for image in scene(25)[:4]]
    with Client(server.url).stream("tiny", input="frame", policy="block", on_people=seen.append) as stream:
        assert stream.ready.image_size is None
        for seq, image in enumerate(pictures):
            stream.send_image(image, seq / RATE_HZ)
        predictions = list(stream.flush())
    assert [message.seq for message in seen] == [p.seq for p in predictions] == [0, 1, 2, 3]
    box = seen[0].people[0].box
    assert np.allclose(box, [5 * side for side in LEFT], atol=8)


def test_what_comes_with_inkling_finds_who_walks_through_a_room(shared_data: Path, tmp_path: Path) -> None:
    """people/1 and body-actions, on a film of a real camera: a stream and the same film over REST."""
    film = shared_data / "video_samples" / "intel_sample_videos" / "one-by-one-person-detection.mp4"
    with VideoReader(film, max_pixels=4096 * 4096, threads=1) as video:
        pictures = [to_rgb(frame) for _, frame in islice(video, 62, 98)]
    cut = make_film(tmp_path / "cut.mkv", pictures, 12.0)
    with running(Settings(port=0, load=("body-actions",))) as server:
        with opened(server, bundle="body-actions", input="frame", people=True) as socket:
            heard = send_all(socket, [jpeg(image) for image in pictures], 12.0)
        timeline = httpx.post(f"{server.url}/v1/clips?bundle=body-actions", content=cut.read_bytes(), timeout=WAIT_S)
    predictions, people = of(Prediction, heard), of(PeopleMessage, heard)
    assert {p.track for p in predictions} == {1}, "one person walks through"
    assert len(predictions) > 20
    height, width = pictures[0].shape[:2]
    for message in people:
        for person in message.people:
            left, top, right, bottom = person.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
    assert max(bottom - top for m in people for _, top, _, bottom in [p.box for p in m.people]) > height / 3
    rows = [row for row in timeline.json()["timeline"] if row["track"] == 1]
    assert len(rows) == pytest.approx(len(predictions), abs=3), "a film without loss beside JPEGs"


@contextlib.contextmanager
def held(server: Running) -> Iterator[None]:
    """While perception gets no further than the run that it begins."""
    assert server.core.hub.perception is not None
    estimator, go = server.core.hub.perception.model.estimator, threading.Event()
    run = estimator._run

    def wait(pictures: Image) -> Any:
        assert go.wait(WAIT_S)
        return run(pictures)

    estimator._run = wait
    try:
        yield
    finally:
        estimator._run = run
        go.set()


def test_a_live_camera_that_is_looked_at_too_slowly_loses_whole_frames_and_says_so(server: Running) -> None:
    pictures = scene(45)[:25]
    with watching(server) as socket:
        with held(server):
            for seq, image in enumerate(pictures):
                say(socket, pack_image(seq, image, seq / RATE_HZ))
            wait_until(lambda: server.core.hub.streams()[0].counts.received == len(pictures))
        heard = settled(socket)
        rest, summary = finish(socket)
    answered = sorted({p.seq for p in of(Prediction, heard)})
    assert summary.dropped == len(pictures) - len(answered) == len(pictures) - server.core.hub.limits.inbox
    assert answered[-1] == len(pictures) - 1, "the newest is looked at"
    assert {p.track for p in of(Prediction, heard) if p.seq < 15} <= {1}
    assert of(Prediction, heard)[-1].dropped == summary.dropped
    assert of(ErrorMessage, heard + rest) == []


def test_who_blocks_waits_for_perception_and_loses_nothing(server: Running) -> None:
    pictures = scene(45)[:25]
    with watching(server, policy="block") as socket:
        with held(server):
            for seq, image in enumerate(pictures):
                say(socket, pack_image(seq, image, seq / RATE_HZ))
            wait_until(lambda: server.core.hub.streams()[0].waiting == server.core.hub.limits.inbox)
        heard = settled(socket)
    assert sorted({p.seq for p in of(Prediction, heard)}) == list(range(25))


def test_a_reset_while_frames_wait_for_perception_makes_everybody_new_after_them(server: Running) -> None:
    pictures = [room({RED: moved(LEFT, i)}) for i in range(6)]
    with watching(server, policy="block") as socket:
        with held(server):
            for seq, image in enumerate(pictures):
                if seq == 3:
                    say(socket, {"type": "reset"})
                say(socket, pack_image(seq, image, seq / RATE_HZ))
            wait_until(lambda: server.core.hub.streams()[0].waiting == len(pictures))
        heard = settled(socket)
    assert rows_of(of(Prediction, heard)) == [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]


def test_a_stream_that_ends_while_its_frames_wait_for_perception_is_answered_first(server: Running) -> None:
    pictures = [room({RED: moved(LEFT, i)}) for i in range(4)]
    with watching(server) as socket:
        with held(server):
            for seq, image in enumerate(pictures):
                say(socket, pack_image(seq, image, seq / RATE_HZ))
            say(socket, {"type": "end"})
            wait_until(lambda: server.core.hub.streams()[0].waiting == len(pictures))
        heard, code = hear_all(socket)
    assert code == 1000
    assert [p.seq for p in of(Prediction, heard)] == [0, 1, 2, 3]
    assert isinstance(heard[-1], Summary)
    assert (heard[-1].stepped, heard[-1].dropped) == (4, 0)


def test_a_client_that_vanishes_while_its_frames_wait_leaves_nothing_behind(server: Running) -> None:
    with held(server):
        with watching(server) as socket:
            for seq in range(4):
                say(socket, pack_image(seq, room({RED: LEFT}), seq / RATE_HZ))
            wait_until(lambda: server.core.hub.streams()[0].waiting == 4)
        server.wait_idle()
    assert all(stats.slots_used == 0 for stats in server.core.hub.stats())
    with watching(server) as socket:
        assert len(of(Prediction, send_all(socket, [room({RED: LEFT})]))) == 1, "the next one is served"


def test_a_server_that_stops_answers_the_frames_that_wait_for_perception(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    make_people_bundle(tmp_path)
    with running(tiny_settings(tmp_path, people_bundle="colours")) as server, watching(server) as socket:
        with held(server):
            for seq in range(4):
                say(socket, pack_image(seq, room({RED: moved(LEFT, seq)}), seq / RATE_HZ))
            wait_until(lambda: server.core.hub.streams()[0].waiting == 4)
            server.server.stop()
            told = hear(socket)
            assert isinstance(told, ErrorMessage)
            assert told.code == "draining"
        heard, code = hear_all(socket)
    assert code == 1012
    assert [p.seq for p in of(Prediction, heard)] == [0, 1, 2, 3]
    assert isinstance(heard[-1], Summary)


def test_several_bundles_on_one_camera_look_at_each_picture_once(server: Running, films: Path) -> None:
    pictures = scene(45)
    make_film(films / "both.mkv", pictures, RATE_HZ)
    alone = {}
    for bundle in ("tiny", "slower"):
        with opened(server, bundle=bundle, input="frame", policy="block") as socket:
            alone[bundle] = of(Prediction, send_all(socket, pictures))
    assert len(alone["slower"]) < len(alone["tiny"]), "it steps half as often"
    looks = looked(server)
    always = {"motion_gate": False}
    wanted = {"url": "file:both.mkv", "bundles": ["tiny", "slower"], "pace": "real", "perception": always}
    answer = httpx.post(f"{server.url}/v1/sources", json=wanted)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    url = f"{server.url.replace('http', 'ws', 1)}/v1/streams/{id}"
    with connect(f"{url}/predictions") as first, connect(f"{url}.slower/predictions") as second:
        heard = {"tiny": [decode_reply(data) for data in first], "slower": [decode_reply(data) for data in second]}
    httpx.delete(f"{server.url}/v1/sources/{id}")
    assert looked(server) - looks == len(pictures)
    for bundle, messages in heard.items():
        assert isinstance(messages[-1], Summary)
        after = messages[1].seq if isinstance(messages[1], Prediction) else 0
        alike(of(Prediction, messages), [p for p in alone[bundle] if p.seq >= after])


def looked(server: Running) -> float:
    """Pictures that the people bundle was run on."""
    text = httpx.get(f"{server.url}/metrics").text
    name = 'inkling_people_batch_size_sum{bundle="colours/1"} '
    return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"bundles": ["tiny", "tiny"]}, 422, "bad_message"),
        ({"bundles": ["tiny", "slower"], "bundle": "slower"}, 422, "bad_message"),
        ({"bundles": ["tiny", "slower"], "version": "1"}, 422, "bad_message"),
        ({"bundles": ["tiny", "nothing"]}, 404, "unknown_bundle"),
        ({"bundles": ["tiny", "tiny-frames"]}, 415, "unsupported_input"),
    ],
)
def test_bundles_that_cannot_share_a_camera_are_refused(
    server: Running, films: Path, more: dict[str, Any], status: int, code: str
) -> None:
    make_film(films / "refused.mkv", scene(25)[:3], RATE_HZ)
    answer = httpx.post(f"{server.url}/v1/sources", json={"url": "file:refused.mkv"} | more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    server.wait_idle()
