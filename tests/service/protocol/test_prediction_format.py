from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.codec import decode_reply, encode
from inkling.service.protocol.errors import BadMessage
from inkling.service.protocol.messages import RESETS, Prediction
from inkling.service.protocol.prediction_format import HEADER, JsonResults, Messages, PackedResults, unpack_prediction

LABELS = ("wave", 'quote "', "ünïcode", "line\nbreak", "idle")
COUNT = st.integers(0, 2**32 - 1)
TIMES = st.one_of(st.floats(0, 1e6), st.floats(0, allow_infinity=False, allow_nan=False))


@st.composite
def results(draw: st.DrawFn) -> tuple[Any, ...]:
    """The arguments of a format: any that the service may give."""
    weights = draw(st.lists(st.floats(0.001, 1), min_size=len(LABELS), max_size=len(LABELS)))
    probabilities = [round(weight / sum(weights), 6) for weight in weights]
    best = max(range(len(LABELS)), key=probabilities.__getitem__)
    return (
        draw(st.integers(0, 2**53 - 1)), draw(TIMES), draw(st.integers(0, 2**31 - 1)), best, probabilities, b"",
        draw(COUNT), draw(st.sampled_from([None, *RESETS])), draw(COUNT), draw(COUNT), draw(st.integers(0, 1000)),
    )  # fmt: skip


@given(results(), st.sampled_from([None, 1, 3, 5, 9]))
def test_json_written_by_hand_is_that_of_pydantic(fields: tuple[Any, ...], top_k: int | None) -> None:
    text = JsonResults(LABELS, top_k)(*fields)
    message = Messages(LABELS, top_k)(*fields)
    assert text == encode(message)
    assert decode_reply(text) == message


@given(results(), st.sampled_from([None, 1, 3, 5, 9]))
def test_a_packed_result_tells_what_json_does(fields: tuple[Any, ...], top_k: int | None) -> None:
    data = PackedResults(LABELS, top_k)(*fields)
    assert decode_reply(data, LABELS) == Messages(LABELS, top_k)(*fields)
    assert len(data) < len(JsonResults(LABELS, top_k)(*fields))


def test_a_row_that_is_packed_already_goes_out_as_it_is() -> None:
    row = bytes(range(20))
    data = PackedResults(LABELS, None)(0, 0.0, 0, 0, [0.2] * 5, row, 0, None, 0, 0, 0)
    assert data[HEADER.size :] == row


def test_the_layout_is_the_documented_one() -> None:
    data = PackedResults(("a", "b"), None)(7, 0.5, 3, 1, [0.25, 0.75], b"", 2, "gap", 4, 5, 6)
    assert (data[:4], data[4], data[5], int.from_bytes(data[6:8], "little")) == (b"INKL", 1, 3, 2)
    assert [int.from_bytes(data[a:b], "little") for a, b in ((8, 16), (24, 28), (28, 32), (32, 40), (40, 48))] == [
        7, 3, 2, 4, 5,
    ]  # fmt: skip
    assert (int.from_bytes(data[48:52], "little"), data[52], data[54], data[55], len(data)) == (6, 1, 1, 0, 64)


@pytest.mark.parametrize("change", ["short", "long", "magic", "version", "kind", "label", "reset", "flags"])
def test_what_is_no_packed_result_is_refused(change: str) -> None:
    data = bytearray(PackedResults(("a", "b"), None)(7, 0.5, 3, 1, [0.25, 0.75], b"", 2, None, 4, 5, 6))
    at = {"magic": 0, "version": 4, "kind": 5, "label": 52, "reset": 54, "flags": 55}
    if change in at:
        data[at[change]] = 77
    changed = {"short": data[:-1], "long": data + b"\0"}.get(change, data)
    with pytest.raises(BadMessage):
        unpack_prediction(bytes(changed), ("a", "b"))
    with pytest.raises(BadMessage):
        unpack_prediction(bytes(changed[:20]), ("a", "b"))


def test_both_formats_cost_no_validation() -> None:
    assert json.loads(JsonResults(("a",), None)(0, 1e-7, 0, 0, [1.0], b"", 0, None, 0, 0, 0))["pts_s"] == 1e-7
    assert isinstance(Messages(("a",), None)(0, 0.0, 0, 0, [1.0], b"", 0, None, 0, 0, 0), Prediction)
