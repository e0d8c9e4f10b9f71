from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from inkling.service.protocol.errors import BadSource
from inkling.service.sources.definition import SourceDefinition


def test_options_that_go_with_the_address_are_taken() -> None:
    assert SourceDefinition(url="rtsp://cam/x", bundle="b", transport="udp").address().host == "cam"
    assert SourceDefinition(url="file:a.mp4", bundle="b", pace="fast", loop=True).address().rest == "a.mp4"
    assert SourceDefinition(url="https://cam/x.jpg", bundle="b", interval_s=0.5).address().host == "cam"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://cam/x", {"transport": "udp"}),
        ("file:a.mp4", {"transport": "udp"}),
        ("rtsp://cam/x", {"loop": True}),
        ("http://cam/x.mp4", {"pace": "fast"}),
        ("device:/dev/video0", {"loop": True}),
        ("rtsp://cam/x", {"interval_s": 1}),
        ("file:a.jpg", {"interval_s": 1}),
        ("nonsense", {}),
    ],
)
def test_options_that_do_not_go_with_the_address_are_refused(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadSource):
        SourceDefinition(url=url, bundle="b", **options).address()


@pytest.mark.parametrize(
    "options",
    [
        {"transport": "smoke"},
        {"top_k": 0},
        {"color": "red"},
        {"name": "x" * 101},
        {"interval_s": 0.09},
        {"interval_s": 61},
    ],
)
def test_what_does_not_fit_the_schema_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SourceDefinition(**{"url": "rtsp://cam/x", "bundle": "b"} | options)


def test_a_definition_is_printed_without_its_url() -> None:
    assert "secret" not in repr(SourceDefinition(url="rtsp://me:secret@cam/x", bundle="b"))
