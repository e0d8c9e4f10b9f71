"""Those who take a place and do nothing with it: half requests, slow uploads, idle sockets, readers who do not read."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial

import numpy as np
from websockets.frames import Opcode

from inkling.service.protocol.pose_binary import pack_pose
from tests.attacks.attack import SHUT_OUT, Attack, Got
from tests.attacks.films import small_film
from tests.attacks.messages import START
from tests.attacks.server import Victim
from tests.attacks.wires import (
    at_once,
    connected,
    fate,
    frame,
    one_of,
    outcome,
    post,
    replies,
    request_head,
    said_by,
    streams,
    websocket,
)

IDLE_S = 3.0
IDLE = ("--idle-timeout-s", f"{IDLE_S:g}")
PATIENCE_S = 25.0
CROWD = 400
VIDEOS = "/v1/clips?bundle=fall-watch"


def half_heads(target: Victim) -> Got:
    def one(number: int) -> str:
        with connected(target) as raw:
            raw.sendall(request_head(target, "/livez", method="GET")[: -2 - number % 20])
            return outcome(raw, PATIENCE_S)

    return at_once(50, one)


def half_bodies(target: Victim) -> Got:
    paths = ("/v1/clips?bundle=body-actions", VIDEOS, "/v1/sources")

    def one(number: int) -> str:
        with connected(target) as raw:
            kind = "Content-Type: application/json"
            raw.sendall(request_head(target, paths[number % 3], "Content-Length: 1000", kind) + b'{"fps": 30, ')
            return outcome(raw, PATIENCE_S)

    return at_once(51, one)


def newcomer(target: Victim) -> str:
    """An honest client that wants a stream."""
    with suppress(OSError), websocket(target, start=START):
        return "newcomer served"
    return SHUT_OUT


def slow_uploads(target: Victim) -> Got:
    """Four videos that come byte by byte; an honest video that is tried again while they come."""
    over = threading.Event()
    got: Got = Counter()

    def slow(_: int) -> str:
        with connected(target, PATIENCE_S) as raw:
            raw.sendall(request_head(target, VIDEOS, "Content-Length: 1000000") + b"\0\0\0\x20ftypisom")
            while not over.wait(2.5):
                raw.sendall(b"\0")
            return "went on until the end"

    def honest() -> str:
        end_s = time.monotonic() + 45
        said = ""
        while time.monotonic() < end_s:
            said = post(target, VIDEOS, small_film())
            if said == "200":
                return "newcomer 200"
            over.wait(1)
        return f"{SHUT_OUT}: {said}"

    uploads = threading.Thread(target=lambda: got.update(at_once(4, slow)))
    uploads.start()
    over.wait(1)
    got[honest()] += 1
    over.set()
    uploads.join()
    return got


def crowd(target: Victim, upgraded: bool) -> Got:
    """Idle sockets, and somebody who comes after them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    got: Got = Counter()
    try:
        with ExitStack() as stack:
            come = websocket if upgraded else connected
            raws = [stack.enter_context(come(target)) for _ in range(CROWD)]
            got[newcomer(target)] += 1
            deadline_s = time.monotonic() + PATIENCE_S
            for raw in raws:
                left_s = max(deadline_s - time.monotonic(), 0.01)
                got[fate(raw, left_s) if upgraded else outcome(raw, left_s)] += 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return got


def stuck_reader(target: Victim) -> Got:
    """A follower over server-sent events that reads nothing, of a stream that says much."""
    got: Got = Counter()
    with websocket(target, start=START | {"policy": "block"}) as raw, socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect((target.host, target.port))
        stuck.sendall(request_head(target, f"/v1/streams/{streams(target)[-1]}/predictions", method="GET"))
        body = np.ones((32, 17, 3), np.float32)
        end_s = time.monotonic() + 12
        seq = answered = 0
        raw.settimeout(10)
        answers = replies(raw)
        while time.monotonic() < end_s:
            raw.sendall(frame(Opcode.BINARY, pack_pose(seq, range(32), body, seq / 15)))
            seq += 1
            while answered < 32 * seq and said_by(*one_of(answers)) in ("prediction", "event"):
                answered += 1
        got[f"stuck reader {drained(stuck)}"] += 1
    return got


def drained(stuck: socket.socket) -> str:
    """Whether a socket that nobody read was closed by the server: its end comes after what was in the buffers."""
    stuck.settimeout(5)
    try:
        while stuck.recv(2**20):
            pass
    except TimeoutError:
        return "no answer"
    except OSError:
        pass
    return "closed"


def paused(target: Victim) -> Got:
    """The process stands still for longer than streams may be idle, while their frames wait in its buffers."""
    os.kill(target.pid, signal.SIGSTOP)
    time.sleep(IDLE_S + 2)
    os.kill(target.pid, signal.SIGCONT)
    deadline_s = time.monotonic() + 10
    while not target.alive() and time.monotonic() < deadline_s:
        pass
    return Counter(["went on" if target.alive() else SHUT_OUT])


ATTACKS = (
    Attack("50 half heads", half_heads, IDLE, short=True),
    Attack("51 half bodies", half_bodies, IDLE),
    Attack("four slow uploads and an honest video", slow_uploads, IDLE),
    Attack("400 idle sockets and a newcomer", partial(crowd, upgraded=False), IDLE),
    Attack("400 silent WebSockets and a newcomer", partial(crowd, upgraded=True), IDLE),
    Attack("a follower that does not read", stuck_reader),
    Attack("the process is stopped for 5 s", paused, IDLE, short=True, paused=True),
)
