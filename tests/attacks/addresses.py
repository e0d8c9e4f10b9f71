"""Sources that lead where no source may: this machine under every name it has, by themselves or by a redirect."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.attacks.attack import HANGS, REACHED, SHUT_OUT, Attack, Got
from tests.attacks.server import Victim
from tests.attacks.wires import post
from tests.films import make_film, pictures

BY_THEMSELVES = (
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "0", "0.0.0.0", "127.1", "127.0.1",  # noqa: S104
    "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.9.9.9",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
)  # fmt: skip
"""Hosts that are this machine, in every way to write it."""
SECRETS = (
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[fd20:ce::254]/",
    "http://100.100.100.200/", "http://192.0.0.192/", "http://168.63.129.16/", "http://[::ffff:169.254.169.254]/",
    "http://2852039166/", "file:/etc/passwd", "file:///proc/self/environ", "file:../clips", "device:/dev/mem",
)  # fmt: skip
"""Where machines keep what is nobody's business."""
REDIRECTS = ("data:video/mp4;base64,AAAA", "file:///etc/passwd", "rtsp://127.0.0.1/", "gopher://127.0.0.1/", "//[::1/")
ALLOWED = "127.0.0.66"
"""The one address of this machine that the server was told to trust: from there the redirects come."""
WAIT_S = 30.0
LOOK_S = 0.1


def own_addresses() -> list[str]:
    """Those by which others reach this machine, as URLs write them, and its name."""
    name = socket.gethostname()
    found = {name}
    for family, outside in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((outside, 9))  # nothing is sent
            found.add(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found |= {str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(name, None)}
    return sorted(f"[{address}]" if ":" in address else address for address in found)


@contextlib.contextmanager
def lookout() -> Iterator[tuple[int, Got]]:
    """A port of this machine, on all of its addresses, and a count of those who connected to it."""
    came: Got = Counter()
    over = threading.Event()
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    listener.settimeout(0.1)

    def watch() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.close()
                came[REACHED] += 1

    thread = threading.Thread(target=watch, name="lookout")
    thread.start()
    try:
        yield int(listener.getsockname()[1]), came
    finally:
        over.set()
        thread.join()
        listener.close()


@contextlib.contextmanager
def sender(places: Sequence[str]) -> Iterator[int]:
    """A server at the allowed address that sends `/N` on to the place of that number; yields its port."""
    over = threading.Event()
    listener = socket.create_server((ALLOWED, 0))

    def answer() -> None:
        while not over.is_set():
            if select.select([listener], [], [], 0.1)[0]:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    number = int(connection.recv(4096).split()[1].lstrip(b"/"))
                    head = f"HTTP/1.1 302 Found\r\nLocation: {places[number]}\r\nContent-Length: 0\r\n"
                    connection.sendall(f"{head}Connection: close\r\n\r\n".encode())

    thread = threading.Thread(target=answer, name="sender")
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        over.set()
        thread.join()
        listener.close()


def fates(target: Victim, urls: Sequence[str]) -> Got:
    """What becomes of sources at these addresses: refused at once, failed for good, or lost with a cause."""
    got: Got = Counter()
    for url in urls:  # one at a time: each is a process
        body = json.dumps({"url": url, "bundle": "fall-watch"}).encode()
        said = post(target, "/v1/sources", body, "Content-Type: application/json")
        if said != "201":
            got[said] += 1
            continue
        end_s = time.monotonic() + WAIT_S
        while any(row["state"] == "connecting" for row in _rows(target)) and time.monotonic() < end_s:
            time.sleep(LOOK_S)
        for row in _rows(target):
            harm = {"live": f"{REACHED}: ", "connecting": f"{HANGS}: "}.get(row["state"], "")
            got[f"{harm}{row['state']} {row['cause']}"] += 1
            _forget(target, row["id"])
    return got


def this_machine(target: Victim) -> Got:
    """Every way to write this machine, and where secrets are kept."""
    with lookout() as (port, came):
        here = [f"http://{host}:{port}/" for host in (*BY_THEMSELVES, *own_addresses())]
        here += [f"rtsp://{host}:{port}/" for host in ("localhost.", "127.1", *own_addresses()[:1])]
        return fates(target, [*here, *SECRETS]) + came


def redirects(target: Victim) -> Got:
    """A camera that may be watched, and sends on to where none may be."""
    with lookout() as (port, came):
        hosts = ("127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", *own_addresses()[:2])
        places = [*(f"http://{host}:{port}/" for host in hosts), *REDIRECTS, SECRETS[0]]
        with sender(places) as begin:
            return fates(target, [f"http://{ALLOWED}:{begin}/{number}" for number in range(len(places))]) + came


def killed_loop(target: Victim) -> Got:
    """A looping film whose fetching process is killed, again and again: it goes on."""
    make_film(target.directory / "films" / "loop.mp4", pictures(15, 96, 128), codec="libx264", pixels="yuv420p")
    body = json.dumps({"url": "file:loop.mp4", "bundle": "fall-watch", "loop": True}).encode()
    post(target, "/v1/sources", body, "Content-Type: application/json")
    got: Got = Counter()
    for _ in range(3):
        frames = _live_beyond(target, 0)
        for pid in _fetchers(target):
            os.kill(pid, signal.SIGKILL)
        got["fetcher killed"] += 1
        went_on = _live_beyond(target, frames + 15)
        got["live again" if went_on else f"{SHUT_OUT}: {_rows(target)[0]['state']}"] += 1
    return got


def _live_beyond(target: Victim, frames: int) -> int:
    """Frames of the only source once it is live and has more than that; 0 when it does not come about."""
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        (row,) = _rows(target)
        if row["state"] == "live" and row["frames"] > frames:
            return int(row["frames"])
        time.sleep(LOOK_S)
    return 0


def _fetchers(target: Victim) -> list[int]:
    children = Path(f"/proc/{target.pid}/task/{target.pid}/children").read_text().split()
    return [pid for pid in map(int, children) if b"sources.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _rows(target: Victim) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{target.url}/v1/sources", timeout=WAIT_S) as answer:  # noqa: S310
        rows: list[dict[str, Any]] = json.load(answer)
    return rows


def _forget(target: Victim, source: str) -> None:
    request = urllib.request.Request(f"{target.url}/v1/sources/{source}", method="DELETE")  # noqa: S310
    with urllib.request.urlopen(request, timeout=WAIT_S):  # noqa: S310
        pass


ATTACKS = (
    Attack("sources at this machine, under every name it has", this_machine),
    Attack("a camera that sends on to this machine, to data: and file:", redirects, ("--source-hosts", f"*,{ALLOWED}")),
    Attack("a looping film whose fetcher is killed", killed_loop),
)
