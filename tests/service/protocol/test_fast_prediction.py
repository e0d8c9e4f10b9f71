from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.codec import decode_reply, encode
from inkling.service.protocol.fast_prediction import JsonPredictions, unchecked_prediction
from inkling.service.protocol.messages import Prediction
from inkling.service.protocol.prediction_format import PredictionMessages
from inkling.service.protocol.prediction_value import PredictionValue
from tests.service.protocol.values import LABELS, values

VALUE = PredictionValue(3, 0.2, 1, 1, [0.25, 0.75], b"", 2, "gap", 4, 5, 6)


def test_an_unchecked_prediction_is_the_checked_one() -> None:
    unchecked = unchecked_prediction(VALUE, "b", [0.25, 0.75], None, 0.125)
    checked = Prediction(
        seq=3, pts_s=0.2, track=1, label="b", probabilities=[0.25, 0.75], classes=None, unknown=0.125, epoch=2,
        reset="gap", skipped=4, dropped=5, backlog=6,
    )  # fmt: skip
    assert unchecked == checked
    assert unchecked.model_dump_json() == checked.model_dump_json()
    assert list(unchecked.__dict__) == list(checked.__dict__)
    assert unchecked.model_copy(update={"seq": 9}).seq == 9


@given(values(), st.sampled_from([None, 1, 3, 5, 9]), st.sampled_from([None, 0.5, 0.5333]), st.booleans())
def test_json_written_by_hand_is_that_of_pydantic(
    value: PredictionValue, top_k: int | None, lead_s: float | None, unknown: bool
) -> None:
    text = JsonPredictions(LABELS, top_k, lead_s, unknown=unknown)(value)
    message = PredictionMessages(LABELS, top_k, lead_s, unknown=unknown)(value)
    assert (message.for_s is None) == (lead_s is None)
    assert text == encode(message)
    assert decode_reply(text) == message


@pytest.mark.parametrize("pts_s", [0.0, 1e-7, 1e-4, 1e15, 1e16, 1e300, 5e-324])
def test_times_of_every_size_are_written_as_pydantic_writes_them(pts_s: float) -> None:
    value = PredictionValue(0, pts_s, 0, 0, [1.0], b"", 0, None, 0, 0, 0)
    assert JsonPredictions(("a",), None)(value) == encode(PredictionMessages(("a",), None)(value))
