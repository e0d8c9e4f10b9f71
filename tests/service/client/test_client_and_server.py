"""Both clients against the server itself: what each promises, the other keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from inkling.client import RemoteError, Stream
from inkling.service.demo.figure import pose
from tests.service.client.conftest import MakeClient
from tests.service.conftest import Running, running, tiny_settings

TIMES = np.arange(90) / 30
BODY = pose("squat", TIMES)
FRAMES = list(zip(TIMES.tolist(), BODY, strict=True))


def streamed(client: MakeClient, url: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with client(url).stream("tiny", skeleton="coco17", policy="block") as stream:
        answers = [prediction.probabilities for prediction in stream.play(FRAMES)]
    assert stream.summary is not None
    assert (stream.summary.received, stream.summary.stepped) == (90, 45)
    return np.array(answers)


def test_streamed_equals_scored(client: MakeClient, server: Running) -> None:
    timeline = client(server.url).score(BODY, "tiny", skeleton="coco17", fps=30)
    assert timeline.warnings == ()
    pts_s, probabilities = timeline.of()
    np.testing.assert_allclose(pts_s, TIMES[::2], atol=1e-6)
    np.testing.assert_allclose(streamed(client, server.url), probabilities, atol=1e-6)
    assert np.ptp(probabilities, axis=0).max() > 1e-3  # else any constant would pass


TRACKS: list[int | str] = [3, "anna", "8d3f2a6e-0c1b-4e5f-9a7d-1b2c3d4e5f60", "7", 2**32, 2**53 + 1, 2**64 - 1]


@pytest.mark.parametrize("results", ["json", "packed"])
def test_a_track_comes_back_as_it_was_sent(
    client: MakeClient, server: Running, results: Literal["json", "packed"]
) -> None:
    with client(server.url).stream("tiny", skeleton="coco17", results=results) as stream:
        stream.send(dict.fromkeys(TRACKS, BODY[0]), 0.0)
        first = list(stream.flush())
        stream.reset("anna")
        stream.reset(2**64 - 1)
        stream.send(dict.fromkeys(TRACKS, BODY[1]), 0.1)
        second = list(stream.flush())
    assert [prediction.track for prediction in first] == TRACKS
    assert {prediction.track for prediction in second if prediction.reset} == {"anna", 2**64 - 1}
    assert len({tuple(np.round(prediction.probabilities, 6)) for prediction in first}) == 1
    clip = dict.fromkeys(TRACKS, BODY[:8])
    assert set(client(server.url).score(clip, "tiny", skeleton="coco17", fps=30).tracks) == set(TRACKS)


def test_a_folder_of_openpose_frames_is_a_clip(client: MakeClient, server: Running, tmp_path: Path) -> None:
    body = np.hstack([np.random.default_rng(0).normal(300, 40, (25, 2)), np.ones((25, 1))]).ravel().tolist()
    for frame in range(160):  # nobody is there for longer than the first bytes reach
        people = [{"person_id": [-1], "pose_keypoints_2d": body}] if frame >= 150 else []
        (tmp_path / f"door_{frame}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    timeline = client(server.url).score(tmp_path, "tiny", skeleton="openpose25", fps=30)
    assert [entry.pts_s for entry in timeline.entries] == pytest.approx([frame / 30 for frame in range(150, 160, 2)])


def test_nothing_is_dropped_when_a_live_stream_keeps_to_its_credits(client: MakeClient, server: Running) -> None:
    with client(server.url).stream("tiny", skeleton="coco17") as stream:
        crowd = [(t, dict.fromkeys(range(5), body)) for t, body in FRAMES]
        answers = list(stream.play(crowd))
    assert len(answers) == 45 * 5
    assert stream.summary is not None
    assert stream.summary.dropped == 0


def test_a_refused_frame_is_typed_and_the_stream_goes_on(client: MakeClient, server: Running) -> None:
    with client(server.url).stream("tiny", skeleton="coco17") as stream:
        stream.send(np.full((17, 3), 2e6), 0.0)
        with pytest.raises(RemoteError) as caught:
            list(stream.flush())
        stream.send(BODY[0], 0.1)
        answered = list(stream.flush())
    assert (caught.value.code, caught.value.seq, caught.value.fatal) == ("bad_pose", 0, False)
    assert [prediction.seq for prediction in answered] == [1]


def test_a_refused_stream_and_a_refused_clip_carry_the_servers_code(client: MakeClient, server: Running) -> None:
    with pytest.raises(RemoteError) as caught:
        client(server.url).stream("nobody")
    assert caught.value.code == "unknown_bundle"
    with pytest.raises(RemoteError) as caught:
        client(server.url).score(BODY, "nobody", skeleton="coco17", fps=30)
    assert caught.value.code == "unknown_bundle"


def test_a_reset_begins_a_new_epoch(client: MakeClient, server: Running) -> None:
    with client(server.url).stream("tiny", skeleton="coco17") as stream:
        stream.send(BODY[0], 0.0)
        before = list(stream.flush())
        stream.reset(1)
        stream.send(BODY[1], 1 / 15)
        after = list(stream.flush())
    assert [prediction.epoch for prediction in before + after] == [0, 1]
    assert after[0].reset == "requested"


def test_a_draining_server_tells_the_sender(client: MakeClient, bundles: Path) -> None:
    def send_on(stream: Stream) -> None:
        for frame in range(1, 100_000):
            stream.send(BODY[0], frame / 30)

    with running(tiny_settings(bundles)) as own:
        stream = client(own.url).stream("tiny", skeleton="coco17")
        stream.send(BODY[0], 0.0)
        assert len(list(stream.flush())) == 1
        own.server.stop()
        with pytest.raises(RemoteError, match="draining"):
            send_on(stream)
        stream.close()
