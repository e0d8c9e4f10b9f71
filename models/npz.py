"""Named arrays from the bytes of an `.npz` file, which may come from anybody. Pure but for `read_npz_file`.

The one reader of the format for requests, bundles and data sets. It unpickles nothing, and what it allocates is bounded
before and while it unpacks: a file of 3 MB may unpack to gigabytes, and a header may claim any size.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.errors import InklingError

CHUNK_BYTES = 64 * 1024
"""Unpacked in one go."""
MAX_MEMBERS = 256
"""Arrays in one file; each costs memory before anything is unpacked."""
MAX_FILE_BYTES = 2**32
"""Of a file that a user of this machine names, packed and again unpacked."""
HEADER_BYTES = 4096
"""Longest .npy header that is read; an honest one has 128 bytes."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes. bzip2 and lzma would unpack whole blocks, however large."""
_ENTRY = b"PK\x01\x02"
"""What begins an entry of a zip file's directory."""
_UNREADABLE = (
    *(AttributeError, EOFError, IndexError, KeyError, MemoryError, OSError, OverflowError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What zipfile, zlib and numpy raise for damaged files. NotImplementedError is a RuntimeError."""


class BadNpz(InklingError):
    """The bytes are no `.npz` file, or a damaged one, or hold something else than arrays of numbers and text."""


class NpzTooLarge(BadNpz):
    """The arrays would take more memory than the caller allows."""


def read_npz(data: bytes, names: Collection[str], max_bytes: int) -> dict[str, NDArray[Any]]:
    """Those arrays of `names` that the file has. Others are not unpacked.

    max_bytes: of all the arrays returned, with their headers. Beside them a few `CHUNK_BYTES` are allocated, no more.
    Raises BadNpz; NpzTooLarge when they are larger.
    """
    if data.startswith(b"\x93NUMPY"):
        raise BadNpz("it is one array without a name, not an .npz file as numpy.savez writes it")
    if data.count(_ENTRY) > MAX_MEMBERS:
        raise BadNpz(f"it has more than {MAX_MEMBERS} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            wanted = _members(archive, names)
            if sum(member.file_size for member in wanted.values()) > max_bytes:
                raise NpzTooLarge(f"it unpacks to more than {max_bytes} bytes")
            return {name: _read_member(archive, member) for name, member in wanted.items()}
    except _UNREADABLE as error:
        raise BadNpz(f"it is not an .npz file, or a damaged one: {error}") from None


def read_npy(data: bytes, name: str, max_bytes: int) -> NDArray[Any]:
    """The one array in the bytes of an `.npy` file; `name`: what errors call it.

    max_bytes: of the array with its header. Raises BadNpz; NpzTooLarge when it is larger.
    """
    if len(data) > max_bytes:
        raise NpzTooLarge(f"it has more than {max_bytes} bytes")
    try:
        return _read_array(io.BytesIO(data), len(data), name)
    except _UNREADABLE as error:
        raise BadNpz(f"it is not an .npy file, or a damaged one: {error}") from None


def read_npz_file(path: Path, names: Collection[str], max_bytes: int = MAX_FILE_BYTES) -> dict[str, NDArray[Any]]:
    """`read_npz` of a file. Raises OSError as well."""
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise NpzTooLarge(f"it has more than {max_bytes} bytes")
    return read_npz(data, names, max_bytes)


def _members(archive: zipfile.ZipFile, names: Collection[str]) -> dict[str, zipfile.ZipInfo]:
    wanted: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in names:
            continue
        if name in wanted:
            raise BadNpz(f"it has two arrays {name!r}")
        if member.compress_type not in _METHODS:
            raise BadNpz(f"array {name!r} is packed by another method than stored or deflate")
        wanted[name] = member
    return wanted


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        return _read_array(file, member.file_size, member.filename.removesuffix(".npy"))


def _read_array(file: IO[bytes], file_size: int, name: str) -> NDArray[Any]:
    """One array. Its shape must fill the size of the file, and its bytes must be there."""
    head = io.BytesIO(_read_exactly(file, HEADER_BYTES))  # numpy itself reads as long a header as the file claims
    version = np.lib.format.read_magic(head)
    if version not in _HEADERS:
        raise BadNpz(f"array {name!r} has format version {version}, which is not known")
    shape, fortran, dtype = _HEADERS[version](head, max_header_size=HEADER_BYTES)
    if dtype.hasobject:
        raise BadNpz(f"array {name!r} holds Python objects, which are never unpacked")
    if dtype.kind not in "biufcUS" or any(length < 0 for length in shape):
        raise BadNpz(f"array {name!r} holds neither numbers nor text: {dtype} {shape}")
    size = math.prod(shape) * dtype.itemsize
    if size != file_size - head.tell():
        raise BadNpz(f"array {name!r} is not as long as its shape {shape} says")
    return np.ndarray(shape, dtype, _unpack(head.read(), file, size, name), order="F" if fortran else "C")


def _read_exactly(file: IO[bytes], count: int) -> bytes:
    """So many bytes, fewer only at the end of the file."""
    data = b""
    while len(data) < count and (chunk := file.read(count - len(data))):
        data += chunk
    return data


def _unpack(begin: bytes, file: IO[bytes], size: int, name: str) -> NDArray[np.uint8]:
    """Exactly the `size` bytes of an array, whose first ones are `begin`. Reading to the end checks the CRC."""
    unpacked = np.empty(size, np.uint8)
    at, chunk = 0, begin
    while chunk or (chunk := file.read(CHUNK_BYTES)):
        if at + len(chunk) > size:
            raise BadNpz(f"array {name!r} is longer than its shape says")
        unpacked[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
        at, chunk = at + len(chunk), b""
    if at < size:
        raise BadNpz(f"array {name!r} ends too early")
    return unpacked
