"""The REST endpoints other than clips: what they show, and that every error has the one shape."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from inkling.service.http.app import create_app
from inkling.service.protocol.codec import ErrorMessage
from inkling.service.protocol.errors import ServiceError
from tests.service.conftest import (
    WAIT_S,
    Running,
    body,
    finish,
    hear_all,
    opened,
    pose,
    say,
    settled,
    tiny_settings,
    wait_until,
)


def test_a_bundle_is_described_well_enough_to_use_it(server: Running) -> None:
    (bundle,) = httpx.get(f"{server.url}/v1/bundles").json()
    assert bundle["kind"] == "step"
    assert (bundle["name"], bundle["version"], bundle["task"], bundle["rate_hz"]) == ("tiny", "1", "recognition", 15.0)
    assert (bundle["labels"], bundle["background"]) == (["a", "b", "c"], "c")
    assert (bundle["input"]["kind"], bundle["input"]["skeleton"], bundle["input"]["shape"]) == (
        "pose",
        "body13",
        [13, 3],
    )
    assert len(bundle["input"]["joints"]) == 13
    assert bundle["slots_free"] == server.core.settings.limits.slots


def test_open_streams_are_listed_with_their_counts(server: Running) -> None:
    with opened(server, policy="block") as socket:
        say(socket, pose(0, 0.0, {1: body(), 2: body(1)}))
        say(socket, pose(1, 0.001, {1: body()}))
        say(socket, pose(2, -1.0, {1: body()}))
        settled(socket)
        (stream,) = httpx.get(f"{server.url}/v1/streams").json()
        finish(socket)
    assert (stream["bundle"], stream["version"], stream["policy"]) == ("tiny", "1", "block")
    assert (stream["tracks"], stream["waiting"]) == (2, 0)
    counts = stream["counts"]
    assert [counts[name] for name in ("received", "stepped", "skipped", "refused")] == [3, 1, 1, 1]
    server.wait_idle()
    assert httpx.get(f"{server.url}/v1/streams").json() == []


def test_the_protocol_is_served_with_every_error_and_its_close_code(server: Running) -> None:
    protocol = httpx.get(f"{server.url}/v1/protocol").json()
    assert set(protocol["errors"]) == {kind.code for kind in ServiceError.__subclasses__()}
    assert protocol["errors"]["over_capacity"]["close"] == 1013
    assert protocol["errors"]["bad_pose"]["close"] is None
    assert {"incoming", "outgoing", "packed"} <= set(protocol)


def test_metrics_follow_what_a_stream_does(server: Running) -> None:
    def read() -> dict[str, float]:
        text = httpx.get(f"{server.url}/metrics").text
        return {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.get("bundle") == "tiny/1" and set(sample.labels) == {"bundle"}
        }

    before = read()
    with opened(server) as socket:
        for seq in range(5):
            say(socket, pose(seq, seq / 15, {1: body(seq), 2: body(seq)}))
            settled(socket, seq)
        during = read()
        finish(socket)
    server.wait_idle()
    after = read()

    def rose(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert (during["inkling_streams"], during["inkling_tracks"], during["inkling_slots_used"]) == (1, 2, 2)
    assert (after["inkling_streams"], after["inkling_tracks"], after["inkling_slots_used"]) == (0, 0, 0)
    assert rose("inkling_frames_received_total") == rose("inkling_frames_stepped_total") == 5
    assert rose("inkling_steps_total") == 10
    assert rose("inkling_latency_seconds_count") == rose("inkling_queue_seconds_count") == 10
    assert rose("inkling_batch_size_sum") == 10


def test_documentation_is_served(server: Running) -> None:
    assert httpx.get(f"{server.url}/docs").status_code == 200
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    assert {"/livez", "/readyz", "/metrics", "/v1/bundles", "/v1/streams", "/v1/protocol", "/v1/clips"} <= set(paths)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
        ("POST", "/v1/clips", 422, "bad_message"),
        ("POST", "/v1/clips?bundle=tiny", 422, "bad_clip"),
    ],
)
def test_every_refusal_has_the_same_shape(server: Running, method: str, path: str, status: int, code: str) -> None:
    answer = httpx.request(method, server.url + path)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message", "retryable"}
    assert (answer.json()["code"], answer.json()["retryable"]) == (code, False)


def test_a_defect_is_answered_without_its_details_and_counted(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(server.core.hub, "streams", defect)
    before = server.counts("internal")
    answer = httpx.get(f"{server.url}/v1/streams")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert server.counts("internal") == before + 1


def test_the_application_runs_under_plain_uvicorn_with_our_transport(bundles: Path) -> None:
    """Without our server there is no drain, but all else works."""
    with _plain_uvicorn(
        create_app(tiny_settings(bundles)), "inkling.service.websocket.transport:StreamTransport"
    ) as where:
        assert httpx.get(f"http://{where}/readyz").status_code == 200
        with connect(f"ws://{where}/v1/stream") as socket:
            say(socket, {"type": "start", "bundle": "tiny"})
            say(socket, pose(0, 0.0, {1: body()}))
            answers = settled(socket)
            say(socket, {"type": "nonsense"})
            heard, close = hear_all(socket)
    assert [message.type for message in answers + heard] == ["ready", "prediction", "error"]
    assert close == 4400


def test_without_our_transport_a_stream_is_told_how_to_start_the_server(bundles: Path) -> None:
    with _plain_uvicorn(create_app(tiny_settings(bundles)), "websockets-sansio") as where:
        assert httpx.get(f"http://{where}/readyz").status_code == 200
        with connect(f"ws://{where}/v1/stream") as socket:
            (error,), close = hear_all(socket)
    assert isinstance(error, ErrorMessage)
    assert error.code == "internal"
    assert "--ws inkling.service.websocket.transport:StreamTransport" in error.message
    assert close == 1011


@contextlib.contextmanager
def _plain_uvicorn(app: FastAPI, ws: str) -> Iterator[str]:
    """Yields host:port."""
    plain = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws=ws))
    thread = threading.Thread(target=plain.run)
    thread.start()
    try:
        wait_until(lambda: plain.started)
        host, port = plain.servers[0].sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        plain.should_exit = True
        thread.join(WAIT_S)


def test_every_number_that_a_request_may_carry_has_bounds(server: Running) -> None:
    """One without them is held by an array or written into an answer some day, and is then an internal error."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    schemas = document["components"]["schemas"]

    def unbounded(schema: Any, path: str) -> Iterator[str]:
        if isinstance(schema, list):
            for part in schema:
                yield from unbounded(part, path)
        elif isinstance(schema, dict):
            if "$ref" in schema:
                yield from unbounded(schemas[schema["$ref"].rsplit("/", 1)[1]], path)
            bounds = {"maximum", "exclusiveMaximum", "const", "enum"}
            if schema.get("type") in ("integer", "number") and not bounds & set(schema):
                yield path
            for key, part in schema.items():
                yield from unbounded(part, f"{path} {key}")

    found = [
        name
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for part in ("parameters", "requestBody")
        for name in unbounded(operation.get(part), f"{method} {path} {part}")
    ]
    assert found == []
