"""Errors as ffmpeg and the system really raise them, and the cause that each becomes."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path

import av
import pytest

from inkling.service.sources.failure import Failure, from_av, resolve
from inkling.service.sources.lifecycle import Cause
from tests.service.sources.cameras import free_port, serving, silent


def failure(url: str, *, timeout: float = 5.0) -> Failure:
    """Why ffmpeg cannot open this."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which errors ffmpeg has is what is tested
        av.open(url, timeout=timeout)
    return from_av(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    found = failure(str(tmp_path / "secret.mp4"))
    assert found.cause is Cause.NOT_FOUND
    assert "secret" not in str(found), "a path or a URL may hold what an operator must not see"
    assert "No such file" in str(found)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    assert failure(str(tmp_path / "a.mp4")).cause is Cause.UNREADABLE


def test_a_port_where_nobody_listens() -> None:
    assert failure(f"http://127.0.0.1:{free_port()}/x").cause is Cause.UNREACHABLE


def test_a_server_that_never_answers() -> None:
    with silent() as port:
        found = failure(f"http://127.0.0.1:{port}/x", timeout=0.2)
    assert (found.cause, str(found)) == (Cause.TIMEOUT, "no answer in time")


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, Cause.UNAUTHORISED),
        (403, Cause.UNAUTHORISED),
        (404, Cause.NOT_FOUND),
        (429, Cause.UNREACHABLE),
        (503, Cause.UNREACHABLE),
    ],
)
def test_what_a_web_server_answers(status: int, cause: Cause) -> None:
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()

    with serving(refuse) as port:
        assert failure(f"http://127.0.0.1:{port}/x").cause is cause


def test_a_failure_stays_what_it_is() -> None:
    own = Failure(Cause.NO_FRAMES, "nothing came")
    assert from_av(own) is own


def test_an_error_that_nobody_foresaw_is_a_lost_connection_named_by_its_type() -> None:
    found = from_av(ValueError("rtsp://me:secret@camera/"))
    assert (found.cause, str(found)) == (Cause.CLOSED, "ValueError")


def test_a_host_is_looked_up_by_the_system() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert set(resolve("localhost", 80)) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "bad\x00host"])
def test_a_host_that_is_not_known_is_named(host: str) -> None:
    with pytest.raises(Failure, match="host") as caught:
        resolve(host, 80)
    assert caught.value.cause is Cause.UNKNOWN_HOST
    assert repr(host) in str(caught.value)
