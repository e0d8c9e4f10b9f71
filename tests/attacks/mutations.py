"""Malformed messages, made from valid ones: text and binary, by a seed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np

from inkling.service.protocol.image_binary import pack_image
from inkling.service.protocol.pose_binary import pack_pose

BODY = [[float(10 * joint), 100.0 + joint, 0.9] for joint in range(17)]
HOSTILE = (
    "null", "true", "-1", "1e400", "NaN", "Infinity", "-Infinity", '""', "[]", "{}", "[[]]", "9" * 400, "2147483648",
    "9007199254740992", '"\\u0000"', '"\\ud800"', "0.0000001e-400", "[null]", '"1"', "1e6", "-0",
)  # fmt: skip
"""Values in place of those of a message."""


def valid() -> tuple[list[str], list[bytes]]:
    """One valid message of every kind and a few variants: text, and binary."""
    person = {"track": 1, "keypoints": BODY}
    start = {"type": "start", "bundle": "body-actions", "input": "pose", "skeleton": "coco17"}
    texts = [
        start,
        start | {"version": "5", "top_k": 3, "policy": "block", "results": "packed", "width": 640, "height": 480},
        {"type": "pose", "seq": 0, "pts_s": 0.0, "people": [person]},
        {"type": "pose", "seq": 1, "people": [person, {"track": 2, "keypoints": [None, *BODY[1:]]}]},
        {"type": "pose", "seq": 2, "pts_s": 0.5, "people": []},
        {"type": "reset", "track": 1},
        {"type": "reset"},
        {"type": "flush", "id": 7},
        {"type": "end"},
    ]
    keypoints = np.array([BODY], np.float32)
    image = np.zeros((8, 8, 3), np.uint8)
    files = [cv2.imencode(form, image)[1].tobytes() for form in (".jpg", ".png", ".webp")]
    binary = [pack_pose(0, [1], keypoints, 0.0), pack_pose(1, [1, 2], np.repeat(keypoints, 2, 0))]
    binary += [pack_image(0, file, 0.0) for file in files]
    binary += [pack_image(1, image), pack_image(2, np.zeros((12, 8), np.uint8), nv12=True, orientation=6)]
    return [json.dumps(text, separators=(",", ":")) for text in texts], binary


def mutations(seed: int) -> Iterator[str | bytes]:
    """Endless: each a valid message with one to four changes. Some come out valid, too."""
    rng = np.random.default_rng(seed)
    texts, binary = valid()
    while True:
        changes = int(rng.integers(1, 5))
        if rng.random() < 0.5:
            text = texts[rng.integers(len(texts))]
            for _ in range(changes):
                text = changed_text(text, texts, rng)
            yield text
        else:
            data = binary[rng.integers(len(binary))]
            for _ in range(changes):
                data = changed_bytes(data, binary, rng)
            yield data


def changed_text(text: str, others: list[str], rng: np.random.Generator) -> str:
    """One change: a value, a character, a piece that is gone, doubled, or another message's."""
    if not text:
        return others[rng.integers(len(others))]
    begin, end = sorted(rng.integers(0, len(text) + 1, 2).tolist())
    match rng.integers(7):
        case 0:  # another value after some colon
            parts = text.split(":")
            at = int(rng.integers(len(parts)))
            _, comma, rest = parts[at].partition(",")
            parts[at] = HOSTILE[rng.integers(len(HOSTILE))] + comma + rest
            return ":".join(parts)
        case 1:
            return text[:begin] + chr(int(rng.integers(0, 0xD800))) + text[begin + 1 :]
        case 2:
            return text[:begin]
        case 3:
            return text[:begin] + text[end:]
        case 4:
            return text[:end] + text[begin:end][:500] + text[end:]
        case 5:
            other = others[rng.integers(len(others))]
            return text[:begin] + other[int(rng.integers(len(other))) :]
        case _:
            return text[:begin] + HOSTILE[rng.integers(len(HOSTILE))] + text[begin:]


def changed_bytes(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """One change: a bit, a field of the header, a length, a piece that is gone or another message's."""
    if not data:
        return others[rng.integers(len(others))]
    changed = bytearray(data)
    at = int(rng.integers(len(changed)))
    match rng.integers(6):
        case 0:
            changed[at] ^= 1 << int(rng.integers(8))
        case 1:  # in the header, where it tells most
            changed[at % 32 % len(changed)] = int(rng.integers(256))
        case 2:
            field = (0xFFFFFFFF, 0x7FFFFFFF, 0, 0x80000000, 0x7FF80000, 0x7F800000)[rng.integers(6)]
            changed[at : at + 4] = field.to_bytes(4, "little")
        case 3:
            del changed[at:]
        case 4:
            changed += rng.bytes(int(rng.integers(1, 100)))
        case _:
            other = others[rng.integers(len(others))]
            changed[at:] = other[int(rng.integers(len(other))) :]
    return bytes(changed)
