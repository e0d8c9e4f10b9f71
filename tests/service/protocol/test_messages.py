from __future__ import annotations

import pytest
from pydantic import ValidationError

from inkling.service.protocol.messages import Start


def test_messages_do_not_change_and_know_their_fields() -> None:
    start = Start(bundle="tiny")
    with pytest.raises(ValidationError, match="frozen"):
        start.bundle = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Start(bundle="tiny", colour="red")  # type: ignore[call-arg]
