"""Named arrays from anybody's bytes: what is read, what is refused, and how much memory either may take."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.npz import CHUNK_BYTES, HEADER_BYTES, MAX_MEMBERS, BadNpz, NpzTooLarge, read_npz, read_npz_file

LIMIT = 2**20
ALLOWED = LIMIT + 5 * CHUNK_BYTES
"""The arrays, a chunk of them, and the chunks that zlib and zipfile keep, packed and unpacked."""


def saved(write: Callable[..., None] = np.savez, **arrays: Any) -> bytes:
    file = io.BytesIO()
    write(file, **arrays)
    return file.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f4", version: int = 1) -> bytes:
    file = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == 1 else np.lib.format.write_array_header_2_0
    write(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def zipped(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def zeros(megabytes: int, begin: bytes, method: int) -> bytes:
    """A .npz whose array `a` is `begin` and megabytes of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, archive.open("a.npy", "w") as member:
        member.write(begin)
        for _ in range(megabytes):
            member.write(bytes(2**20))
    return file.getvalue()


def claiming(data: bytes, size: int, crc: int | None = None) -> bytes:
    """The same file of one member, whose directory says that it unpacks to `size` bytes."""
    forged = bytearray(data)
    entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", forged, entry + 24, size)
    if crc is not None:
        struct.pack_into("<I", forged, entry + 16, crc)
    return bytes(forged)


def refusal(data: bytes, kind: type[BadNpz] = BadNpz, max_bytes: int = LIMIT) -> str:
    with pytest.raises(kind) as caught:
        read_npz(data, ("a", "b"), max_bytes)
    return str(caught.value)


@contextlib.contextmanager
def at_most(allowed: int) -> Any:
    """Insist that no more than so many bytes are allocated at any time inside the block."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before <= allowed


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.array([True, False]),
        np.array("coco17"),
        np.array(30),
        np.zeros((0, 13, 3)),
        np.random.default_rng(0).integers(0, 256, 3 * CHUNK_BYTES).astype(np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_as_numpy_saved_them(write: Callable[..., None], array: np.ndarray[Any, Any]) -> None:
    found = read_npz(saved(write, a=array, other=np.ones(3)), ("a", "b"), LIMIT)["a"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


def test_a_format_2_header_is_read_too() -> None:
    data = zipped(a=header((2,), version=2) + np.array([1, 2], "<f4").tobytes())
    np.testing.assert_array_equal(read_npz(data, ("a",), LIMIT)["a"], [1, 2])


def test_arrays_that_nobody_asked_for_are_not_unpacked() -> None:
    data = saved(a=np.ones(2), large=np.zeros(2 * LIMIT), objects=np.array([None], dtype=object))
    assert set(read_npz(data, ("a", "b"), LIMIT)) == {"a"}


def test_a_file_of_this_machine_is_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(saved(a=np.arange(3)))
    np.testing.assert_array_equal(read_npz_file(tmp_path / "x.npz", ("a",))["a"], [0, 1, 2])
    with pytest.raises(NpzTooLarge, match="more than 100 bytes"):
        read_npz_file(tmp_path / "x.npz", ("a",), 100)
    with pytest.raises(FileNotFoundError):
        read_npz_file(tmp_path / "none.npz", ("a",))


# -- refused ------------------------------------------------------------------------------------------------------
def test_objects_are_refused_and_not_unpickled() -> None:
    assert "never unpacked" in refusal(saved(a=np.array([{"code": "to run"}], dtype=object)))


def test_records_are_refused() -> None:
    assert "neither numbers nor text" in refusal(saved(a=np.zeros(2, [("x", "<f4")])))


def test_a_single_array_is_told_from_a_broken_file() -> None:
    file = io.BytesIO()
    np.save(file, np.ones(2))
    assert "without a name" in refusal(file.getvalue())
    assert "not an .npz file" in refusal(b"hello")


def test_two_arrays_of_one_name_are_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("a", "a.npy"):
            archive.writestr(name, header((1,)) + bytes(4))
    assert "two arrays 'a'" in refusal(file.getvalue())


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_than_stored_and_deflate_are_refused(method: int) -> None:
    assert "another method" in refusal(zipped(method, a=header((1,)) + bytes(4)))


@pytest.mark.parametrize("shape", [(2**40, 13, 3), (2,), (-1, -1), (-4,)])
def test_a_shape_that_does_not_fill_the_member_is_refused(shape: tuple[int, ...]) -> None:
    assert "array 'a'" in refusal(zipped(a=header(shape) + bytes(4)))


def test_an_encrypted_member_is_refused() -> None:
    data = bytearray(zipped(a=header((1,)) + bytes(4)))
    for place in (data.index(b"PK\x03\x04") + 6, data.rindex(b"PK\x01\x02") + 8):
        data[place] |= 1
    assert "password" in refusal(bytes(data))


def test_a_flipped_bit_in_the_data_is_refused() -> None:
    data = bytearray(saved(a=np.zeros(100_000)))
    data[len(data) // 2] ^= 1
    assert "CRC" in refusal(bytes(data))


@given(st.data())
def test_a_damaged_file_is_arrays_or_a_typed_error(data: st.DataObject) -> None:
    write = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    damaged = bytearray(saved(write, a=np.ones((2, 3)), b=np.arange(3.0)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadNpz):
        read_npz(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), ("a", "b"), LIMIT)


@pytest.mark.filterwarnings("ignore")  # numpy warns of headers that Python 2 might have written
@given(st.text("()[]{}'<>,:-0123456789 descrfotanhpTFuel_V|", max_size=200) | st.sampled_from(["(" * 3000, "-" * 3000]))
def test_any_header_is_an_array_or_a_typed_error(text: str) -> None:
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin1")
    with contextlib.suppress(BadNpz):
        read_npz(zipped(a=head + bytes(8)), ("a",), LIMIT)


# -- bombs --------------------------------------------------------------------------------------------------------
def test_what_unpacks_to_more_than_the_limit_is_refused_before_it_is_unpacked() -> None:
    data = zeros(300, header((300 * 2**18,)), zipfile.ZIP_DEFLATED)
    assert len(data) < 2**19
    with at_most(CHUNK_BYTES):
        assert "unpacks to more" in refusal(data, NpzTooLarge)


def test_all_arrays_together_keep_to_the_limit() -> None:
    half = np.zeros(LIMIT // 8 - 1000)
    assert "unpacks to more" in refusal(saved(np.savez_compressed, a=half, b=half[:5000]), NpzTooLarge)


def test_a_directory_that_claims_too_little_does_not_help_a_bomb() -> None:
    begin = header((2**18,))
    bomb = zeros(300, begin, zipfile.ZIP_DEFLATED)
    claimed = len(begin) + 2**20
    crc = zlib.crc32(begin + bytes(2**20))
    for data in (claiming(bomb, claimed), claiming(bomb, claimed, crc)):
        with at_most(ALLOWED), contextlib.suppress(BadNpz):
            assert len(read_npz(data, ("a",), claimed)["a"]) == 2**18


def test_a_directory_that_claims_too_much_allocates_no_more_than_the_limit() -> None:
    short = zipped(a=header((2**18 - 40,)))
    with at_most(ALLOWED):
        assert "ends too early" in refusal(claiming(short, len(header((2**18 - 40,))) + 4 * (2**18 - 40)))


def test_a_small_bzip2_bomb_is_refused_before_it_is_unpacked() -> None:
    data = zeros(64, header((2**18,)), zipfile.ZIP_BZIP2)
    assert len(data) < 2000
    with at_most(CHUNK_BYTES):
        assert "another method" in refusal(claiming(data, 1000))


def test_a_header_of_megabytes_is_not_read() -> None:
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**29)
    data = zeros(512, head, zipfile.ZIP_DEFLATED)
    with at_most(5 * CHUNK_BYTES + HEADER_BYTES):
        assert "header" in refusal(data, max_bytes=2**30)


def test_thousands_of_members_are_refused_before_their_directory_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(20_000):
            archive.writestr(str(number), b"")
    data = file.getvalue()
    with at_most(CHUNK_BYTES):
        assert f"more than {MAX_MEMBERS}" in refusal(data)


def test_an_array_of_the_limit_itself_takes_a_few_chunks_more() -> None:
    data = saved(np.savez_compressed, a=np.zeros(LIMIT // 8 - 16))
    with at_most(ALLOWED):
        assert read_npz(data, ("a",), LIMIT)["a"].shape == (LIMIT // 8 - 16,)
