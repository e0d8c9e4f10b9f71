from __future__ import annotations

import pytest
from pydantic import ValidationError

from inkling.service.protocol.messages import Prediction, Start

FIELDS = {
    "seq": 3, "pts_s": 0.2, "track": 1, "label": "b", "probabilities": [0.25, 0.75], "classes": None, "epoch": 2,
    "reset": "gap", "skipped": 4, "dropped": 5, "backlog": 6,
}  # fmt: skip


def test_an_unchecked_prediction_is_the_checked_one() -> None:
    checked, unchecked = Prediction(**FIELDS), Prediction.unchecked(**FIELDS)  # type: ignore[arg-type]
    assert unchecked == checked
    assert unchecked.model_dump_json() == checked.model_dump_json()
    assert unchecked.__dict__.keys() == checked.__dict__.keys()
    assert unchecked.model_copy(update={"seq": 9}).seq == 9


def test_messages_do_not_change_and_know_their_fields() -> None:
    start = Start(bundle="tiny")
    with pytest.raises(ValidationError, match="frozen"):
        start.bundle = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Start(bundle="tiny", colour="red")  # type: ignore[call-arg]
