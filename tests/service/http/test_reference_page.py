"""`/docs`: that it says everything, and that a browser without internet sees all of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from inkling.service.http.reference_page import render
from tests.service.conftest import Running
from tests.support import skip_unless

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def looked_at(url: str, folder: Path) -> tuple[str, set[str]]:
    """What a real browser without internet makes of a page, and the addresses that the page itself asked for."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    skip_unless(browser is not None, f"no browser is installed: {', '.join(BROWSERS)}")
    assert browser is not None
    log = folder / "net.json"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *(f"--log-net-log={log}", "--dump-dom", url),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    origin = url.rsplit("/", 1)[0]
    started = [
        event["params"] for event in json.loads(log.read_text())["events"] if "initiator" in event.get("params", ())
    ]
    return done.stdout, {params["url"] for params in started if params["initiator"] == origin and "url" in params}


@contextlib.contextmanager
def served(page: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/page"
        server.shutdown()


def test_a_browser_without_internet_sees_every_call_and_fetches_nothing(server: Running, tmp_path: Path) -> None:
    seen, asked = looked_at(f"{server.url}/docs", tmp_path)
    for path, methods in httpx.get(f"{server.url}/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()}</b> {path}</h3>" in seen
    assert asked == set()


def test_a_page_that_fetches_would_be_noticed(tmp_path: Path) -> None:
    with served(b'<script src="http://cdn.invalid/swagger.js"></script>') as url:
        _, asked = looked_at(url, tmp_path)
    assert "http://cdn.invalid/swagger.js" in asked


def test_every_link_of_the_page_leads_somewhere(server: Running) -> None:
    text = httpx.get(f"{server.url}/docs").text
    assert "src=" not in text
    links = {part.split('"', 1)[0] for part in text.split('href="')[1:]}
    anchors = {part.split('"', 1)[0] for part in text.split(' id="')[1:]}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    for link in links - {"data:,"}:
        if not link.startswith("#"):
            assert httpx.get(f"{server.url}/{link}").status_code == 200


def test_names_and_texts_are_escaped() -> None:
    schema = {
        "info": {"title": "<a>", "version": "1"},
        "paths": {"/x": {"get": {"description": "`<b>` & more", "responses": {}}}},
    }
    page = render(schema)
    assert "<title>&lt;a&gt;: REST</title>" in page
    assert "<code>&lt;b&gt;</code> &amp; more" in page
