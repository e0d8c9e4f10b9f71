"""The header of every binary message, little-endian. Pure.

offset  size  field
     0     4  magic, the bytes "INKL"
     4     1  version of the layout, 1
     5     1  kind, 1: poses; 2: image; 3: prediction
     6     2  a number whose meaning depends on the kind, u16
     8     8  seq, u64 (below 2**53)
    16     8  pts_s, f64
    24        further fields of the kind
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from inkling.service.protocol.errors import BadMessage

MAGIC = b"INKL"
VERSION = 1
POSES, IMAGES, PREDICTION = 1, 2, 3
MAX_SEQ = 2**53

_START = struct.Struct("<4sBB")
_COMMON = "HQd"


class Header:
    """The header of one kind of message. size: in bytes.

    pack: the header's bytes from its number, seq, pts_s and the further fields; raises struct.error.
    """

    __slots__ = ("_fields", "_start", "pack", "size")

    def __init__(self, kind: int, further: str) -> None:
        """further: the kind's own fields, in the notation of `struct`."""
        self._start = _START.pack(MAGIC, VERSION, kind)
        self._fields = struct.Struct(f"<{_COMMON}{further}")
        whole = struct.Struct(f"<{_START.size}s{_COMMON}{further}")
        self.size = whole.size
        self.pack: Callable[..., bytes] = partial(whole.pack, self._start)

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """Number, seq, pts_s and the further fields. Raises BadMessage for another kind or version, or no header."""
        if len(data) < self.size or data[: _START.size] != self._start:
            raise self._refused(data)
        fields = self._fields.unpack_from(data, _START.size)
        if fields[1] >= MAX_SEQ:
            raise BadMessage(f"seq {fields[1]} is not below 2**53")
        return fields

    def _refused(self, data: bytes) -> BadMessage:
        if len(data) < self.size or data[: len(MAGIC)] != MAGIC:
            return BadMessage(
                f"binary messages of this kind start with a {self.size}-byte header and the bytes 'INKL', "
                "see /v1/protocol"
            )
        _, version, kind = _START.unpack_from(data)
        return BadMessage(f"binary version {version}, kind {kind} is not known here, see /v1/protocol")


def kind_of(data: bytes) -> int:
    """The kind that a message says it is of; 0 when it is too short to say."""
    return data[5] if len(data) > 5 else 0
