"""The server behind real proxies that speak TLS, as docs/how-to/secure.md has them, also under a path."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from inkling.client import Client
from inkling.service.access.roles import Role
from inkling.service.access.throttle import FREE
from inkling.service.access.tokens import FILE, Tokens
from tests.service.access.test_tls import make
from tests.service.conftest import WAIT_S, Running, body, running, tiny_settings, wait_until
from tests.support import CHECKOUT, make_bundle, make_frame_bundle, skip_unless

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {recipe}
    }}
}}
"""
CADDY = """
{{
    admin off
    auto_https disable_redirects
}}
{recipe}
tls {certificate} {key}
"""


@dataclass
class Proxied:
    """A server behind a proxy. url: the proxy's, with the path. admin: a token."""

    server: Running
    url: str
    root: str
    certificate: Path
    admin: str

    def client(self, **more: Any) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=self.url, verify=context, timeout=WAIT_S, **more)

    @property
    def origin(self) -> str:
        return self.url.removesuffix(self.root)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.admin}"}


def _recipe(block: str) -> str:
    page = (CHECKOUT / "docs/how-to/secure.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"```{block}\n(.*?)```", page, re.DOTALL)
    return str(text)


def _nginx(folder: Path, port: int, server: str, root: str, certificate: Path, key: Path) -> list[str]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    skip_unless(program is not None, "nginx is not installed")
    recipe = _recipe("nginx")
    if root:
        recipe = recipe.replace("location /", f"location {root}/").replace("127.0.0.1:8000;", "127.0.0.1:8000/;")
    recipe = recipe.replace("http://127.0.0.1:8000", server)
    whole = NGINX.format(folder=folder, port=port, certificate=certificate, key=key, recipe=recipe)
    (folder / "nginx.conf").write_text(whole)
    return [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def _caddy(folder: Path, port: int, server: str, root: str, certificate: Path, key: Path) -> list[str]:
    program = shutil.which("caddy")
    skip_unless(program is not None, "caddy is not installed")
    site, directive = _recipe('text title="Caddyfile"').strip().splitlines()
    assert site == "cam.example.org"
    directive = directive.replace("127.0.0.1:8000", server.removeprefix("http://"))
    if root:
        directive = f"handle_path {root}/* {{\n{directive}\n}}"
    recipe = f"https://127.0.0.1:{port}\n{directive}"
    (folder / "Caddyfile").write_text(CADDY.format(certificate=certificate, key=key, recipe=recipe))
    return [str(program), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(scope="module", params=["nginx", "nginx /inkling", "caddy", "caddy /inkling"])
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    name, _, root = request.param.partition(" ")
    command: Callable[..., list[str]] = {"nginx": _nginx, "caddy": _caddy}[name]
    folder = tmp_path_factory.mktemp(name)
    certificate, key = make(folder, "localhost", "-nodes", "-addext", "subjectAltName=IP:127.0.0.1")
    tokens = Tokens(folder / FILE)
    admin = tokens.create("admin", Role.ADMIN, 0.0)[1]
    tokens.close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    make_bundle(folder / "bundles")
    make_frame_bundle(folder / "bundles")
    settings = tiny_settings(
        folder / "bundles",
        load=("tiny", "tiny-frames"),
        root_path=root,
        state_dir=folder,
        proxy_user_header="X-Remote-User",
        proxy_addresses=("127.0.0.1",),
    )
    with running(settings) as server:
        argv = command(folder, port, server.url, root, certificate, key)
        home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(argv, stdout=said, stderr=said, env=home)
        try:
            wait_until(lambda: _answers(port) or process.poll() is not None)
            assert process.poll() is None, (folder / "said").read_text()
            yield Proxied(server, f"https://127.0.0.1:{port}{root}", root, certificate, admin)
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_streams_clips_and_pages_pass_through(proxied: Proxied) -> None:
    with proxied.client(headers=proxied.bearer) as web:
        assert web.get("/readyz").status_code == 200
        clip = {"fps": 15, "people": [{"track": 1, "keypoints": [body()] * 3}]}
        assert len(web.post("/v1/clips?bundle=tiny", json=clip).json()["timeline"]) == 3
    with Client(proxied.url, ca_file=str(proxied.certificate), token=proxied.admin).stream("tiny") as stream:
        assert stream.ready.bundle == "tiny"
        stream.send(body(), 0.0)
        assert [prediction.seq for prediction in stream.flush()] == [0]


def test_events_come_through_as_they_happen(proxied: Proxied) -> None:
    with (
        Client(proxied.url, ca_file=str(proxied.certificate), token=proxied.admin).stream("tiny") as stream,
        proxied.client(headers=proxied.bearer) as web,
        web.stream("GET", f"/v1/streams/{stream.ready.stream}/predictions") as answer,
    ):
        assert answer.status_code == 200
        data = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        assert next(data)["type"] == "ready"
        stream.send(body(), 0.0)
        assert next(data)["seq"] == 0, "the stream is still open: nothing on the way kept it back"


def test_a_browser_signs_in_finds_the_pages_and_signs_out(proxied: Proxied) -> None:
    origin = {"origin": proxied.origin}
    with proxied.client() as browser:
        page = browser.get("/login").text
        assert f'action="{proxied.root}/login"' in page
        assert browser.get(re.findall(r'href="([^"]+\.css)"', page)[0].removeprefix(proxied.root)).status_code == 200
        form = {"token": proxied.admin, "next": f"{proxied.root}/docs"}
        signed_in = browser.post("/login", data=form, headers=origin)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, f"{proxied.root}/docs")
        cookie = signed_in.headers["set-cookie"].lower()
        assert "secure" in cookie, "the proxy said that it was https"
        assert f"path={proxied.root or '/'};" in f"{cookie};"
        docs = browser.get("/docs")
        assert docs.status_code == 200
        for link in re.findall(r'<a href="([^"#]+)"', docs.text):  # relative, so that they work under any path
            assert browser.get(f"/{link}").status_code == 200
        servers = browser.get("/openapi.json").json().get("servers", [{"url": ""}])
        assert servers == [{"url": proxied.root}]
        assert browser.post("/logout", headers=origin).headers["location"] == f"{proxied.root}/login"
        assert browser.get("/docs").status_code == 401


def test_signing_in_leads_to_no_other_page_of_the_proxy(proxied: Proxied) -> None:
    with proxied.client() as browser:
        for after in ("//evil.example", f"{proxied.root}/../other", "https://evil.example"):
            form = {"token": proxied.admin, "next": after}
            answer = browser.post("/login", data=form, headers={"origin": proxied.origin})
            assert answer.headers["location"] == f"{proxied.root}/"


def test_what_was_made_is_where_the_answer_says(proxied: Proxied) -> None:
    with proxied.client(headers=proxied.bearer) as web:
        camera = {"url": "http://192.0.2.1/video", "bundle": "tiny-frames"}  # an address that nobody has
        made = web.post("/v1/sources", json=camera)
        assert made.status_code == 201
        where = made.headers["location"]
        assert where == f"{proxied.root}/v1/sources/{made.json()['id']}"
        assert web.get(where.removeprefix(proxied.root)).json()["id"] == made.json()["id"]
        assert web.delete(where.removeprefix(proxied.root)).status_code == 204
        moved = web.get("/v1/streams/")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{proxied.url}/v1/streams")


def test_a_page_of_another_site_is_refused_behind_the_proxy_too(proxied: Proxied) -> None:
    with proxied.client(headers={"origin": "https://evil.example"}) as evil:
        assert evil.post("/v1/sources", json={}).json()["code"] == "forbidden"


def test_wrong_tokens_are_counted_by_the_address_that_the_proxy_saw(proxied: Proxied) -> None:
    """Who writes an address into the header themselves gains nothing, and keeps nobody else out."""
    transport = httpx.HTTPTransport(
        verify=ssl.create_default_context(cafile=proxied.certificate), local_address="127.0.0.9"
    )
    with httpx.Client(base_url=proxied.url, transport=transport, timeout=WAIT_S) as attacker:
        codes = []
        for number in range(FREE + 2):
            faked = {"x-forwarded-for": f"10.0.0.{number}", "authorization": "Bearer ink_00000000_x"}
            codes.append(attacker.get("/v1/streams", headers=faked).json()["code"])
    assert codes[:FREE] == ["unauthorized"] * FREE
    assert codes[-1] == "too_many_tries"
    with proxied.client(headers=proxied.bearer) as honest:
        assert honest.get("/v1/streams").status_code == 200


def test_the_proxys_word_on_who_signed_in_counts_and_nobody_elses(proxied: Proxied) -> None:
    """These recipes pass the header on as it came, so the client here stands for a proxy that signs people in."""
    named = {"x-remote-user": "ann"}
    with proxied.client(headers=named) as web:
        assert web.get("/v1/streams").status_code == 200
        assert web.post("/v1/sources", json={}).json()["code"] == "forbidden", "proxy_role is view"
    beside = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(base_url=proxied.server.url, transport=beside, timeout=WAIT_S) as web:
        forged = named | {"x-forwarded-for": "127.0.0.1"}
        assert web.get("/v1/streams", headers=forged).json()["code"] == "unauthorized"
