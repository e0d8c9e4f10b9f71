from __future__ import annotations

import pytest

from inkling import client
from inkling.client import BadArgument, ClientError, ConnectionLost, RemoteError, Unreachable
from inkling.service.client import errors


@pytest.mark.parametrize("kind", [one for one in vars(errors).values() if isinstance(one, type)])
def test_every_error_of_the_client_is_one_class_and_public(kind: type) -> None:
    if kind.__module__ == errors.__name__:
        assert issubclass(kind, ClientError)
        assert kind.__name__ in client.__all__


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (ClientError("x"), False),
        (BadArgument("x"), False),
        (Unreachable("x"), True),
        (Unreachable("x", retryable=False), False),
        (ConnectionLost("x", 1006), True),
        (RemoteError("over_capacity", "x", True), True),
        (RemoteError("bad_pose", "x", False), False),
    ],
)
def test_each_says_whether_the_same_may_work_later(error: ClientError, retryable: bool) -> None:
    assert error.retryable is retryable


def test_an_error_of_the_server_says_whether_the_stream_survives_it() -> None:
    assert not RemoteError("no_slot", "full", True, seq=3).fatal
    assert RemoteError("draining", "bye", True).fatal
    assert RemoteError("a_newer_code", "who knows", False).fatal


def test_a_bad_argument_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="shape"):
        raise BadArgument("shape")
