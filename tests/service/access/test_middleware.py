"""The middleware in front of a small real application on a real server."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from inkling.service.access.gate import COOKIE, Gate
from inkling.service.access.middleware import IDENTITY, Access, AccessTerms
from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, Tokens


@dataclass
class Guarded:
    """A server behind the middleware. codes: of what it refused; texts: a token's for each role."""

    host: str
    gate: Gate
    codes: list[str]
    texts: dict[Role, str]

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def bearer(self, role: Role) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[role]}"}


async def _who(request: Request) -> JSONResponse:
    identity = request.scope[IDENTITY]
    return JSONResponse(None if identity is None else identity.name)


async def _stream(websocket: WebSocket) -> None:
    identity = websocket.scope[IDENTITY]
    await websocket.accept(subprotocol="inkling" if "inkling" in websocket.scope["subprotocols"] else None)
    await websocket.send_text("nobody yet" if identity is None else identity.name)
    await websocket.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    paths = ("/livez", "/v1/bundles", "/v1/streams", "/v1/sources", "/v1/secret", "/login")
    routes = [Route(path, _who, methods=["GET", "POST"]) for path in paths]
    app = Starlette(routes=[*routes, WebSocketRoute("/v1/stream", _stream)])
    tokens = Tokens(tmp_path / FILE)
    texts = {role: tokens.create(f"the {role}", role, 0.0)[1] for role in Role}
    gate, codes = Gate(tokens), list[str]()
    terms = AccessTerms(gate, ("cam.example",), ("https://board.example",), codes.append)
    access = Access(app, lambda: terms)
    server = uvicorn.Server(uvicorn.Config(access, log_config=None, lifespan="off", ws="websockets-sansio"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield Guarded(f"127.0.0.1:{listener.getsockname()[1]}", gate, codes, texts)
        finally:
            server.should_exit = True
            thread.join(10)
            tokens.close()


def test_probes_need_no_token_and_everything_else_does(guarded: Guarded) -> None:
    assert guarded.get("/livez").json() is None
    answer = guarded.get("/v1/bundles")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "/login" in answer.json()["message"]
    assert guarded.codes == ["unauthorized"]


@pytest.mark.parametrize("role", Role)
def test_a_role_gets_what_its_rules_allow_and_nothing_else(guarded: Guarded, role: Role) -> None:
    needs = {"/v1/bundles": None, "/v1/streams": Role.VIEW, "/v1/secret": Role.ADMIN}
    for path, need in needs.items():
        answer = guarded.get(path, **guarded.bearer(role))
        if need is None or role.includes(need):
            assert (answer.status_code, answer.json()) == (200, f"the {role}")
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert f"needs the role {need}" in answer.json()["message"]


def test_a_wrong_token_is_refused_even_where_any_would_do(guarded: Guarded) -> None:
    assert guarded.get("/v1/bundles", authorization="Bearer ink_00000000_x").status_code == 401


def test_a_host_that_is_not_ours_is_refused(guarded: Guarded) -> None:
    assert guarded.get("/livez", host="evil.example").status_code == 403
    assert guarded.get("/livez", host="cam.example").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_a_page_of_another_site_may_not_act(guarded: Guarded, origin: str) -> None:
    signed_in = {"cookie": f"{COOKIE}={guarded.gate.sessions.begin('x', 0.0)}", "origin": origin}
    assert httpx.post(f"{guarded.url}/v1/sources", headers=signed_in, json={}).json()["code"] == "forbidden"
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{guarded.host}/v1/stream", origin=Origin(origin)):
        pass
    assert refused.value.response.status_code == 403


def test_our_own_page_and_an_allowed_one_may(guarded: Guarded) -> None:
    for origin in (guarded.url, "https://board.example"):
        headers = guarded.bearer(Role.OPERATE) | {"origin": origin}
        assert httpx.post(f"{guarded.url}/v1/sources", headers=headers, json={}).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "Text/Plain; charset=utf-8"])
def test_what_a_form_can_send_never_acts(guarded: Guarded, kind: str) -> None:
    headers = guarded.bearer(Role.OPERATE) | {"content-type": kind}
    answer = httpx.post(f"{guarded.url}/v1/sources", headers=headers, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_websocket_brings_its_token_in_a_header_a_subprotocol_or_later(guarded: Guarded) -> None:
    url = f"ws://{guarded.host}/v1/stream"
    with connect(url, additional_headers=guarded.bearer(Role.STREAM)) as socket:
        assert socket.recv() == "the stream"
    offered = [Subprotocol("inkling"), Subprotocol(f"inkling.token.{guarded.texts[Role.STREAM]}")]
    with connect(url, subprotocols=offered) as socket:
        assert socket.subprotocol == "inkling"
        assert socket.recv() == "the stream"
    with connect(url) as socket:
        assert socket.recv() == "nobody yet"


def test_a_websocket_with_too_small_a_role_is_refused(guarded: Guarded) -> None:
    headers = guarded.bearer(Role.VIEW)
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://{guarded.host}/v1/stream", additional_headers=headers),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_answers_have_security_headers(guarded: Guarded) -> None:
    headers = guarded.get("/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_what_changes_the_server_leaves_a_line(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "inkling.audit"):
        headers = guarded.bearer(Role.OPERATE)
        httpx.post(f"{guarded.url}/v1/sources", headers=headers, json={})
        guarded.get("/v1/streams", **headers)
    lines = [record for record in caplog.records if record.name == "inkling.audit"]
    assert [(line.getMessage(), vars(line)["who"]) for line in lines] == [("POST /v1/sources", "the operate")]
