"""`/v1/sources` on a real server: answers, restarts, and what must never be told."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from inkling.service.sources.store import FILE, StoreError
from tests.films import jpeg_film, lose_packets, make_film, quiet_scene
from tests.service.conftest import Running, running, tiny_settings
from tests.service.sources.cameras import Camera, free_port, jpeg, make_video, reply, serving, silent, within
from tests.support import make_bundle, make_frame_bundle

WAIT_S = 30.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root)
    make_frame_bundle(root, unknown={"threshold": 0.5, "lost": 0.0, "events": 1})
    return root


@pytest.fixture
def settings(bundles: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of a server that may reach this machine and read `tmp_path/videos`."""
    (tmp_path / "videos").mkdir()
    return {
        "root": bundles,
        "load": ("tiny", "tiny-frames"),
        "state_dir": tmp_path / "state",
        "source_hosts": ("127.0.0.1",),
        "source_directories": (tmp_path / "videos",),
        "source_retry_s": 0.3,
    }


@pytest.fixture
def here(settings: dict[str, Any]) -> Iterator[Running]:
    with running(tiny_settings(**settings)) as server:
        yield server


def add(server: Running, url: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/sources", json={"url": url, "bundle": "tiny-frames"} | more)


def look(server: Running, id: str) -> dict[str, Any]:
    row: dict[str, Any] = httpx.get(f"{server.url}/v1/sources/{id}").json()
    return row


def test_a_source_is_added_shown_and_removed(here: Running) -> None:
    with Camera() as camera:
        answer = add(here, camera.url, name="Door", top_k=1)
        row = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/sources/{row['id']}")
        assert (row["name"], row["url"], row["bundle"], row["version"]) == ("Door", camera.url, "tiny-frames", "1")
        assert (row["state"], row["cause"], row["kept"]) == ("retrying", None, True) or row["state"] == "connecting"
        assert within(WAIT_S, lambda: look(here, row["id"])["state"] == "live")
        assert within(WAIT_S, lambda: look(here, row["id"])["frames"] > 5)
        shown = look(here, row["id"])
        assert (shown["width"], shown["height"], shown["format"], shown["message"]) == (64, 48, "mpjpeg", "")
        (stream,) = httpx.get(f"{here.url}/v1/streams").json()
        assert stream["stream"] == row["id"]
        assert [one["id"] for one in httpx.get(f"{here.url}/v1/sources").json()] == [row["id"]]
        metrics = httpx.get(f"{here.url}/metrics").text
        assert 'inkling_sources{state="live"} 1.0' in metrics
        assert "inkling_source_connects_total 1.0" in metrics
        assert httpx.delete(f"{here.url}/v1/sources/{row['id']}").status_code == 204
    assert httpx.get(f"{here.url}/v1/sources").json() == httpx.get(f"{here.url}/v1/streams").json() == []
    for method in ("GET", "DELETE"):
        gone = httpx.request(method, f"{here.url}/v1/sources/{row['id']}")
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_source")
    metrics = httpx.get(f"{here.url}/metrics").text
    assert 'inkling_sources{state="live"} 0.0' in metrics
    assert "inkling_source_connects_total 1.0" in metrics


@pytest.mark.parametrize(
    ("url", "more", "status", "code"),
    [
        ("nonsense", {}, 422, "bad_source"),
        ("rtsp://127.0.0.1/x", {"loop": True}, 422, "bad_source"),
        ("rtsp://127.0.0.1/x", {"interval_s": 1}, 422, "bad_source"),
        ("http://127.0.0.1/x", {"interval_s": 0}, 422, "bad_message"),
        ("rtsp://127.0.0.1/x", {"bundel": 1}, 422, "bad_message"),
        ("rtsp://127.0.0.1/x", {"top_k": 0}, 422, "bad_message"),
        ("rtsp://127.0.0.1/x", {"bundle": "no"}, 404, "unknown_bundle"),
        ("rtsp://127.0.0.1/x", {"version": "9"}, 404, "unknown_bundle"),
        ("rtsp://127.0.0.1/x", {"bundle": "tiny"}, 415, "unsupported_input"),
        ("rtsp://127.0.0.2/x", {}, 403, "source_refused"),
        ("http://169.254.169.254/latest", {}, 403, "source_refused"),
        ("http://[::1]/x", {}, 403, "source_refused"),
        ("file:/etc/passwd", {}, 403, "source_refused"),
        ("file:../../secret", {}, 403, "source_refused"),
        ("device:/dev/video0", {}, 403, "source_refused"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    here: Running, url: str, more: dict[str, Any], status: int, code: str
) -> None:
    answer = add(here, url, **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert httpx.get(f"{here.url}/v1/sources").json() == httpx.get(f"{here.url}/v1/streams").json() == []


def test_a_snapshot_address_is_polled_also_after_a_restart(settings: dict[str, Any]) -> None:
    with serving(lambda request: reply(request, jpeg(48, 64), "image/jpeg")) as port:
        with running(tiny_settings(**settings)) as first:
            row = add(first, f"http://127.0.0.1:{port}/shot.jpg", interval_s=0.2).json()
        with running(tiny_settings(**settings)) as second:
            assert within(WAIT_S, lambda: look(second, row["id"])["frames"] >= 3)
            shown = look(second, row["id"])
            assert (shown["state"], shown["width"], shown["format"]) == ("live", 64, "pictures")


def test_a_recording_that_is_too_large_to_be_fetched_first_has_failed(settings: dict[str, Any], tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.mp4", frames=20).read_bytes()
    with (
        serving(lambda request: reply(request, data)) as port,
        running(tiny_settings(**settings, max_video_bytes=len(data) - 1)) as server,
    ):
        row = add(server, f"http://127.0.0.1:{port}/a.mp4").json()
        assert within(WAIT_S, lambda: look(server, row["id"])["state"] == "failed")
        assert look(server, row["id"])["cause"] == "too_large"


def test_a_body_that_is_no_definition_by_its_size_is_refused_unread(here: Running) -> None:
    def long() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(64):
            yield b"x" * 65536

    try:
        answer = httpx.post(f"{here.url}/v1/sources", content=long(), headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    except httpx.TransportError:  # the server had answered and closed before all was sent
        pass
    assert here.counts("too_large") == 1


def test_more_sources_than_the_limit_are_refused(settings: dict[str, Any]) -> None:
    with running(tiny_settings(**settings, max_sources=1)) as server, silent() as port:
        first = add(server, f"http://127.0.0.1:{port}/x")
        second = add(server, f"http://127.0.0.1:{port}/x")
        assert (second.status_code, second.json()["code"]) == (503, "over_capacity")
        httpx.delete(f"{server.url}/v1/sources/{first.json()['id']}")
        assert add(server, f"http://127.0.0.1:{port}/x").status_code == 201


def test_sources_are_taken_up_again_after_a_restart(settings: dict[str, Any], tmp_path: Path) -> None:
    make_video(tmp_path / "videos" / "a.mp4", frames=5)
    with Camera() as camera:
        with running(tiny_settings(**settings)) as server:
            ids = [
                add(server, url, **more).json()["id"]
                for url, more in ((camera.url, {"name": "Door"}), ("file:a.mp4", {"pace": "fast"}), (camera.url, {}))
            ]
            assert within(WAIT_S, lambda: look(server, ids[0])["state"] == "live")
            assert within(WAIT_S, lambda: look(server, ids[1])["state"] == "ended")
            httpx.delete(f"{server.url}/v1/sources/{ids[2]}")
        with running(tiny_settings(**settings)) as server:
            rows = httpx.get(f"{server.url}/v1/sources").json()
            assert [(row["id"], row["name"]) for row in rows] == [(ids[0], "Door"), (ids[1], None)]
            assert (rows[1]["state"], rows[1]["cause"]) == ("ended", "finished")
            assert within(WAIT_S, lambda: look(server, ids[0])["state"] == "live")
            assert [stream["stream"] for stream in httpx.get(f"{server.url}/v1/streams").json()] == [ids[0]]


def test_a_source_that_the_settings_no_longer_allow_waits_in_the_store(settings: dict[str, Any]) -> None:
    with Camera() as camera:
        with running(tiny_settings(**settings)) as server:
            id = add(server, camera.url).json()["id"]
        with running(tiny_settings(**settings | {"source_hosts": ()})) as server:
            assert httpx.get(f"{server.url}/v1/sources").json() == []
        with running(tiny_settings(**settings)) as server:
            assert [row["id"] for row in httpx.get(f"{server.url}/v1/sources").json()] == [id]


def test_without_a_directory_sources_are_not_kept(settings: dict[str, Any]) -> None:
    with silent() as port, running(tiny_settings(**settings | {"state_dir": None})) as server:
        assert add(server, f"http://127.0.0.1:{port}/x").json()["kept"] is False


def test_a_store_that_cannot_be_used_is_one_sentence(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be kept"), running(tiny_settings(**settings)):
        pass


def test_credentials_are_in_no_answer_log_or_metric(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    urls = [
        f"{scheme}://admin:geheim99@127.0.0.1:{free_port()}/a?token=geheim99&x=1"
        for scheme in ("http", "https", "rtsp")
    ]
    seen = ""
    with running(tiny_settings(**settings)) as server:
        for url in urls:
            seen += add(server, url, name="Door").text
        rows = f"{server.url}/v1/sources"
        assert within(WAIT_S, lambda: all(row["failures"] >= 2 for row in httpx.get(rows).json()))
        for url in ("http://admin:geheim99@127.0.0.2/", "rtsp://admin:geheim/99@127.0.0.1/", "ftp://geheim99@x/"):
            seen += add(server, url).text
        seen += add(server, 'rtsp://geheim99@127.0.0.1/"', transport="smoke").text
        for path in ("/v1/sources", "/v1/streams", "/metrics"):
            seen += httpx.get(server.url + path).text
        stored = [kept.definition.url for kept in server.core.sources.store.all()]
    assert stored == urls
    assert "***" in seen
    seen += caplog.text + json.dumps([str(vars(record)) for record in caplog.records])
    assert "is lost" in seen
    assert "geheim" not in seen
    with sqlite3.connect(tmp_path / "state" / FILE) as connection:  # so this test would have found them
        assert "geheim99" in str(connection.execute("SELECT * FROM sources").fetchall())
    connection.close()


def test_the_server_stops_while_a_connect_hangs(settings: dict[str, Any]) -> None:
    with silent() as port, running(tiny_settings(**settings, source_open_s=600.0)) as server:
        for scheme in ("rtsp", "http"):
            assert add(server, f"{scheme}://127.0.0.1:{port}/x").status_code == 201
    # `running` insists that the server has ended


def test_the_routes_are_documented(here: Running) -> None:
    paths = httpx.get(f"{here.url}/openapi.json").json()["paths"]
    assert set(paths["/v1/sources"]) == {"get", "post"}
    assert set(paths["/v1/sources/{source_id}"]) == {"get", "delete"}


def test_the_predictions_of_a_source_are_followed_through_an_outage_until_it_is_removed(here: Running) -> None:
    with Camera() as camera:
        id = add(here, camera.url).json()["id"]
        kinds: list[str] = []
        resets: list[str] = []
        unknown: list[float] = []
        with httpx.stream("GET", f"{here.url}/v1/streams/{id}/predictions", timeout=WAIT_S) as events:
            for line in events.iter_lines():
                if line.startswith("event: "):
                    kinds.append(line.removeprefix("event: "))
                elif line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
                    if kinds[-1] == "prediction":
                        unknown.append(told["unknown"])
                    if "reset" in told:
                        resets.append(told["reset"])
                        httpx.delete(f"{here.url}/v1/sources/{id}")
                if kinds.count("prediction") == 5 and camera.requests == 1:
                    camera.off()
                    assert within(WAIT_S, lambda: look(here, id)["state"] == "retrying")
                    time.sleep(1.2)  # longer than the bundle's max_gap_s
                    camera.on()
    assert kinds[0] == "ready"
    assert kinds[-1] == "summary"
    assert set(kinds[1:-1]) <= {"prediction", "event"}
    assert resets[0] == "gap"
    assert all(0 <= score <= 1 for score in unknown)


@pytest.mark.parametrize("kind", ["packets lost", "pictures cut"])
def test_damaged_frames_are_counted_by_cause_for_the_operator(here: Running, tmp_path: Path, kind: str) -> None:
    directory = tmp_path / "videos"
    if kind == "packets lost":
        film = make_film(
            directory / "a.ts", quiet_scene(90), 25.0, "mpeg4", "yuv420p", options={"g": "12"}, base=Fraction(1, 25)
        )
        lose_packets(film, 0.01, seed=1).rename(directory / "b.ts")
        name, causes = "b.ts", {"lost", "dependent"}
    else:
        jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in quiet_scene(20, 96, 128)]
        pieces = [data[: len(data) // 2] if i in (5, 11) else data for i, data in enumerate(jpegs)]
        jpeg_film(directory / "b.avi", pieces, 128, 96)
        name, causes = "b.avi", {"broken"}
    id = add(here, f"file:{name}", pace="fast").json()["id"]
    assert within(WAIT_S, lambda: look(here, id)["state"] == "ended")
    row = look(here, id)
    assert {cause for cause, count in row["damaged"].items() if count} == causes
    assert "damaged frames were left out" in row["warnings"][0]
    metrics = httpx.get(f"{here.url}/metrics").text
    for cause, count in row["damaged"].items():
        assert f'inkling_source_frames_damaged_total{{cause="{cause}"}} {float(count)}' in metrics
