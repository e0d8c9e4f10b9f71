"""JSON messages of a stream that take long to read, and text that is none."""

from __future__ import annotations

from collections import Counter
from functools import partial

from websockets.frames import Opcode

from tests.attacks.attack import Attack, Got
from tests.attacks.clips import filled
from tests.attacks.server import Victim
from tests.attacks.wires import fate, frame, post, text, websocket

START = {"bundle": "body-actions", "input": "pose", "skeleton": "coco17"}
MESSAGE_BYTES = 4 * 2**20 - 200
TIMES = 3

PEOPLE = b'{"type":"pose","seq":0,"pts_s":0,"people":['
KEYPOINTS = PEOPLE + b'{"track":1,"keypoints":['


def message(kind: str) -> bytes:
    """Almost as large as a message may be."""
    before, item, after = {
        "wrong entries": (PEOPLE, b"123456", b"]}"),
        "nulls": (KEYPOINTS, b"null", b"]}]}"),
        "points": (KEYPOINTS, b"[0,0]", b"]}]}"),
        "empty people": (PEOPLE, b'{"track":1,"keypoints":[]}', b"]}"),
        "keys": (b'{"type":"pose",', b'"a":0', b"}"),
    }[kind]
    return filled(before, item, after, MESSAGE_BYTES)


def sent(kind: str, target: Victim, times: int = TIMES) -> Got:
    """The message, before and after `start`, from one client after the other."""
    got: Got = Counter()
    large = text(message(kind))
    for _ in range(times):
        for start in (START, None):
            with websocket(target, start=start) as raw:
                raw.sendall(large)
                raw.sendall(text('{"type":"end"}'))
                got[fate(raw)] += 1
    return got


def not_utf8(target: Victim) -> Got:
    got: Got = Counter()
    for start in (START, None):
        for data in (b"\xff\xfe{}", b'{"type":"start","bundle":"\xff"}', b"\xc0\x80", b"\xed\xa0\x80"):
            with websocket(target, start=start) as raw:
                raw.sendall(text(data))
                got[fate(raw)] += 1
    return got


ESCAPES = "\x1b[2J\x1b]0;mine\x07\r\nINFO ready"


def escapes(target: Victim) -> Got:
    """Control characters wherever a client's text may reach the log."""
    got: Got = Counter()
    for start in ({"bundle": ESCAPES}, START | {"skeleton": ESCAPES}, START | {"version": ESCAPES}, {ESCAPES: 1}):
        with websocket(target) as raw:
            raw.sendall(text({"type": "start", **start}))
            got[fate(raw)] += 1
    with websocket(target, start=START) as raw:
        close = (4999).to_bytes(2, "big") + ESCAPES.encode()
        raw.sendall(frame(Opcode.CLOSE, close))
        got[fate(raw)] += 1
    body = b'{"url":"file:loop.mp4","bundle":"fall-watch","name":"\\u001b[2J\\u001b]0;mine\\u0007"}'
    got[post(target, "/v1/sources", body, "Content-Type: application/json")] += 1
    got[post(target, "/v1/clips?bundle=%1b%5b2J%0d%0aINFO", b"{}")] += 1
    return got


ATTACKS = (
    Attack("4 MB messages of wrong entries", partial(sent, "wrong entries"), short=True),
    Attack("4 MB messages of nulls", partial(sent, "nulls")),
    Attack("4 MB messages of points", partial(sent, "points")),
    Attack("4 MB messages of empty people", partial(sent, "empty people")),
    Attack("4 MB messages of one key", partial(sent, "keys")),
    Attack("text that is not UTF-8", not_utf8),
    Attack("escape sequences in every field, plain log", escapes, form="plain"),
)
