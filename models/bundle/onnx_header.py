"""Read the few facts of an ONNX file that a loader must know before any runtime touches it.

The service does not depend on the `onnx` package: this walks the outermost fields of the protobuf `ModelProto`
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) and skips the rest, the graph included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_OPSET_IMPORT, _METADATA_PROPS = 8, 14  # fields of ModelProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """`opset`: version of the default operator set. `metadata`: the model's key-value properties."""

    opset: int
    metadata: dict[str, str]


def read_header(model: bytes) -> OnnxHeader:
    """Read the header of a serialised ONNX model. Raises ValueError when the bytes are not one."""
    opset: int | None = None
    metadata: dict[str, str] = {}
    for field, value in fields(memoryview(model)):
        if field == _OPSET_IMPORT:
            domain, version = _pair(value)
            if _text(domain) in ("", "ai.onnx"):
                opset = version if isinstance(version, int) else 0
        elif field == _METADATA_PROPS:
            key, text = _pair(value)
            metadata[_text(key)] = _text(text)
    if opset is None:
        raise ValueError("not an ONNX model: it imports no operator set")
    return OnnxHeader(opset, metadata)


def _pair(message: int | memoryview) -> tuple[int | memoryview, int | memoryview]:
    """Fields 1 and 2 of a nested message; absent ones are empty (proto default)."""
    if isinstance(message, int):
        raise ValueError("not an ONNX model: a number where a message belongs")
    values: dict[int, int | memoryview] = dict(fields(message))
    return values.get(1, memoryview(b"")), values.get(2, memoryview(b""))


def _text(value: int | memoryview) -> str:
    if isinstance(value, int):
        raise ValueError("not an ONNX model: a number where text belongs")
    return bytes(value).decode("utf-8")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of each field of a protobuf message; fixed-width values are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if field == 0:
            raise ValueError("not an ONNX model: field number 0")
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"not an ONNX model: wire type {wire}")
        end = at + size
        if end > len(data):
            raise ValueError("not an ONNX model: it ends inside a field")
        if wire == _BYTES:
            yield field, data[at:end]
        at = end


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("not an ONNX model: broken number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
