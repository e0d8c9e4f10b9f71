"""Times as the field sends them, through a real server and over REST: the same numbers, and the same sentences."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from random import Random

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import zoo_directory
from inkling.service.demo.clip import clip
from inkling.service.protocol.codec import ErrorMessage, Outgoing, Prediction, Summary
from tests.service.conftest import WAIT_S, Running, hear_all, opened, pose, running, say, tiny_settings

FPS = 30.0
KEYPOINTS = clip("cycle", 10.0, FPS)
FRAMES = len(KEYPOINTS)
_LATE = [0.0, *(Random(1).choices(range(9), k=FRAMES - 1))]
ORDER = sorted(range(FRAMES), key=lambda k: k + _LATE[k])
"""The first comes first; others up to eight places late."""
BUNDLE = {"bundle": "body-actions", "skeleton": "coco17"}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(tiny_settings(zoo_directory(), load=("body-actions",))) as shared:
        yield shared


def streamed(server: Running, pts_s: list[float], keypoints: NDArray[np.float32]) -> list[Outgoing]:
    """Everything that a stream of these frames hears."""
    messages: list[Outgoing] = []
    with opened(server, policy="block", **BUNDLE) as socket:
        reader = threading.Thread(target=lambda: messages.extend(hear_all(socket)[0]))
        reader.start()
        with contextlib.suppress(ConnectionError):
            for seq, (time, person) in enumerate(zip(pts_s, keypoints, strict=True)):
                say(socket, pose(seq, time, {1: person}))
            say(socket, {"type": "end"})
        reader.join(WAIT_S)
    assert isinstance(messages[-1], Summary), messages[-1]
    return messages


def both(
    server: Running, pts_s: list[float], keypoints: NDArray[np.float32] = KEYPOINTS
) -> tuple[list[Prediction], list[str]]:
    """The predictions and the sentences, which a stream and a clip over REST have in common."""
    messages = streamed(server, pts_s, keypoints)
    predictions = [message for message in messages if isinstance(message, Prediction)]
    said = [message for message in messages if isinstance(message, ErrorMessage)]
    assert {(error.code, error.retryable) for error in said} <= {("bad_time", False)}
    body = {"skeleton": "coco17", "pts_s": pts_s, "people": [{"track": 1, "keypoints": keypoints.tolist()}]}
    answer = httpx.post(
        f"{server.url}/v1/clips?bundle=body-actions", content=json.dumps(body), timeout=WAIT_S
    ).raise_for_status()  # fmt: skip
    timeline = answer.json()["timeline"]
    assert [(entry["pts_s"], entry["epoch"], entry.get("reset")) for entry in timeline] == [
        (message.pts_s, message.epoch, message.reset) for message in predictions
    ]
    np.testing.assert_allclose(
        [entry["probabilities"] for entry in timeline], [message.probabilities for message in predictions], atol=1e-4
    )
    assert answer.json()["warnings"] == [error.message for error in said]
    return predictions, [error.message for error in said]


def test_right_times_have_nothing_said_of_them(server: Running) -> None:
    predictions, said = both(server, [k / FPS for k in range(FRAMES)])
    assert said == []
    assert {message.epoch for message in predictions} == {0}


@pytest.mark.parametrize(
    ("share", "apart", "unit"), [(1e3, "33 s", "milliseconds"), (1e9, "3.3e+07 s", "nanoseconds")], ids=["ms", "ns"]
)
def test_times_in_another_unit_are_said(server: Running, share: float, apart: str, unit: str) -> None:
    before = server.counts("bad_time")
    predictions, (said,) = both(server, [k / FPS * share for k in range(FRAMES)])
    assert f"frames are {apart} apart" in said
    assert f"these look like {unit}" in said
    assert [message.reset for message in predictions[1:]] == ["gap"] * (FRAMES - 1)
    server.wait_idle()
    assert server.counts("bad_time") == before + 2  # /metrics: inkling_errors_total{code="bad_time"}


def test_too_few_frames_a_second_are_said(server: Running) -> None:
    _, (said,) = both(server, [k / 0.9 for k in range(FRAMES)])
    assert said.startswith("0.9 frames a second are too few")
    assert "this bundle needs more than 1 a second, best 15 or more" in said


def test_frames_up_to_eight_late_reset_nothing_and_are_counted(server: Running) -> None:
    times = [k / FPS for k in ORDER]
    assert max(place - k for place, k in enumerate(ORDER)) >= 6
    predictions, said = both(server, times, KEYPOINTS[ORDER])
    assert said == []
    assert {message.epoch for message in predictions} == {0}
    (summary,) = [m for m in streamed(server, times, KEYPOINTS[ORDER]) if isinstance(m, Summary)]
    assert (summary.resets, summary.stepped + summary.skipped) == ({}, FRAMES)
    assert summary.stepped == len(predictions) < summary.skipped


def test_late_frames_change_the_numbers_no_more_than_their_absence(server: Running) -> None:
    newest = [k for place, k in enumerate(ORDER) if k >= max(ORDER[: place + 1])]
    late, _ = both(server, [k / FPS for k in ORDER], KEYPOINTS[ORDER])
    absent, _ = both(server, [k / FPS for k in newest], KEYPOINTS[newest])
    assert [message.pts_s for message in late] == [message.pts_s for message in absent]
    np.testing.assert_allclose([m.probabilities for m in late], [m.probabilities for m in absent], atol=1e-4)


def test_a_clock_set_back_by_more_than_the_gap_limit_resets_once(server: Running) -> None:
    predictions, said = both(server, [k / FPS - (5.0 if k >= 200 else 0.0) for k in range(FRAMES)])
    assert said == []
    assert [message.reset for message in predictions if message.reset] == ["backward"]


def test_a_clock_that_stands_still_is_said(server: Running) -> None:
    predictions, (said,) = both(server, [2.0] * FRAMES)
    assert len(predictions) == 1
    assert "stand still" in said
