from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from inkling.models.bundle.onnx_header import OnnxHeader, read_header
from tests.support import TinyReference

MODEL = TinyReference().onnx("tiny", "1")


def model(*opsets: tuple[str, int], **metadata: str) -> bytes:
    graph = helper.make_graph([], "empty", [], [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets])
    helper.set_model_props(made, metadata)
    return bytes(made.SerializeToString())


def test_opset_and_metadata_are_read_as_onnx_wrote_them() -> None:
    assert read_header(MODEL) == OnnxHeader(20, {"name": "tiny", "version": "1"})


def test_only_the_default_domain_counts_wherever_it_stands() -> None:
    assert read_header(model(("com.example", 3), ("", 18), ("ai.onnx.ml", 5))).opset == 18
    assert read_header(model(("ai.onnx", 21))).opset == 21


def test_metadata_may_be_empty_or_any_text() -> None:
    assert read_header(model(("", 17))).metadata == {}
    assert read_header(model(("", 17), name="Größe", empty="")).metadata == {"name": "Größe", "empty": ""}


def test_fields_of_fixed_width_are_passed_over() -> None:
    fixed = b"\xa1\x06" + b"\xff" * 8 + b"\xa5\x06" + b"\xff" * 4  # field 100 as 64 and as 32 bits
    assert read_header(fixed + MODEL + fixed) == read_header(MODEL)


def test_a_model_without_an_operator_set_is_no_model() -> None:
    for data in (b"", model(("com.example", 1))):
        with pytest.raises(ValueError, match="no operator set"):
            read_header(data)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x3a\x05ab", "ends inside a field"),
        (b"\x80" * 11 + b"\x00", "broken number"),
        (b"\x80", "broken number"),
        (b"\x40\x01", "a number where a message belongs"),  # opset_import as varint
        (b"\x72\x02\x08\x01", "a number where text belongs"),  # metadata key as varint
    ],
)
def test_bytes_that_are_no_model_are_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_header(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_header_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_header(data), OnnxHeader)


@given(st.integers(0, len(MODEL) - 1), st.integers(1, 255))
def test_a_flipped_byte_gives_a_header_or_a_value_error(at: int, flip: int) -> None:
    data = bytearray(MODEL)
    data[at] ^= flip
    with contextlib.suppress(ValueError):
        assert isinstance(read_header(bytes(data)), OnnxHeader)
