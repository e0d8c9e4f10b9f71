"""The server as a process: start-up, readiness, signals, drain, and what is wrong said in one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket as tcp
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from inkling.models.errors import BundleNotFound
from inkling.service import bootstrap
from inkling.service.engine.onnx_engine import Engine
from inkling.service.protocol.codec import ErrorMessage, Prediction, Summary
from inkling.service.server import CannotListen, address, bind, most_connections, serve, takes_both
from tests.service.conftest import (
    WAIT_S,
    body,
    hear,
    hear_all,
    opened,
    pose,
    raw,
    running,
    say,
    tiny_settings,
    wait_until,
)
from tests.support import make_bundle

ROOT = Path(__file__).resolve().parents[2]
START = {"type": "start", "bundle": "tiny"}


class Process:
    """`inkling serve` as an operator starts it."""

    def __init__(self, *flags: str, **environment: str) -> None:
        self.began_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inkling.service.cli.main", "serve", "--port", "0", *flags],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> str:
        """Wait for the line that says so; the server's URL."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Inkling is ready on http://127.0.0.1:"), (line, self.process.stderr)
        return line.split()[4]

    def end(self) -> tuple[int, str]:
        """Exit code and everything on stderr."""
        _, errors = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, errors


@contextlib.contextmanager
def process(*flags: str, **environment: str) -> Iterator[Process]:
    started = Process(*flags, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def sentence(errors: str) -> str:
    """The one line on stderr."""
    (line,) = errors.splitlines()
    return line


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_tells_open_streams_sends_their_results_and_summaries_and_exits_0(
    bundles: Path, sign: signal.Signals
) -> None:
    with process("--bundles", str(bundles), "--load", "tiny") as server:
        url = server.ready().replace("http", "ws") + "/v1/stream"
        with connect(url, compression=None) as socket:
            say(socket, START)
            assert hear(socket).type == "ready"
            for seq in range(8):
                say(socket, pose(seq, seq / 15, {1: body(seq)}))
            while hear(socket).type != "prediction":
                pass
            server.process.send_signal(sign)
            heard, close = hear_all(socket)
        code, errors = server.end()
    assert code == 0
    assert close == 1012
    assert [m.code for m in heard if isinstance(m, ErrorMessage)] == ["draining"]
    assert isinstance(heard[-1], Summary)
    assert heard[-1].received == heard[-1].stepped == 8
    assert [m.seq for m in heard if isinstance(m, Prediction)][-1] == 7, "what was pending is answered"
    assert "Traceback" not in errors


@contextlib.contextmanager
def stuck_client(url: str) -> Iterator[ClientConnection]:
    """A client that has asked for more answers than fit between it and the server, and reads none."""
    host, port = url.removeprefix("http://").split(":")
    narrow = tcp.socket()
    narrow.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 4096)
    narrow.connect((host, int(port)))
    url = f"ws://{host}:{port}/v1/stream"
    with connect(url, sock=narrow, compression=None, max_queue=1, close_timeout=0.1) as socket:
        say(socket, START)
        bad = json.dumps(pose(1, -1.0, {}))
        for _ in range(60_000):
            say(socket, bad)
        taken = 'inkling_frames_refused_total{bundle="tiny/1"} 60000.0'
        wait_until(lambda: taken in httpx.get(f"http://{host}:{port}/metrics").text)
        yield socket


def test_a_stream_whose_client_does_not_read_cannot_hold_the_server_up(bundles: Path) -> None:
    flags = ["--bundles", str(bundles), "--load", "tiny", "--outbox", "1000000", "--drain-s", "0.5"]
    with process(*flags) as server, stuck_client(server.ready()):
        server.process.send_signal(signal.SIGTERM)
        code, errors = server.end()
    assert code == 0
    assert "Traceback" not in errors
    assert "1 clients did not finish within 0.5 s" in errors


def test_a_second_signal_ends_the_server_at_once(bundles: Path) -> None:
    flags = ["--bundles", str(bundles), "--load", "tiny", "--outbox", "1000000", "--drain-s", "600"]
    with process(*flags) as server, stuck_client(server.ready()):
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1.0)
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0


def test_a_connection_that_never_started_a_stream_is_closed_and_holds_nothing_up(bundles: Path) -> None:
    with process("--bundles", str(bundles), "--load", "tiny", "--drain-s", "60") as server:
        url = server.ready().replace("http", "ws") + "/v1/stream"
        with connect(url, compression=None) as socket:
            server.process.send_signal(signal.SIGTERM)
            assert hear_all(socket) == ([], 1012)
        assert server.end()[0] == 0


def test_while_draining_new_streams_are_refused_and_readiness_is_gone(bundles: Path) -> None:
    settings = tiny_settings(bundles, outbox=10**6, drain_s=600.0)
    clip = b'{"fps": 1, "people": [{"track": 1, "keypoints": [[[1, 1]]]}]}'
    with running(settings) as server, opened(server) as early, raw(server) as late, stuck_client(server.url):
        server.server.stop()
        heard, close = hear_all(early)
        assert [message.type for message in heard] == ["error", "summary"]
        assert close == 1012
        answer = httpx.get(f"{server.url}/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert "inkling_ready 0.0" in httpx.get(f"{server.url}/metrics").text
        say(late, START)
        refused, close = hear_all(late)
        assert isinstance(refused[0], ErrorMessage)
        assert (refused[0].code, close) == ("draining", 1012)
        answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=clip)
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")


def test_a_port_in_use_is_one_sentence(bundles: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with process("--port", str(port), "--bundles", str(bundles)) as server:
            code, errors = server.end()
        assert code == 1
        assert sentence(errors) == f"inkling: port {port} on 127.0.0.1 is in use; choose another with --port"


def test_two_servers_that_start_at_once_do_not_share_a_port(bundles: Path) -> None:
    settings = tiny_settings(bundles)
    with bind("127.0.0.1", 0) as ours:
        port = ours.getsockname()[1]
        said: list[str] = []

        def listen_first(line: str) -> None:
            said.append(line)

        with bind("127.0.0.1", port) as theirs:  # bound, but not heard yet
            theirs.listen()
            with pytest.raises(CannotListen, match=f"port {port} on 127.0.0.1 is in use"):
                serve(settings.model_copy(update={"port": port}), listen_first)
    assert said == []


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_one_sentence(host: str) -> None:
    with pytest.raises(CannotListen, match=host):
        bind(host, 0)


def test_an_ipv6_address_is_written_as_a_url() -> None:
    try:
        listener = bind("::1", 0)
    except CannotListen:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--bundles", "/nowhere"], "/nowhere: no such directory"),
        (["--load", "nothing"], "nothing: no such bundle to load; found"),
        (["--max-streams", "none"], "--max-streams: "),
        (["--config", "/nowhere.toml"], "/nowhere.toml: the settings cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_1(bundles: Path, flags: list[str], says: str) -> None:
    with process("--bundles", str(bundles), *flags) as server:
        code, errors = server.end()
    assert code == 1
    assert sentence(errors).startswith(f"inkling: {says}")


def test_a_directory_without_a_usable_bundle_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "zoo_directory", lambda: tmp_path / "zoo")
    (tmp_path / "zoo").mkdir()
    with pytest.raises(BundleNotFound, match="no bundle here can be used; put one there as NAME/VERSION"):
        bootstrap.build(tiny_settings(tmp_path / "zoo", load=()))


def test_an_unreadable_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with as_nobody(), pytest.raises(BundleNotFound, match="closed: this process may not read the directory"):
        bootstrap.build(tiny_settings(tmp_path / "closed", load=()))


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_nobody_is_heard_before_every_bundle_is_warm(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny_settings(bundles)
    warm = Engine.warm
    refused: list[bool] = []

    with bind("127.0.0.1", 0) as spare:
        port = spare.getsockname()[1]

    def watched(engine: Engine, batches: object) -> None:
        for _ in range(2):
            try:
                tcp.create_connection(("127.0.0.1", port), 1).close()
                refused.append(False)
            except ConnectionRefusedError:
                refused.append(True)
            warm(engine, batches)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "warm", watched)
    with running(settings.model_copy(update={"port": port})) as server:
        assert refused == [True, True]
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_loaded_bundles_are_named_and_several_versions_are_served(tmp_path: Path) -> None:
    for version in ("1", "2", "10"):
        make_bundle(tmp_path, version=version, seed=int(version))
    with running(tiny_settings(tmp_path, load=("tiny", "tiny/1"))) as server:
        shown = httpx.get(f"{server.url}/v1/bundles").json()
        assert [bundle["version"] for bundle in shown] == ["10", "1"]
        with raw(server) as socket:
            say(socket, START)
            newest = hear(socket)
        with raw(server) as socket:
            say(socket, START | {"version": "1"})
            oldest = hear(socket)
        with raw(server) as socket:
            say(socket, START | {"version": "2"})
            refused, _ = hear_all(socket)
    assert getattr(newest, "version", None) == "10"
    assert getattr(oldest, "version", None) == "1"
    assert isinstance(refused[0], ErrorMessage)
    assert refused[0].code == "unknown_bundle"


def test_json_logs_carry_the_stream_on_each_of_its_lines(bundles: Path) -> None:
    with process("--bundles", str(bundles), "--load", "tiny", INKLING_LOG_FORMAT="json") as server:
        url = server.ready().replace("http", "ws") + "/v1/stream"
        with connect(url, compression=None) as socket:
            say(socket, START)
            stream = getattr(hear(socket), "stream", None)
        server.process.terminate()
        _, errors = server.end()
    lines = [json.loads(line) for line in errors.splitlines()]
    about = [line for line in lines if line.get("stream")]
    assert {line["stream"] for line in about} == {stream}
    assert [line["message"] for line in about] == ["stream opened", "stream closed: disconnected"]


def test_after_a_pause_of_the_process_streams_go_on_whose_data_waits(bundles: Path) -> None:
    """Stopped for longer than its idle limit, as a debugger or a container's pause does."""
    with process("--bundles", str(bundles), "--load", "tiny", "--idle-timeout-s", "1.5") as server:
        url = server.ready()
        host, port = url.removeprefix("http://").split(":")
        stream_url = url.replace("http", "ws") + "/v1/stream"
        head = (
            b"POST /v1/clips?bundle=tiny HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
        )
        with (
            tcp.create_connection((host, int(port)), WAIT_S) as upload,
            connect(stream_url, compression=None) as late,
            connect(stream_url, compression=None) as socket,
        ):
            upload.sendall(head)
            say(socket, START)
            assert hear(socket).type == "ready"
            server.process.send_signal(signal.SIGSTOP)
            say(socket, pose(0, 0.0, {1: body()}))
            say(late, START)
            upload.sendall(b"{}")
            time.sleep(4)  # what is tested: time in which the process does not run
            server.process.send_signal(signal.SIGCONT)
            assert hear(socket).type == "prediction"
            assert hear(late).type == "ready"
            assert b"bad_clip" in b"".join(iter(lambda: upload.recv(65536), b""))
            time.sleep(0.3)
            say(socket, {"type": "end"})
            heard, close = hear_all(socket)
    assert isinstance(heard[-1], Summary)
    assert close == 1000


@pytest.mark.skipif(not tcp.has_dualstack_ipv6(), reason="this system has no sockets for both")
def test_the_address_of_everything_takes_ipv4_too_and_says_so(bundles: Path) -> None:
    settings = tiny_settings(bundles, host="::", insecure=True)
    with running(settings) as server:
        port = server.server.servers[0].sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{port}/livez").status_code == 200
    with bind("::", 0) as both, bind("::1", 0) as six, bind("127.0.0.1", 0) as four:
        assert [takes_both(listener) for listener in (both, six, four)] == [True, False, False]


def test_connections_stay_below_the_files_that_the_process_may_open(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, before[1]), before[1]))
        assert most_connections(600) == 600
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1]), "raised as far as it goes"
        assert most_connections(before[1]) == before[1] - 256
        assert "max_connections" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
