from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.codec import decode_reply
from inkling.service.protocol.errors import BadMessage
from inkling.service.protocol.fast_prediction import JsonPredictions
from inkling.service.protocol.messages import Start
from inkling.service.protocol.prediction_format import (
    HEADER,
    PackedPredictions,
    PredictionMessages,
    unpack_prediction,
    wire_format,
)
from inkling.service.protocol.prediction_value import PredictionValue
from tests.service.protocol.values import LABELS, values


@given(values(), st.sampled_from([None, 1, 3, 5, 9]), st.sampled_from([None, 0.5]), st.booleans())
def test_a_packed_result_tells_what_json_does(
    value: PredictionValue, top_k: int | None, lead_s: float | None, unknown: bool
) -> None:
    data = PackedPredictions(LABELS, top_k, lead_s, unknown=unknown)(value)
    message = PredictionMessages(LABELS, top_k, lead_s, unknown=unknown)(value)
    assert decode_reply(data, LABELS, lead_s) == message
    assert len(data) < len(JsonPredictions(LABELS, top_k, lead_s, unknown=unknown)(value))
    assert len(data) == len(PackedPredictions(LABELS, top_k, unknown=unknown)(value)), "what is ahead takes no room"
    assert message.unknown == (value.unknown if unknown else None)


@pytest.mark.parametrize(("sent", "known"), [(0.5, None), (None, 0.5)])
def test_a_packed_result_is_not_read_as_of_another_time(sent: float | None, known: float | None) -> None:
    data = wire_format(("a", "b"), Start(bundle="b", results="packed"), sent)(
        PredictionValue(0, 0.0, 0, 1, [0.25, 0.75], b"", 0, None, 0, 0, 0)
    )
    assert isinstance(data, bytes)
    with pytest.raises(BadMessage, match="disagree"):
        unpack_prediction(data, ("a", "b"), known)


def test_who_does_not_ask_for_the_unknown_gets_what_earlier_releases_sent() -> None:
    row = [0.1, 0.1, 0.1, 0.1, 0.6]
    scored, plain = (PredictionValue(0, 0.0, 0, 4, row, b"", 0, None, 0, 0, 0, score) for score in (0.4, None))
    for results in ("json", "packed"):
        quiet = wire_format(LABELS, Start(bundle="b", results=results))
        asked = wire_format(LABELS, Start(bundle="b", results=results, unknown=True))
        assert quiet(scored) == quiet(plain) == asked(plain)
        assert len(asked(scored)) - len(quiet(scored)) == (len(',"unknown":0.4') if results == "json" else 4)


def test_a_stream_gets_the_format_that_its_start_asks_for() -> None:
    value = PredictionValue(0, 0.0, 0, 4, [0.1, 0.1, 0.1, 0.1, 0.6], b"", 0, None, 0, 0, 0)
    packed = wire_format(LABELS, Start(bundle="b", results="packed", top_k=2))(value)
    text = wire_format(LABELS, Start(bundle="b", top_k=2))(value)
    assert isinstance(packed, bytes)
    assert isinstance(text, str)
    assert decode_reply(packed, LABELS) == decode_reply(text) == PredictionMessages(LABELS, 2)(value)


def test_a_row_that_is_packed_already_goes_out_as_it_is() -> None:
    row = bytes(range(20))
    data = PackedPredictions(LABELS, None)(PredictionValue(0, 0.0, 0, 0, [0.2] * 5, row, 0, None, 0, 0, 0))
    assert isinstance(data, bytes)
    assert data[HEADER.size :] == row


def test_the_layout_is_the_documented_one() -> None:
    data = PackedPredictions(("a", "b"), None)(PredictionValue(7, 0.5, 3, 1, [0.25, 0.75], b"", 2, "gap", 4, 5, 6))
    assert isinstance(data, bytes)
    assert (data[:4], data[4], data[5], int.from_bytes(data[6:8], "little")) == (b"INKL", 1, 3, 2)
    assert [int.from_bytes(data[a:b], "little") for a, b in ((8, 16), (24, 28), (28, 32), (32, 40), (40, 48))] == [
        7, 3, 2, 4, 5,
    ]  # fmt: skip
    assert (int.from_bytes(data[48:52], "little"), data[52], data[54], data[55], len(data)) == (6, 1, 1, 0, 64)


@pytest.mark.parametrize("change", ["short", "long", "magic", "version", "kind", "label", "reset", "flags"])
def test_what_is_no_packed_result_is_refused(change: str) -> None:
    packed = PackedPredictions(("a", "b"), None)(PredictionValue(7, 0.5, 3, 1, [0.25, 0.75], b"", 2, None, 4, 5, 6))
    assert isinstance(packed, bytes)
    data = bytearray(packed)
    at = {"magic": 0, "version": 4, "kind": 5, "label": 52, "reset": 54, "flags": 55}
    if change in at:
        data[at[change]] = 77
    changed = {"short": data[:-1], "long": data + b"\0"}.get(change, data)
    with pytest.raises(BadMessage):
        unpack_prediction(bytes(changed), ("a", "b"))
    with pytest.raises(BadMessage):
        unpack_prediction(bytes(changed[:20]), ("a", "b"))


@pytest.mark.parametrize("track", ['a "person"', 2**32 - 1, 2**64 - 1, -1, 2**32 - 2])
def test_any_track_comes_back_as_it_went_out_packed_where_it_fits(track: int | str) -> None:
    value = PredictionValue(7, 0.5, track, 1, [0.25, 0.75], b"", 2, "gap", 4, 5, 6)
    data = PackedPredictions(("a", "b"), None)(value)
    assert isinstance(data, bytes) is (track in (-1, 2**32 - 2))
    expected = PredictionMessages(("a", "b"), None)(value)
    assert decode_reply(data, ("a", "b")) == expected
    assert decode_reply(JsonPredictions(("a", "b"), None)(value)) == expected
