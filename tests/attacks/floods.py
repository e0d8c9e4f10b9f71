"""Floods on the wire: heads without end, requests in a row, pings and empty fragments."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import repeat

from websockets.frames import Opcode

from tests.attacks.attack import Attack, Got
from tests.attacks.server import Victim
from tests.attacks.wires import at_once, connected, fate, frame, outcome, pour, request_head, streams, websocket

SECONDS = 4.0
MIB = 2**20
SERVED_WHOLE = "took it all"
"""An attacker that was neither refused nor closed while it flooded; what that costs others is measured."""


def endless_head(target: Victim) -> Got:
    line = b"X-Attack: " + b"a" * 1000 + b"\r\n"
    with connected(target) as raw:
        pour(raw, [b"GET /livez HTTP/1.1\r\n", *repeat(line * 1000, 600)], time.monotonic() + SECONDS)
        return Counter([outcome(raw, 10)])


def large_header(target: Victim) -> Got:
    with connected(target) as raw:
        pour(raw, [b"GET /livez HTTP/1.1\r\nX-Attack: ", *repeat(b"a" * MIB, 40), b"\r\n\r\n"])
        return Counter([outcome(raw, 10)])


def pipelined(target: Victim) -> Got:
    """Requests in one piece, whose answers nobody reads."""
    request = request_head(target, "/livez", method="GET")

    def one(_: int) -> str:
        with connected(target) as raw:
            raw.settimeout(SECONDS)
            pour(raw, [request * (3 * MIB // len(request))])
            return outcome(raw, 10)

    return at_once(2, one)


def flood(parts: bytes, before: bytes, target: Victim, path: str = "/v1/stream") -> str:
    """`parts` for SECONDS, without a look at what comes back."""
    with websocket(target, path) as raw:
        raw.settimeout(5)
        end_s = time.monotonic() + SECONDS

        def endless() -> Iterator[bytes]:
            yield before
            yield from repeat(parts)

        pour(raw, endless(), end_s)
        was_cut = time.monotonic() < end_s
        return fate(raw, 10) if was_cut else SERVED_WHOLE


PINGS = frame(Opcode.PING, b"p" * 125) * 500
FRAGMENTS = frame(Opcode.CONT, b"", fin=False) * 4000
FIRST = frame(Opcode.TEXT, b"", fin=False)


def pings(target: Victim) -> Got:
    return at_once(2, lambda _: flood(PINGS, b"", target))


def fragments(target: Victim) -> Got:
    return at_once(2, lambda _: flood(FRAGMENTS, FIRST, target))


def follower(parts: bytes, before: bytes, target: Victim) -> Got:
    """The same from two who follow the healthy stream."""
    (stream,) = streams(target)
    return at_once(2, lambda _: flood(parts, before, target, f"/v1/streams/{stream}/predictions"))


ATTACKS = (
    Attack("an HTTP head without end", endless_head, short=True),
    Attack("one HTTP header of 40 MB", large_header),
    Attack("3 MB of GETs in a row, unread", pipelined),
    Attack("pings before start", pings, short=True),
    Attack("empty fragments before start", fragments),
    Attack("pings by a follower", partial(follower, PINGS, b"")),
    Attack("empty fragments by a follower", partial(follower, FRAGMENTS, FIRST)),
)
