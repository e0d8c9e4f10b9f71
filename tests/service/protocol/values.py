"""Results for the tests of every format: any that the service may give."""

from __future__ import annotations

from hypothesis import strategies as st

from inkling.service.protocol.messages import RESETS
from inkling.service.protocol.prediction_value import PredictionValue

LABELS = ("wave", 'quote "', "ünïcode", "line\nbreak", "idle")
COUNT = st.integers(0, 2**32 - 1)
TIMES = st.one_of(st.floats(0, 1e6), st.floats(0, allow_infinity=False, allow_nan=False))


@st.composite
def values(draw: st.DrawFn) -> PredictionValue:
    """Of `LABELS`."""
    weights = draw(st.lists(st.floats(0.001, 1), min_size=len(LABELS), max_size=len(LABELS)))
    probabilities = [round(weight / sum(weights), 6) for weight in weights]
    best = max(range(len(LABELS)), key=probabilities.__getitem__)
    return PredictionValue(
        draw(st.integers(0, 2**53 - 1)), draw(TIMES), draw(st.integers(-1, 2**32 - 2)), best, probabilities, b"",
        draw(COUNT), draw(st.sampled_from([None, *RESETS])), draw(COUNT), draw(COUNT), draw(st.integers(0, 1000)),
        draw(st.one_of(st.none(), st.integers(0, 1000).map(lambda thousandths: thousandths / 1000))),
    )  # fmt: skip
