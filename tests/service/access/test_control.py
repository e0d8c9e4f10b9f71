"""Who may do what on a real server: tokens in every form, pages, quotas, TLS and the first start."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIWebSocketRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from inkling.client import Client, RemoteError
from inkling.service.access.exposure import Unprotected
from inkling.service.access.gate import COOKIE
from inkling.service.access.quota import Quota
from inkling.service.access.roles import Role
from inkling.service.access.rules import listed
from inkling.service.access.tokens import FILE, TokenError, Tokens
from inkling.service.bootstrap import build
from inkling.service.http.app import create_app
from tests.service.access.test_tls import make
from tests.service.conftest import WAIT_S, Running, body, hear, pose, running, say, tiny_settings, wait_until


class Guarded:
    """A server that asks for tokens, with one of each role."""

    def __init__(self, server: Running, texts: dict[Role, str]) -> None:
        self.server = server
        self.texts = texts

    def headers(self, role: Role) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[role]}"}

    def request(self, method: str, path: str, role: Role | None = None, **more: Any) -> httpx.Response:
        headers = {} if role is None else self.headers(role)
        return httpx.request(method, self.server.url + path, headers=headers | more.pop("headers", {}), **more)


@pytest.fixture
def guarded(bundles: Path, tmp_path: Path) -> Iterator[Guarded]:
    tokens = Tokens(tmp_path / FILE)
    texts = {role: tokens.create(f"the {role}", role, 0.0)[1] for role in Role}
    tokens.close()
    with running(tiny_settings(bundles, state_dir=tmp_path, token_streams=2, token_sources=1)) as server:
        yield Guarded(server, texts)


def test_every_route_of_the_server_has_a_rule_of_its_own(server: Running) -> None:
    """A route without one would need an admin, which nobody may have meant."""
    app = create_app(core=server.core)
    asked = [(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods]
    asked += [("WEBSOCKET", route.path) for route in app.routes if isinstance(route, APIWebSocketRoute)]
    asked += [("GET", "/login"), ("POST", "/login"), ("POST", "/logout"), ("GET", "/docs"), ("GET", "/openapi.json")]
    assert len(asked) > 18
    missing = [one for one in asked if not listed(one[0], one[1].replace("{", "").replace("}", ""))]
    assert missing == []


def test_without_tokens_this_machine_is_asked_nothing(server: Running) -> None:
    assert httpx.get(f"{server.url}/v1/streams").status_code == 200


def test_a_role_reaches_what_it_is_for(guarded: Guarded) -> None:
    assert guarded.request("GET", "/readyz").status_code == 200
    assert guarded.request("GET", "/v1/streams").status_code == 401
    assert guarded.request("GET", "/v1/streams", Role.VIEW).json() == []
    assert guarded.request("GET", "/v1/streams", Role.STREAM).json()["code"] == "forbidden"
    assert guarded.request("POST", "/v1/sources", Role.VIEW, json={}).json()["code"] == "forbidden"
    assert guarded.request("POST", "/v1/sources", Role.OPERATE, json={}).json()["code"] == "bad_message"
    assert guarded.server.counts("unauthorized") == 1
    assert guarded.server.counts("forbidden") == 2


def streams(socket: ClientConnection) -> None:
    """A stream opens, answers one frame, and ends."""
    say(socket, {"type": "start", "bundle": "tiny"})
    assert hear(socket).type == "ready"
    say(socket, pose(0, 0.0, {1: body()}))
    assert hear(socket).type == "prediction"


def test_a_stream_brings_its_token_in_a_header_a_subprotocol_or_its_first_message(guarded: Guarded) -> None:
    url, text = guarded.server.stream_url, guarded.texts[Role.STREAM]
    with connect(url, additional_headers=guarded.headers(Role.STREAM)) as socket:
        streams(socket)
    with connect(url, subprotocols=[Subprotocol("inkling"), Subprotocol(f"inkling.token.{text}")]) as socket:
        assert socket.subprotocol == "inkling"
        streams(socket)
    with connect(url) as socket:
        say(socket, {"type": "token", "token": text})
        streams(socket)


def test_a_token_is_taken_where_none_is_asked_for(server: Running) -> None:
    with connect(server.stream_url) as socket:
        say(socket, {"type": "token", "token": "whatever"})
        streams(socket)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "start", "bundle": "tiny"}, "unauthorized"),
        ({"type": "token", "token": "ink_00000000_x"}, "unauthorized"),
        ("nonsense", "bad_message"),
    ],
)
def test_a_stream_without_a_good_token_is_told_why(guarded: Guarded, message: Any, code: str) -> None:
    with connect(guarded.server.stream_url) as socket:
        say(socket, message)
        told = hear(socket)
        assert (told.type, getattr(told, "code", None)) == ("error", code)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == {"unauthorized": 4401, "bad_message": 4400}[code]


def test_a_streams_id_alone_lets_nobody_follow_it(guarded: Guarded) -> None:
    with connect(guarded.server.stream_url, additional_headers=guarded.headers(Role.STREAM)) as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        stream = json.loads(socket.recv(WAIT_S))["stream"]
        path = f"/v1/streams/{stream}/predictions"
        assert guarded.request("GET", path).status_code == 401
        assert guarded.request("GET", path, Role.STREAM).status_code == 403
        where = guarded.server.stream_url.removesuffix("/v1/stream") + path
        with pytest.raises(InvalidStatus, match="403"), connect(where, additional_headers=guarded.headers(Role.STREAM)):
            pass
        with connect(where) as follower:
            say(follower, {"type": "token", "token": guarded.texts[Role.STREAM]})
            assert getattr(hear(follower), "code", None) == "forbidden"
        with connect(where) as follower:
            say(follower, {"type": "token", "token": guarded.texts[Role.VIEW]})
            assert hear(follower).type == "ready"


def test_the_client_brings_its_token(guarded: Guarded) -> None:
    with Client(guarded.server.url, token=guarded.texts[Role.STREAM]).stream("tiny") as stream:
        assert stream.ready.bundle == "tiny"
    with pytest.raises(RemoteError) as refused, Client(guarded.server.url).stream("tiny"):
        pass
    assert (refused.value.code, refused.value.retryable) == ("unauthorized", False)


def test_a_token_opens_so_many_streams_and_ended_ones_do_not_count(guarded: Guarded) -> None:
    client = Client(guarded.server.url, token=guarded.texts[Role.STREAM])
    for _ in range(3):
        with client.stream("tiny"), client.stream("tiny"):
            with pytest.raises(RemoteError) as refused, client.stream("tiny"):
                pass
            assert refused.value.code == "over_quota"
        guarded.server.wait_idle()


def test_a_revoked_token_is_refused_from_the_next_request_on(guarded: Guarded) -> None:
    assert guarded.request("GET", "/v1/streams", Role.VIEW).status_code == 200
    tokens = guarded.server.core.access.gate.tokens
    assert tokens is not None
    (viewer,) = (token for token in tokens.all() if token.role is Role.VIEW)
    tokens.revoke(viewer.id)
    assert guarded.request("GET", "/v1/streams", Role.VIEW).status_code == 401


def test_a_browser_signs_in_and_out(guarded: Guarded) -> None:
    url = guarded.server.url
    with httpx.Client(base_url=url) as browser:
        page = browser.get("/login", params={"next": "/docs"})
        assert page.status_code == 200
        assert 'value="/docs"' in page.text
        wrong = browser.post("/login", data={"token": "ink_00000000_x"}, headers={"origin": url})
        assert wrong.status_code == 401
        assert "not valid" in wrong.text
        form = {"token": guarded.texts[Role.VIEW], "next": "/docs"}
        right = browser.post("/login", data=form, headers={"origin": url})
        assert (right.status_code, right.headers["location"]) == (303, "/docs")
        cookie = right.headers["set-cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert browser.get("/v1/streams").status_code == 200
        stolen = browser.cookies[COOKIE]
        browser.post("/logout", headers={"origin": url})
        assert browser.get("/v1/streams").status_code == 401
    assert httpx.get(f"{url}/v1/streams", cookies={COOKIE: stolen}).status_code == 401


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
)
def test_signing_in_leads_nowhere_else(guarded: Guarded, after: str) -> None:
    form = {"token": guarded.texts[Role.VIEW], "next": after}
    answer = guarded.request("POST", "/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_page_of_another_site_reaches_nothing(guarded: Guarded) -> None:
    evil = {"origin": "http://evil.example"}
    answer = guarded.request("POST", "/v1/sources", Role.OPERATE, headers=evil, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    with pytest.raises(InvalidStatus, match="403"), connect(guarded.server.stream_url, origin=Origin(evil["origin"])):
        pass
    assert guarded.request("GET", "/readyz", headers={"host": "evil.example"}).status_code == 403


def test_a_tokens_bytes_are_slowed_down_to_its_rate(bundles: Path, tmp_path: Path) -> None:
    settings = tiny_settings(bundles, token_bytes_per_s=20_000, inbox=1000)
    with running(settings) as server, connect(server.stream_url) as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        assert hear(socket).type == "ready"
        for seq in range(100):  # each about 800 bytes, so twice what a moment may bring
            say(socket, pose(seq, seq / 15, {1: body()}))
        (stream,) = server.core.hub.streams()
        assert stream.counts.received < 100, "what is over the rate is not read yet"
        wait_until(lambda: server.core.hub.streams()[0].counts.received == 100)


def test_other_sites_may_read_only_where_an_operator_says_so(bundles: Path) -> None:
    origin = {"origin": "https://board.example"}
    with running(tiny_settings(bundles, allowed_origins=("https://board.example",))) as server:
        allowed = httpx.get(f"{server.url}/v1/bundles", headers=origin).headers["access-control-allow-origin"]
        assert allowed == "https://board.example"
        other = httpx.get(f"{server.url}/v1/bundles", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_listening_beyond_this_machine_takes_tokens(bundles: Path, tmp_path: Path) -> None:
    with pytest.raises(Unprotected, match="inkling tokens create"):
        build(tiny_settings(bundles, host="0.0.0.0"))  # noqa: S104
    with pytest.raises(TokenError, match="set state_dir"):
        build(tiny_settings(bundles, host="0.0.0.0", first_token=True))  # noqa: S104
    first = build(tiny_settings(bundles, host="0.0.0.0", first_token=True, state_dir=tmp_path))  # noqa: S104
    assert first.access.first_token is not None
    first.access.close()
    first.sources.store.close()
    second = build(tiny_settings(bundles, host="0.0.0.0", first_token=True, state_dir=tmp_path))  # noqa: S104
    assert second.access.first_token is None, "it is shown once"
    second.access.close()
    second.sources.store.close()


def test_a_server_speaks_tls_itself(bundles: Path, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "localhost", "-nodes", "-addext", "subjectAltName=IP:127.0.0.1")
    with running(tiny_settings(bundles, tls_cert=certificate, tls_key=key)) as server:
        url = server.url.replace("http://", "https://")
        context = ssl.create_default_context(cafile=certificate)
        assert httpx.get(f"{url}/readyz", verify=context).status_code == 200
        with Client(url, ca_file=str(certificate)).stream("tiny") as stream:
            assert stream.ready.bundle == "tiny"


def test_metrics_have_a_port_of_their_own_where_nobody_is_asked(bundles: Path, tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / FILE)
    tokens.create("one", Role.ADMIN, 0.0)
    tokens.close()
    with running(tiny_settings(bundles, state_dir=tmp_path, metrics_port=0)) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        monitoring = server.server._monitoring
        assert monitoring is not None
        port = monitoring._listener.getsockname()[1]
        wait_until(lambda: monitoring.started)
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200
        assert "inkling_ready 1.0" in answer.text
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").text == "ready"
        assert httpx.get(f"http://127.0.0.1:{port}/v1/bundles").status_code == 404


def test_tokens_are_made_listed_and_revoked_on_the_command_line(tmp_path: Path) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inkling.service.cli.main", "tokens", "--state-dir", str(tmp_path), *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    made = run("create", "kitchen tablet", "--role", "view", "--days", "30", "--people", "7")
    assert made.returncode == 0, made.stderr
    tokens = Tokens(tmp_path / FILE)
    (token,) = tokens.all()
    assert tokens.find(made.stdout.strip(), token.created_s) == token
    shown = run("list").stdout
    assert token.id in shown
    assert "kitchen tablet" in shown
    assert token.quota == Quota(people=7)
    assert "people 7" in shown
    assert made.stdout.strip() not in shown
    assert run("revoke", token.id).returncode == 0
    assert tokens.all() == []
    again = run("revoke", token.id)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)
    tokens.close()
    shutil.rmtree(tmp_path)
