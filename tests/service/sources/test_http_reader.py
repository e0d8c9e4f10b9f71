from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from inkling.service.sources.address import Address
from inkling.service.sources.failure import Failure, resolve
from inkling.service.sources.http_reader import SourceClient
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.policy import SourcePolicy
from tests.service.sources.cameras import digest_answer, free_port, make_certificate, reply, send_to, serving, silent

HERE = SourcePolicy(hosts=("127.0.0.1", "cam.lan"))


@contextlib.contextmanager
def web(url: str, policy: SourcePolicy = HERE, **hosts: str) -> Iterator[SourceClient]:
    """A client. hosts: what names stand for, beside those that the system knows."""
    names = {name.replace("_", "."): ip for name, ip in hosts.items()}
    client = SourceClient(
        Address.parse(url), policy, lambda host, port: [names[host]] if host in names else resolve(host, port), 2.0
    )
    try:
        yield client
    finally:
        client.close()


def fetch(url: str, policy: SourcePolicy = HERE, **hosts: str) -> bytes:
    with web(url, policy, **hosts) as client:
        body = client.open(url)
        data = b"".join(iter(lambda: body.read(7), b""))
        body.close()
        return data


def test_a_body_is_read_to_its_end() -> None:
    with serving(lambda request: reply(request, b"0123456789", "Video/MP4; x=y")) as port:
        assert fetch(f"http://127.0.0.1:{port}/a?b=c") == b"0123456789"
        with web(f"http://127.0.0.1:{port}/a") as client:
            body = client.open(f"http://127.0.0.1:{port}/a")
            assert (body.type, body.name) == ("video/mp4", f"http://127.0.0.1:{port}/a")
            body.close()


def test_a_name_is_sent_to_the_address_that_was_checked() -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers["host"])
        reply(request, b"x")

    with serving(answer) as port:
        assert fetch(f"http://cam.lan:{port}/a", cam_lan="127.0.0.1") == b"x"
    assert seen == [f"cam.lan:{port}"]


@pytest.mark.parametrize(
    "where",
    [
        "http://other.lan:{}/",
        "http://127.0.0.2:{}/",
        "file:///etc/passwd",
        "rtsp://127.0.0.1:{}/",
        "ftp://x/",
        "data:video/mp4;base64,AAAA",
        "data:",
        "http://[:/",
        "//[::1/",
        "http://169.254.169.254/",
        "http://[::ffff:127.0.0.2]:{}/",
        "http://2130706434:{}/",
        "http://0177.0.0.2:{}/",
        "http://127.2:{}/",
    ],
)
def test_a_redirect_leads_nowhere_that_is_not_allowed(where: str) -> None:
    with serving(lambda request: reply(request, b"inside")) as port:
        inside = where.format(port)
        with serving(lambda request: send_to(request, inside)) as outside, pytest.raises(Failure) as caught:
            fetch(f"http://127.0.0.1:{outside}/", other_lan="127.0.0.2")
    assert caught.value.cause is Cause.REFUSED


def test_a_name_that_changes_its_mind_between_two_connections_is_checked_each_time() -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])

    def answer(request: BaseHTTPRequestHandler) -> None:
        send_to(request, "/b") if request.path == "/a" else reply(request, b"inside")

    with serving(answer) as port:
        policy = SourcePolicy(hosts=("127.0.0.1/32",))
        url = f"http://cam.lan:{port}/a"
        client = SourceClient(Address.parse(url), policy, lambda host, port: next(answers), 2.0)
        with contextlib.closing(client), pytest.raises(Failure) as caught:
            client.open(url)
    assert caught.value.cause is Cause.REFUSED
    assert list(answers) == [], "it was looked up once for each connection, and no more"


def test_of_a_name_with_several_addresses_only_an_allowed_one_is_connected_to() -> None:
    seen: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append(request.connection.getsockname()[0])
        reply(request, b"x")

    with serving(answer) as port:
        policy = SourcePolicy(hosts=("127.0.0.1/32",))
        url = f"http://cam.lan:{port}/a"
        found = ["169.254.169.254", "127.0.0.2", "::1", "127.0.0.1"]
        client = SourceClient(Address.parse(url), policy, lambda host, port: found, 2.0)
        with contextlib.closing(client):
            client.open(url).close()
    assert seen == ["127.0.0.1"]


def test_a_redirect_to_an_allowed_host_is_followed() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send_to(request, "/b") if request.path == "/a" else reply(request, b"here")

    with serving(answer) as port:
        assert fetch(f"http://127.0.0.1:{port}/a") == b"here"


def test_redirects_in_a_ring_end() -> None:
    with serving(lambda request: send_to(request, "/")) as port, pytest.raises(Failure, match="redirects"):
        fetch(f"http://127.0.0.1:{port}/")


def test_a_name_that_leads_to_this_machine_is_refused() -> None:
    with serving(lambda request: reply(request, b"inside")) as port, pytest.raises(Failure) as caught:
        fetch(f"http://x.lan:{port}/", SourcePolicy(), x_lan="127.0.0.1")
    assert caught.value.cause is Cause.REFUSED


def test_basic_credentials_are_sent_when_they_are_asked_for() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers["authorization"] == "Basic " + base64.b64encode(b"me:pa/ss").decode():
            reply(request, b"in")
            return
        request.send_response(401)
        request.send_header("www-authenticate", 'Basic realm="cam"')
        request.send_header("content-length", "0")
        request.end_headers()

    with serving(answer) as port:
        assert fetch(f"http://me:pa%2Fss@127.0.0.1:{port}/") == b"in"
        for login in ("", "me:wrong@"):
            with pytest.raises(Failure) as caught:
                fetch(f"http://{login}127.0.0.1:{port}/")
            assert caught.value.cause is Cause.UNAUTHORISED


def test_digest_credentials_are_never_sent_themselves() -> None:
    sent: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        given = request.headers["authorization"] or ""
        sent.append(given)
        if digest_answer("me", "cam", "secret", "n1", "GET", "/x?y=1") in given:
            reply(request, b"in")
            return
        request.send_response(401)
        request.send_header("www-authenticate", 'Digest realm="cam", nonce="n1"')
        request.send_header("content-length", "0")
        request.end_headers()

    with serving(answer) as port:
        assert fetch(f"http://me:secret@127.0.0.1:{port}/x?y=1") == b"in"
    assert sent[0] == ""
    assert not any("secret" in given or "Basic" in given for given in sent)


def test_credentials_stay_with_their_host() -> None:
    sent: list[str | None] = []

    def other(request: BaseHTTPRequestHandler) -> None:
        sent.append(request.headers["authorization"])
        request.send_response(401)
        request.send_header("www-authenticate", 'Basic realm="steal"')
        request.send_header("content-length", "0")
        request.end_headers()

    with serving(other) as thief, serving(lambda request: send_to(request, f"http://127.0.0.1:{thief}/")) as port:
        with pytest.raises(Failure) as caught:
            fetch(f"http://me:secret@127.0.0.1:{port}/")
        assert caught.value.cause is Cause.UNAUTHORISED
    assert sent == [None]


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, Cause.UNAUTHORISED),
        (403, Cause.UNAUTHORISED),
        (404, Cause.NOT_FOUND),
        (418, Cause.UNREADABLE),
        (500, Cause.UNREACHABLE),
        (503, Cause.UNREACHABLE),
    ],
)
def test_a_status_has_its_cause(status: int, cause: Cause) -> None:
    with serving(lambda request: reply(request, b"", status=status)) as port, pytest.raises(Failure) as caught:
        fetch(f"http://127.0.0.1:{port}/")
    assert caught.value.cause is cause


def test_what_cannot_be_reached_has_its_cause() -> None:
    with pytest.raises(Failure) as caught:
        fetch(f"http://127.0.0.1:{free_port()}/")
    assert caught.value.cause is Cause.UNREACHABLE
    with silent() as port, pytest.raises(Failure) as caught:
        fetch(f"http://127.0.0.1:{port}/")
    assert caught.value.cause is Cause.TIMEOUT
    with pytest.raises(Failure) as caught:
        fetch("http://nobody.invalid/", SourcePolicy())
    assert caught.value.cause is Cause.UNKNOWN_HOST


def test_a_body_that_breaks_off_is_a_closed_connection() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "100")
        request.end_headers()
        request.wfile.write(b"short")

    with serving(answer) as port, pytest.raises(Failure) as caught:
        fetch(f"http://127.0.0.1:{port}/")
    assert caught.value.cause is Cause.CLOSED


def test_a_certificate_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "cam.lan")
    hosts = ("127.0.0.1", "cam.lan", "other.lan")
    trusting = SourcePolicy(hosts=hosts, ca_file=certificate)
    with serving(lambda request: reply(request, b"safe"), certificate=certificate) as port:
        assert fetch(f"https://cam.lan:{port}/", trusting, cam_lan="127.0.0.1") == b"safe"
        assert fetch(f"https://other.lan:{port}/", SourcePolicy(hosts=hosts, verify_tls=False), other_lan="127.0.0.1")
        for url, policy in (
            (f"https://other.lan:{port}/", trusting),
            (f"https://127.0.0.1:{port}/", trusting),
            (f"https://cam.lan:{port}/", SourcePolicy(hosts=hosts)),
        ):
            with pytest.raises(Failure, match="certificate") as caught:
                fetch(url, policy, cam_lan="127.0.0.1", other_lan="127.0.0.1")
            assert caught.value.cause is Cause.UNREADABLE


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(Failure, match="source_ca_file"):
        fetch("https://127.0.0.1/", SourcePolicy(ca_file=tmp_path / "ca.pem"))
