"""Clips that are small on the wire and large inside, and JSON that takes long to read."""

from __future__ import annotations

import bz2
import io
import struct
import zipfile
import zlib
from collections import Counter
from functools import partial

from tests.attacks.attack import Attack, Got
from tests.attacks.server import Victim
from tests.attacks.wires import at_once, post

PATH = "/v1/clips?bundle=body-actions&fps=30"
GIB = 2**30
MIB = 2**20
JSON_BYTES = 64 * MIB - 100
PATIENCE_S = 60.0


def member_head(shape: tuple[int, ...]) -> bytes:
    """The beginning of an `.npy` of float64."""
    said = repr({"descr": "<f8", "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said.encode()


def bomb(method: int, size: int, shape: tuple[int, ...], *, claimed: int | None = None) -> bytes:
    """A zip file with one member `keypoints.npy` that unpacks to `size` zeros behind a head.

    claimed: what the zip's own headers say it unpacks to. Packed piece by piece: it is never whole in memory.
    """
    packer = bz2.BZ2Compressor() if method == zipfile.ZIP_BZIP2 else zlib.compressobj(9, zlib.DEFLATED, -15)
    head, piece = member_head(shape), bytes(MIB)
    parts, crc = [packer.compress(head)], zlib.crc32(head)
    for _ in range(size // MIB):
        parts.append(packer.compress(piece))
        crc = zlib.crc32(piece, crc)
    packed = b"".join(parts) + packer.flush()
    whole = len(head) + size if claimed is None else claimed
    name = b"keypoints.npy"
    common = struct.pack("<HHHHHIII", 20, 0, method, 0, 0, crc, len(packed), whole & 0xFFFFFFFF)
    local = b"PK\x03\x04" + common + struct.pack("<HH", len(name), 0) + name
    central = (
        b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    )
    begin = len(local) + len(packed)
    return local + packed + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), begin, 0)


def honest_member(size: int) -> bytes:
    """A zip file whose second member, which nobody asked for, is large."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("keypoints.npy", member_head((1, 17, 3)) + bytes(17 * 3 * 8))
        with made.open("fps.npy", "w") as member:
            member.write(member_head((size // 8,)))
            for _ in range(size // MIB):
                member.write(bytes(MIB))
    return file.getvalue()


def posted(body: bytes, target: Victim) -> Got:
    return Counter([post(target, PATH, body, wait_s=PATIENCE_S)])


def unpacked(method: int, size: int, target: Victim) -> Got:
    return posted(bomb(method, size, (size // 8,)), target)


def forged(target: Victim) -> Got:
    """The zip's headers say that it is small, or that it is empty, and it is not."""
    got: Got = Counter()
    for claimed in (0, 1000, 0xFFFFFFFF):
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
            got += posted(bomb(method, GIB // 2, (10, 17, 3), claimed=claimed), target)
    return got


def other_member(target: Victim) -> Got:
    return posted(honest_member(GIB // 2), target)


def filled(before: bytes, item: bytes, after: bytes, size: int = JSON_BYTES) -> bytes:
    """`item` as often as it goes into `size` bytes, with commas."""
    return before + b",".join([item] * (size // (len(item) + 1))) + after


def json_keys(target: Victim, size: int = JSON_BYTES) -> Got:
    keys = b",".join(b'"%x":0' % number for number in range(size // 10))
    return posted(b"{" + keys + b"}", target)


def json_points(target: Victim, size: int = JSON_BYTES) -> Got:
    return posted(filled(b'{"people":[{"track":1,"keypoints":[', b"[[0]]", b"]}]}", size), target)


def json_empty_people(target: Victim, size: int = JSON_BYTES) -> Got:
    return posted(filled(b'{"people":[', b"{}", b"]}", size), target)


def json_nulls(target: Victim, size: int = JSON_BYTES) -> Got:
    return posted(filled(b'{"people":[{"track":1,"keypoints":[', b"null", b",[[0,0,1]]]}]}", size), target)


def json_depth(target: Victim, size: int = JSON_BYTES) -> Got:
    return posted(b'{"people":' + b"[" * size, target)


def json_people(target: Victim, size: int = JSON_BYTES) -> Got:
    """Nothing is wrong with it: 32 people, and as many frames as fit."""
    frame = b"[" + b",".join(b"[%d,%d]" % (joint % 4 + 1, joint // 2 + 1) for joint in range(13)) + b"]"
    keypoints = filled(b"", frame, b"", size // 32 - 60)
    people = b",".join(b'{"track":%d,"keypoints":[%b]}' % (track, keypoints) for track in range(32))
    return posted(b'{"skeleton":"body13","people":[' + people + b"]}", target)


def eight_clips(target: Victim) -> Got:
    return at_once(8, lambda _: next(iter(json_people(target, 4 * MIB))))


ATTACKS = (
    Attack("a bzip2 clip of 1 KB that unpacks to 2 GB", partial(unpacked, zipfile.ZIP_BZIP2, 2 * GIB)),
    Attack("a deflate clip of 1 MB that unpacks to 1 GB", partial(unpacked, zipfile.ZIP_DEFLATED, GIB), short=True),
    Attack("clips whose zip headers lie about their size", forged),
    Attack("a clip with a large second array", other_member),
    Attack("a JSON clip of 64 MB of keys", json_keys),
    Attack("a JSON clip of 64 MB of [[0]]", json_points),
    Attack("a JSON clip of 64 MB of empty people", json_empty_people),
    Attack("a JSON clip of 64 MB of nulls", json_nulls),
    Attack("a JSON clip of 64 MB of [", json_depth),
    Attack("a JSON clip of 64 MB of 32 people", json_people),
    Attack("eight JSON clips of 4 MB at once", eight_clips),
    Attack("a JSON clip of 8 MB of [[0]]", partial(json_points, size=8 * MIB), short=True),
)
