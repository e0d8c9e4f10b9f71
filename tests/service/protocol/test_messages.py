from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter, ValidationError

from inkling.service.protocol.messages import Incoming, Start


def test_messages_do_not_change_and_know_their_fields() -> None:
    start = Start(bundle="tiny")
    with pytest.raises(ValidationError, match="frozen"):
        start.bundle = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Start(bundle="tiny", colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "start", "bundle": "tiny", "width": 10**400},
        {"type": "start", "bundle": "tiny", "height": 10**400},
        {"type": "start", "bundle": "tiny", "top_k": 10**400},
        {"type": "pose", "seq": 10**400, "people": []},
        {"type": "reset", "track": 10**400},
        {"type": "flush", "id": 10**400},
        {"type": "flush", "id": -(10**400)},
    ],
    ids=lambda message: f"{message['type']} {list(message)[-1]}",
)
def test_no_number_is_longer_than_arrays_and_clients_can_hold(message: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Incoming).validate_python(message)


def test_every_whole_number_that_a_client_sends_has_bounds() -> None:
    def unbounded(schema: object, path: str) -> Iterator[str]:
        if isinstance(schema, dict):
            if schema.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & set(schema):
                yield path
            for key, part in schema.items():
                yield from unbounded(part, f"{path}.{key}")
        elif isinstance(schema, list):
            for part in schema:
                yield from unbounded(part, path)

    assert not list(unbounded(TypeAdapter(Incoming).json_schema(), ""))
