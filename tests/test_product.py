"""The tests that define the product, on the tiny bundle and every pose bundle that comes with Inkling, on both engines.

All but two run over real sockets against a real server. (That ONNX equals torch over 500 steps is tested where the
networks are exported.) Probabilities are compared to 1e-4: batches of other sizes add in another order.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import Bundle, Registry, load, zoo_directory
from inkling.models.bundle.schema import PoseInput
from inkling.service.engine.device_engine import Bucket, DeviceEngine
from inkling.service.engine.onnx_engine import Device, Engine
from inkling.service.protocol.codec import ErrorMessage, Prediction
from inkling.service.settings import Settings
from inkling.service.streams import loaded_bundle
from tests.service.conftest import (
    WAIT_S,
    Running,
    finish,
    hear,
    hear_all,
    opened,
    play,
    pose,
    raw,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)
from tests.support import make_bundle, poses

ROOT = Path(__file__).parents[1]
ATOL = 1e-4
STEPS = 60

Floats = NDArray[np.float32]
ZOO = {f"{found.name}/{found.version}": found.path for found in Registry([zoo_directory()]).scan("step")}


def takes_poses(path: Path) -> bool:
    return bool(json.loads((path / "bundle.json").read_text())["input"]["kind"] == "pose")


@dataclass(frozen=True)
class Subject:
    """The bundle under test, and how a server loads it alone."""

    bundle: Bundle
    root: Path

    def settings(self, **values: Any) -> Settings:
        return tiny_settings(self.root, load=(self.bundle.spec.full_name,), **values)

    @property
    def name(self) -> str:
        return self.bundle.spec.name

    def clip(self, seed: int, steps: int = STEPS) -> list[tuple[float, dict[int, Floats]]]:
        """A person at the bundle's own rate, as frames of a stream."""
        spec = self.bundle.spec
        assert isinstance(spec.input, PoseInput)
        rows = poses(steps, 1, spec.input.skeleton, seed=seed)[:, 0]
        return [(step / spec.rate_hz, {0: row}) for step, row in enumerate(rows)]


@pytest.fixture(scope="module", params=["plain", "device"])
def engine(request: pytest.FixtureRequest) -> Iterator[type[Engine]]:
    """Both engines in turn; that of a device on the CPU."""

    def made(bundle: Bundle, threads: int | None, device: Device, *, graphs: bool) -> Engine:
        return DeviceEngine(bundle, threads, device, graphs=graphs)

    with pytest.MonkeyPatch.context() as patch:
        if request.param == "device":
            patch.setattr(loaded_bundle, "engine_for", made)
        yield DeviceEngine if request.param == "device" else Engine


@pytest.fixture(scope="module", params=["tiny/1", *(name for name, path in ZOO.items() if takes_poses(path))])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: type[Engine]) -> Subject:
    root = tmp_path_factory.mktemp("product")
    tiny = make_bundle(root)  # an extra directory without any bundle would be refused
    return Subject(load(tiny if request.param == "tiny/1" else ZOO[request.param]), root)


@pytest.fixture(scope="module")
def server(subject: Subject) -> Iterator[Running]:
    with running(subject.settings()) as shared:
        yield shared


def stream(server: Running, subject: Subject, frames: list[tuple[float, dict[int, Floats]]]) -> NDArray[np.float64]:
    """Probabilities (S, K) of one stream: one for every frame, nothing skipped."""
    predictions = play(server, frames, bundle=subject.name)
    assert [prediction.seq for prediction in predictions] == list(range(len(frames)))
    return np.array([prediction.probabilities for prediction in predictions])


def probabilities(messages: list[Any]) -> NDArray[np.float64]:
    return np.array([message.probabilities for message in messages if isinstance(message, Prediction)])


class Gate:
    """Stands before a run of the model: holds it back, or makes it fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail = False
        self.open = threading.Event()
        self.open.set()
        self.held = threading.Event()
        for kind, name in ((Engine, "step"), (Bucket, "run")):
            monkeypatch.setattr(kind, name, self._gated(getattr(kind, name)))

    def _gated(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def gated(*args: Any) -> Any:
            if not self.open.is_set():
                self.held.set()
                assert self.open.wait(WAIT_S)
            if self.fail:
                raise RuntimeError("the device is gone")
            return run(*args)

        return gated


# -- 1 ------------------------------------------------------------------------------------------------------------
def test_steps_one_by_one_give_what_the_whole_sequence_gave(subject: Subject, engine: type[Engine]) -> None:
    """The stored vector holds the logits of a forward pass over whole sequences, several at once."""
    vector = subject.bundle.vector
    steps = DeviceEngine(subject.bundle, device="cpu") if engine is DeviceEngine else Engine(subject.bundle)
    count = vector.inputs.shape[1]
    pool = steps.pool(count, 1)
    for row in range(count):
        slot = pool.acquire()
        where = np.array([slot.index]), np.array([slot.generation]), np.zeros(1, np.int64)
        for step, expected in enumerate(vector.logits[:, row]):
            logits, _ = steps.advance(pool, *where, vector.inputs[step, row : row + 1])
            np.testing.assert_allclose(logits[0], expected, atol=ATOL, err_msg=f"row {row}, step {step}")


# -- 2 ------------------------------------------------------------------------------------------------------------
def test_future_frames_never_change_past_predictions(server: Running, subject: Subject) -> None:
    past, one, other = subject.clip(1), subject.clip(2), subject.clip(3)
    half = STEPS // 2
    first = stream(server, subject, past[:half] + one[half:])
    second = stream(server, subject, past[:half] + other[half:])
    np.testing.assert_allclose(first[:half], second[:half], atol=ATOL)
    assert not np.allclose(first[half:], second[half:], atol=ATOL), "else this test shows nothing"


# -- 4 ------------------------------------------------------------------------------------------------------------
def test_batched_streams_equal_isolated_streams(server: Running, subject: Subject) -> None:
    clips = [subject.clip(seed) for seed in range(10, 26)]
    alone = [stream(server, subject, clip) for clip in clips]
    before = batches(server)
    with ThreadPoolExecutor(len(clips)) as pool:
        together = list(pool.map(lambda clip: stream(server, subject, clip), clips))
    runs, steps = np.subtract(batches(server), before)
    assert steps == len(clips) * STEPS
    assert runs < steps, "else nothing was batched"
    np.testing.assert_allclose(together, alone, atol=ATOL)
    assert not np.allclose(alone[0], alone[1], atol=ATOL), "else a mixed-up batch would not show"


def test_people_of_one_stream_equal_streams_of_their_own(server: Running, subject: Subject) -> None:
    clips = [subject.clip(seed) for seed in range(30, 34)]
    crowd = [
        (clips[0][step][0], {track: clip[step][1][0] for track, clip in enumerate(clips)}) for step in range(STEPS)
    ]
    predictions = play(server, crowd, bundle=subject.name)
    for track, clip in enumerate(clips):
        ours = [prediction.probabilities for prediction in predictions if prediction.track == track]
        np.testing.assert_allclose(ours, stream(server, subject, clip), atol=ATOL)


def batches(server: Running) -> tuple[float, float]:
    """Runs of the model, and steps in them, so far."""
    text = httpx.get(f"{server.url}/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("inkling_batch_size_"))
    (count,) = (float(value) for name, value in values.items() if name.startswith("inkling_batch_size_count"))
    (total,) = (float(value) for name, value in values.items() if name.startswith("inkling_batch_size_sum"))
    return count, total


# -- 5 ------------------------------------------------------------------------------------------------------------
def test_a_failed_batch_fails_its_own_frames_and_leaves_states_untouched(
    server: Running, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = subject.clip(40)
    lost = range(20, 23)
    rest = [frame for step, frame in enumerate(clip) if step not in lost]
    # Without them the clock would hold the frame before over the ticks that they leave: give the rest closed ranks.
    expected = stream(server, subject, [(clip[step][0], people) for step, (_, people) in enumerate(rest)])
    gate = Gate(monkeypatch)
    messages: list[Any] = []
    with opened(server, bundle=subject.name) as socket:
        for step, (pts_s, people) in enumerate(clip):
            gate.fail = step in lost
            say(socket, pose(step, pts_s, people))
            messages += settled(socket, step)
        _, summary = finish(socket)
    errors = [message for message in messages if isinstance(message, ErrorMessage)]
    assert [(error.code, error.seq, error.retryable) for error in errors] == [
        ("step_failed", seq, True) for seq in lost
    ]
    np.testing.assert_allclose(probabilities(messages), expected, atol=ATOL)
    assert summary.stepped == STEPS - len(lost)


# -- 6 ------------------------------------------------------------------------------------------------------------
def test_a_reused_slot_starts_from_its_initial_state(subject: Subject) -> None:
    clips = [subject.clip(seed) for seed in (50, 51, 52)]
    with running(subject.settings(slots=1)) as narrow:
        in_turn = [stream(narrow, subject, clip) for clip in clips]
    with running(subject.settings()) as wide:
        fresh = [stream(wide, subject, clip) for clip in clips[::-1]][::-1]
    np.testing.assert_allclose(in_turn, fresh, atol=ATOL)


# -- 7 ------------------------------------------------------------------------------------------------------------
def test_a_late_result_never_reaches_the_next_tenant_of_its_slot(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = subject.clip(60), subject.clip(61)
    with running(subject.settings(slots=1)) as server:
        expected = stream(server, subject, after)
        gate = Gate(monkeypatch)
        with opened(server, bundle=subject.name) as leaver:
            for step, (pts_s, people) in enumerate(before[:10]):
                say(leaver, pose(step, pts_s, people))
                settled(leaver, step)
            gate.open.clear()
            say(leaver, pose(10, *before[10]))
            assert gate.held.wait(WAIT_S), "the engine has taken the step"
        server.wait_idle()
        with opened(server, bundle=subject.name) as tenant:
            for step, (pts_s, people) in enumerate(after[:4]):
                say(tenant, pose(step, pts_s, people))
            wait_until(lambda: any(info.waiting == 4 for info in server.core.hub.streams()))
            assert [stats.slots_used for stats in server.core.hub.stats()] == [1], "the very same slot"
            gate.open.set()
            messages = settled(tenant)
            for step, (pts_s, people) in enumerate(after[4:], 4):
                say(tenant, pose(step, pts_s, people))
                messages += settled(tenant, step)
            finish(tenant)
    assert [message.seq for message in messages if isinstance(message, Prediction)] == list(range(STEPS))
    np.testing.assert_allclose(probabilities(messages), expected, atol=ATOL)


# -- 8 ------------------------------------------------------------------------------------------------------------
def test_a_stream_over_capacity_is_refused_at_once_and_says_so(subject: Subject) -> None:
    start = {"type": "start", "bundle": subject.name}
    with running(subject.settings(max_streams=1)) as server, opened(server, bundle=subject.name) as inside:
        began_s = time.monotonic()
        with raw(server) as outside:
            say(outside, start)
            messages, close = hear_all(outside)
        assert time.monotonic() - began_s < WAIT_S / 2, "refused, not left to wait for a place"
        (error,) = messages
        assert isinstance(error, ErrorMessage)
        assert (error.code, error.retryable, close) == ("over_capacity", True, 1013)
        finish(inside)
        server.wait_idle()
        with raw(server) as outside:
            say(outside, start)
            assert hear(outside).type == "ready"


# -- 9 ------------------------------------------------------------------------------------------------------------
def test_the_service_never_imports_torch_even_while_it_serves(subject: Subject) -> None:
    serve = [sys.executable, "-m", "inkling.service.cli.main", "serve", "--port", "0", "--bundles", str(subject.root)]
    serve += ["--load", subject.bundle.spec.full_name]
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[4]
        clip = subject.clip(70)
        body = io.BytesIO()
        np.savez(body, keypoints=np.stack([people[0] for _, people in clip]), fps=subject.bundle.spec.rate_hz)
        answer = httpx.post(f"{url}/v1/clips", params={"bundle": subject.name}, content=body.getvalue(), timeout=WAIT_S)
        assert len(answer.json()["timeline"]) == STEPS
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "onnxruntime" in mapped, "else this test shows nothing"
        assert "libtorch" not in mapped
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
    everything = (
        "import pkgutil, sys, importlib, inkling.service as service\n"
        "for module in pkgutil.walk_packages(service.__path__, 'inkling.service.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*(name for name in ('torch', 'lightning_fabric', 'onnx', 'inkling.training') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", everything], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


# -- 10 -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_streamed_equals_scored(server: Running, subject: Subject, speed: float) -> None:
    """At the bundle's rate, slower (frames are held) and faster (frames are skipped)."""
    fps = subject.bundle.spec.rate_hz * speed
    frames = [(step / fps, people) for step, (_, people) in enumerate(subject.clip(80))]
    streamed = play(server, frames, bundle=subject.name)
    clip = {
        "pts_s": [pts_s for pts_s, _ in frames],
        "people": [{"track": 0, "keypoints": [people[0].tolist() for _, people in frames]}],
    }
    answer = httpx.post(f"{server.url}/v1/clips", params={"bundle": subject.name}, json=clip, timeout=WAIT_S).json()
    scored = answer["timeline"]
    assert [(e["pts_s"], e["track"], e["epoch"]) for e in scored] == [(p.pts_s, p.track, p.epoch) for p in streamed]
    np.testing.assert_allclose(
        [entry["probabilities"] for entry in scored], [p.probabilities for p in streamed], atol=ATOL
    )
    assert answer["warnings"] == []
