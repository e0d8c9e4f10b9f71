from __future__ import annotations

import json

import pytest

from inkling.service.clips.pose_clip import parse_clip
from inkling.service.protocol.codec import decode
from inkling.service.protocol.errors import MAX_TEXT, BadPose, ServiceError, UnknownBundle


@pytest.mark.parametrize("message", [{"type": "x" * 10**6}, {"type": "end", "x" * 10**6: 1}])
def test_a_long_text_of_a_client_is_not_sent_back_nor_logged_whole(message: object) -> None:
    with pytest.raises(ServiceError) as refused:
        decode(json.dumps(message))
    assert 0 < len(str(refused.value)) <= MAX_TEXT
    with pytest.raises(ServiceError) as refused:
        parse_clip(json.dumps(message).encode(), max_bytes=10**7, max_frames=10)
    assert 0 < len(str(refused.value)) <= MAX_TEXT


def test_a_text_of_usual_length_is_whole_and_a_longer_one_says_that_it_goes_on() -> None:
    assert str(BadPose("x" * MAX_TEXT)) == "x" * MAX_TEXT
    assert str(UnknownBundle("x" * MAX_TEXT + "y")) == "x" * (MAX_TEXT - 1) + "…"
