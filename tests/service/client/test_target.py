"""Addresses, proxies, headers and certificates, of the blocking and of the async client alike."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from inkling.client import BadArgument, ClientError, MissingPackage, Unreachable
from inkling.service.client.target import Target
from tests.service.client.conftest import MakeClient
from tests.service.client.peer import Peer, answering, listening
from tests.service.client.test_clients import ANSWER

CLIP = np.ones((3, 17, 3))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that sends everything through a proxy that is not there."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@contextlib.contextmanager
def heard(port_of: str, answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server on an address that answers everything with the same bytes, and keeps what it was asked."""
    asked: list[bytes] = []
    family = socket.AF_INET6 if ":" in port_of else socket.AF_INET
    with socket.create_server((port_of, 0), family=family) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as one:
                        asked.append(one.recv(65536))
                        one.sendall(answer)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_never_reached_through_a_proxy(client: MakeClient, host: str) -> None:
    with listening(Peer()) as url, client(url.replace("127.0.0.1", host)).stream() as stream:
        stream.send(CLIP[0])
    assert stream.summary is not None
    with answering(200, ANSWER) as (url, _):
        assert client(url.replace("127.0.0.1", host)).score(CLIP).version == "2"


@pytest.mark.usefixtures("dead_proxy")
def test_nor_is_it_by_its_address_of_version_6(client: MakeClient) -> None:
    with heard("::1", b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n") as (port, asked):
        with pytest.raises(Unreachable, match="503") as caught:
            client(f"http://[::1]:{port}").stream()
        with pytest.raises(ClientError, match="503"):
            client(f"http://[::1]:{port}").score(CLIP)
    assert caught.value.retryable
    assert [line.split()[0] for line in asked] == [b"GET", b"POST"]


def test_another_machine_is_reached_through_the_proxy_that_the_environment_names(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with heard("127.0.0.1", b"HTTP/1.1 502 no\r\ncontent-length: 0\r\n\r\n") as (port, asked):
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        with pytest.raises(Unreachable):
            client("http://robot.example:8000").stream()
    assert asked[0].startswith(b"CONNECT robot.example:8000 ")


def test_a_token_and_headers_go_with_every_request(client: MakeClient) -> None:
    seen: list[Headers] = []

    def check(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers)
        return None if request.headers.get("authorization") == "Bearer secret" else connection.respond(401, "no")

    with serve(Peer(), "127.0.0.1", 0, process_request=check) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
            with client(url, token="secret", headers={"x-robot": "7"}).stream():  # noqa: S106
                pass
            with pytest.raises(Unreachable, match="token=") as caught:
                client(url, token="wrong").stream(reconnect=True)  # noqa: S106
            assert not caught.value.retryable
        finally:
            server.shutdown()
            thread.join()
    assert seen[0]["x-robot"] == "7"
    with (
        heard("127.0.0.1", b"HTTP/1.1 404 no\r\ncontent-length: 0\r\n\r\n") as (port, asked),
        pytest.raises(ClientError),
    ):
        client(f"http://127.0.0.1:{port}", token="secret", headers={"x-robot": "7"}).score(CLIP)  # noqa: S106
    assert b"authorization: bearer secret" in asked[0].lower()
    assert b"x-robot: 7" in asked[0].lower()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of localhost, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_a_server_with_a_certificate_of_ones_own_is_trusted_by_its_ca_file(
    client: MakeClient, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    peer = Peer()
    with serve(peer, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"https://localhost:{server.socket.getsockname()[1]}"
            with client(url, ca_file=certificate / "certificate.pem").stream() as stream:
                stream.send(CLIP[0])
            with pytest.raises(Unreachable, match="ca_file=") as caught:
                client(url).stream(reconnect=True)
        finally:
            server.shutdown()
            thread.join()
    assert stream.summary is not None
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("ftp://here", {}, "not the address"),
        ("http://", {}, "not the address"),
        ("", {}, "not the address"),
        ("http://here:port", {}, "not the address"),
        ("http://[::1", {}, "not the address"),
        ("http://here", {"timeout_s": 0.0}, "timeout_s"),
        ("http://here", {"ca_file": "x.pem"}, "https"),
        ("https://here", {"ca_file": "/nowhere.pem"}, r"/nowhere\.pem"),
    ],
)
def test_what_cannot_be_a_server_is_refused_at_once(
    client: MakeClient, url: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadArgument, match=words):
        client(url, **options)


def test_a_name_that_no_host_can_have_is_unreachable_for_good(client: MakeClient) -> None:
    with pytest.raises(Unreachable) as caught:
        client(f"http://{'a' * 70}.example").stream(reconnect=True)
    assert not caught.value.retryable


def test_a_password_in_an_address_is_not_shown() -> None:
    target = Target("http://me:secret@127.0.0.1:1/x", 1.0)
    assert "secret" not in str(target.unreachable(OSError("refused")))
    with pytest.raises(BadArgument) as caught:
        Target("ftp://me:secret@here", 1.0)
    assert "secret" not in str(caught.value)


def test_pixels_without_opencv_name_the_extra(client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "inkling.service.client.jpeg", raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where it is not installed
    with (
        listening(Peer()) as url,
        client(url).stream() as stream,
        pytest.raises(MissingPackage, match="extra images"),
    ):
        stream.send_image(np.zeros((4, 4, 3), np.uint8))
