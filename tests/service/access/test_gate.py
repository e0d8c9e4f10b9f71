from __future__ import annotations

from pathlib import Path

import pytest

from inkling.service.access.gate import COOKIE, Gate, ProxyLogin
from inkling.service.access.roles import LOCAL, Identity, Role
from inkling.service.access.throttle import FREE
from inkling.service.access.tokens import FILE, Tokens
from inkling.service.protocol.errors import TooManyTries, Unauthorized

THERE = "192.0.2.7"


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(Tokens(tmp_path / FILE), ProxyLogin("x-forwarded-user", frozenset({"10.0.0.1"}), Role.OPERATE))


def who(gate: Gate, peer: str = THERE, now_s: float = 0.0, **headers: str) -> Identity | None:
    return gate.identify({name.replace("_", "-"): value for name, value in headers.items()}, THERE, peer, now_s)


def test_without_tokens_everybody_is_this_machine() -> None:
    assert who(Gate(None)) is LOCAL


def test_the_first_token_makes_the_server_ask_and_the_last_one_does_not_open_it_again(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / FILE)
    gate = Gate(tokens)
    assert who(gate) is LOCAL
    token, text = tokens.create("first", Role.ADMIN, 0.0)
    assert who(gate) is None
    assert who(gate, authorization=f"Bearer {text}") == token.identity
    tokens.revoke(token.id)
    assert who(gate) is None


def test_a_request_without_anything_is_nobody(gate: Gate) -> None:
    assert who(gate) is None


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "Bearer   {}"])
def test_a_bearer_token_says_who(gate: Gate, form: str) -> None:
    token, text = gate.tokens.create("robot", Role.STREAM, 0.0)  # type: ignore[union-attr]
    assert who(gate, authorization=form.format(text)) == token.identity


def test_a_browsers_websocket_offers_its_token_as_a_subprotocol(gate: Gate) -> None:
    token, text = gate.tokens.create("page", Role.VIEW, 0.0)  # type: ignore[union-attr]
    assert who(gate, sec_websocket_protocol=f"inkling, inkling.token.{text}") == token.identity


def test_a_cookie_says_who_until_its_token_is_revoked(gate: Gate) -> None:
    assert gate.tokens is not None
    token, text = gate.tokens.create("person", Role.VIEW, 0.0)
    cookie = gate.sessions.begin(gate.sign_in(text, THERE, 0.0).id, 0.0)
    assert who(gate, cookie=f"other=1; {COOKIE}={cookie}") == token.identity
    gate.tokens.revoke(token.id)
    with pytest.raises(Unauthorized, match="sign in again"):
        who(gate, cookie=f"{COOKIE}={cookie}")


def test_a_wrong_token_is_refused_and_slowed_down_by_address(gate: Gate) -> None:
    assert gate.tokens is not None
    _, right = gate.tokens.create("robot", Role.STREAM, 0.0)
    for _ in range(FREE):
        with pytest.raises(Unauthorized, match="mistyped"):
            who(gate, authorization="Bearer ink_00000000_x")
    with pytest.raises(TooManyTries, match="try again in 1 s"):
        who(gate, authorization=f"Bearer {right}")
    assert who(gate, now_s=1.0, authorization=f"Bearer {right}") is not None
    assert gate.throttle.total == FREE


def test_only_the_proxy_itself_may_say_who_signed_in(gate: Gate) -> None:
    assert who(gate, peer="10.0.0.1", x_forwarded_user="anna") == Identity("proxy:anna", "anna", Role.OPERATE)
    assert who(gate, peer="10.0.0.2", x_forwarded_user="anna") is None


@pytest.mark.parametrize("cookie", ["", "=;=", f"{COOKIE}", "a b c", "\x00"])
def test_a_broken_cookie_is_nobodys(gate: Gate, cookie: str) -> None:
    assert who(gate, cookie=cookie) is None
