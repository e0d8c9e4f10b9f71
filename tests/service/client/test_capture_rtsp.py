"""The client's capture on a real RTSP camera."""

from __future__ import annotations

from collections import deque
from itertools import islice

import pytest

from inkling.service.client.capture import CaptureError, open_capture
from tests.service.sources.test_rtsp import gstreamer, serving

__all__ = ["gstreamer"]


def test_a_network_camera_is_captured_and_its_silence_noticed() -> None:
    with serving() as server, open_capture(server.url(), wait_s=10.0) as capture:
        shots = iter(capture)
        times = []
        for _ in range(12):
            pts_s, image = next(shots)
            times.append(pts_s)
        assert image().shape == (240, 320, 3)
        assert times == sorted(times)


def test_a_camera_that_freezes_is_an_error_not_a_hang() -> None:
    with serving() as server, open_capture(server.url(), wait_s=2.0) as capture:
        shots = iter(capture)
        next(shots)
        server.say("freeze")
        with pytest.raises(CaptureError):
            deque(islice(shots, 1000))


def test_a_password_is_not_told() -> None:
    with serving("me", "secret") as server, open_capture(server.url("me:wrong@")) as capture:
        with pytest.raises(CaptureError, match="does not answer") as refusal:
            next(iter(capture))
        assert "wrong" not in str(refusal.value)
