"""The server behind a real nginx that speaks TLS, as docs/how-to/secure.md has it."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from inkling.client import Client
from tests.service.access.test_tls import make
from tests.service.conftest import Running, running, tiny_settings, wait_until
from tests.support import CHECKOUT, skip_unless

WHOLE = """
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
        {location}
    }}
}}
"""


@pytest.fixture
def proxied(bundles: Path, tmp_path: Path) -> Iterator[tuple[Running, str, Path]]:
    """The server, the proxy's address, and its certificate."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    skip_unless(nginx is not None, "nginx is not installed")
    page = (CHECKOUT / "docs/how-to/secure.md").read_text(encoding="utf-8")
    (location,) = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    certificate, key = make(tmp_path, "localhost", "-nodes", "-addext", "subjectAltName=IP:127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(tiny_settings(bundles)) as server:
        location = location.replace("http://127.0.0.1:8000", server.url)
        whole = WHOLE.format(folder=tmp_path, port=port, certificate=certificate, key=key, location=location)
        (tmp_path / "nginx.conf").write_text(whole)
        command = [
            str(nginx),
            "-p",
            str(tmp_path),
            "-c",
            str(tmp_path / "nginx.conf"),
            "-e",
            str(tmp_path / "error.log"),
        ]
        process = subprocess.Popen(command)
        try:
            url = f"https://127.0.0.1:{port}"
            wait_until(lambda: _answers(port) or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "error.log").read_text()
            yield server, url, certificate
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_streams_clips_and_pages_pass_through(proxied: tuple[Running, str, Path]) -> None:
    _, url, certificate = proxied
    context = ssl.create_default_context(cafile=certificate)
    assert httpx.get(f"{url}/readyz", verify=context).status_code == 200
    assert httpx.get(f"{url}/login", verify=context, headers={"origin": url}).status_code == 200
    with Client(url, ca_file=str(certificate)).stream("tiny") as stream:
        assert stream.ready.bundle == "tiny"


def test_a_page_of_another_site_is_refused_behind_the_proxy_too(proxied: tuple[Running, str, Path]) -> None:
    _, url, certificate = proxied
    context = ssl.create_default_context(cafile=certificate)
    evil = {"origin": "https://evil.example"}
    assert httpx.post(f"{url}/v1/sources", verify=context, headers=evil, json={}).json()["code"] == "forbidden"
