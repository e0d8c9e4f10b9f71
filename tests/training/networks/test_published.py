from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from inkling.training.cli import main
from inkling.training.networks.published import PUBLISHED, FetchError, Published, fetch, weights_folder

CONTENT = bytes(range(256)) * 20_000


class Mirror(ThreadingHTTPServer):
    """Serves CONTENT; ends after `cut` bytes of an answer when that is set. Remembers the ranges it was asked for."""

    cut: int | None = None
    knows_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ranges: list[str | None] = []

    @property
    def published(self) -> Published:
        url = f"http://127.0.0.1:{self.server_port}/net.pth"
        return Published(url, hashlib.sha256(CONTENT).hexdigest()[:8], "resnet18", "")


class _Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.server.knows_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        """Not to the terminal."""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_once_and_its_progress_is_told(tmp_path: Path, mirror: Mirror) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(mirror.published, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(mirror.published, tmp_path) == path
    assert len(mirror.ranges) == 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_off_fetch_goes_on_where_it_ended(tmp_path: Path, mirror: Mirror, knows_ranges: bool) -> None:
    mirror.cut = 3_000_000
    with pytest.raises(FetchError, match="try again to continue"):
        fetch(mirror.published, tmp_path)
    have = (tmp_path / "net.pth.partial").stat().st_size
    assert 0 < have <= 3_000_000
    mirror.cut, mirror.knows_ranges = None, knows_ranges
    seen: list[tuple[int, int]] = []
    assert fetch(mirror.published, tmp_path, lambda d, t: seen.append((d, t))).read_bytes() == CONTENT
    assert mirror.ranges == [None, f"bytes={have}-"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not (tmp_path / "net.pth.partial").exists()


def test_a_fetch_that_was_killed_after_its_last_byte_is_finished(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "net.pth.partial").write_bytes(CONTENT)
    assert fetch(mirror.published, tmp_path).read_bytes() == CONTENT


def test_what_is_not_what_was_published_is_thrown_away(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "net.pth.partial").write_bytes(b"other bytes" * 10)
    with pytest.raises(FetchError, match="sha256 begins with"):
        fetch(mirror.published, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_damaged_later_is_fetched_again(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "net.pth").write_bytes(b"damaged")
    assert fetch(mirror.published, tmp_path).read_bytes() == CONTENT


def test_no_server_is_an_error_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1"):
        fetch(Published("http://127.0.0.1:9/net.pth", "00", "resnet18", ""), tmp_path, timeout_s=2)


def test_every_published_address_names_its_digest() -> None:
    for published in PUBLISHED.values():
        assert published.sha256 in published.file
        assert published.url.startswith("https://")


def test_the_folder_of_weights_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path


def test_the_verb_lists_the_names_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in PUBLISHED)
    assert main(["weights", "no-such"]) == 1
    assert "no-such" in capsys.readouterr().err
