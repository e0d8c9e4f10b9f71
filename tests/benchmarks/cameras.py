"""How long after a slow camera's first picture its first prediction comes, for every way in which cameras send them.

    python -m tests.benchmarks.cameras [--rates 1 2] [--bundle fall-watch] [--bundles DIRECTORY]

A real server fetches multipart MJPEG over real HTTP on loopback; the time counts from when the camera has sent the last
byte of its first picture to when a follower has read the prediction. Prints a table; one JSON object is the last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from tests.benchmarks.processes import service
from tests.service.sources.cameras import serving
from tests.service.sources.test_multipart import ODD, PICTURES

PATIENCE_S = 8.0


class SlowCamera:
    """Sends an odd stream, a picture at each beat, over and over. sent_s: when its first picture was out."""

    def __init__(self, odd: str, rate_hz: float) -> None:
        self._kind, data = ODD[odd]
        self._chunks = []
        for picture in PICTURES:
            end = data.index(picture) + len(picture)
            self._chunks.append(data[:end])
            data = data[end:]
        self._rest = data
        self._rate_hz = rate_hz
        self.done = threading.Event()
        self.sent_s = 0.0

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-type", self._kind)
        request.end_headers()
        while not self.done.is_set():
            for chunk in self._chunks:
                request.wfile.write(chunk)
                self.sent_s = self.sent_s or time.monotonic()
                if self.done.wait(1 / self._rate_hz):
                    return
            request.wfile.write(self._rest)


def first_prediction_s(url: str, bundle: str, odd: str, rate_hz: float) -> float | None:
    """Seconds to it; None: it did not come."""
    camera = SlowCamera(odd, rate_hz)
    with serving(camera) as port:
        wanted = {"url": f"http://127.0.0.1:{port}/", "bundle": bundle}
        answer = httpx.post(f"{url}/v1/sources", json=wanted).raise_for_status().json()
        came_s = None
        try:
            follow = f"{url}/v1/streams/{answer['id']}/predictions"
            with httpx.stream("GET", follow, timeout=PATIENCE_S) as lines:
                for line in lines.iter_lines():
                    if "prediction" in line:
                        came_s = time.monotonic()
                        break
                    if camera.sent_s and time.monotonic() - camera.sent_s > PATIENCE_S:
                        break
        except httpx.TimeoutException:
            pass
        camera.done.set()
        httpx.delete(f"{url}/v1/sources/{answer['id']}", timeout=30.0).raise_for_status()
    return None if came_s is None else came_s - camera.sent_s


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 2.0], help="pictures a second")
    parser.add_argument("--bundle", default="fall-watch")
    parser.add_argument("--bundles", help="a directory of other bundles")
    wish = parser.parse_args()
    flags = ["--source-hosts", "127.0.0.1", *(["--bundles", wish.bundles] if wish.bundles else [])]
    found: dict[str, dict[str, Any]] = {}
    with service(*flags) as (url, _):
        for odd in ODD:
            took = [first_prediction_s(url, wish.bundle, odd, rate) for rate in wish.rates]
            found[odd] = {f"{rate:g}": seconds for rate, seconds in zip(wish.rates, took, strict=True)}
            shown = "  ".join("   never" if seconds is None else f"{seconds:6.3f} s" for seconds in took)
            print(f"{odd:40}{shown}", flush=True)
    json.dump({"first_prediction_s": found}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
