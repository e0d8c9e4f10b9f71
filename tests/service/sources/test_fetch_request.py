"""What crosses to the process that fetches is complete, checked, and shows no address by accident."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from inkling.service.sources.fetch_request import FetchRequest, Spool
from inkling.service.sources.policy import SourcePolicy

JOB = FetchRequest(
    url="rtsp://me:secret@camera/live", height=24, width=32, fit="stretch", transport="udp", loop=True, read_s=2.5,
    open_s=5.0, max_pixels=4096 * 4096, memory_bytes=2**26,
    policy=SourcePolicy(hosts=("camera",), directories=(Path("/films"),)),
    interval_s=0.5, spool=Spool(2**20, Path("/scratch")),
)  # fmt: skip


def test_what_is_sent_is_what_arrives() -> None:
    assert FetchRequest.model_validate_json(JOB.model_dump_json()) == JOB


def test_the_address_with_its_password_is_in_no_repr() -> None:
    assert "secret" not in repr(JOB)
    assert "secret" not in str(JOB)


@pytest.mark.parametrize("change", [{"hight": 24}, {"transport": "smtp"}, {"height": None}])
def test_what_is_misspelt_or_impossible_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FetchRequest.model_validate(JOB.model_dump() | change)
