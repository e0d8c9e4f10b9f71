from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.quota import Quota
from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, TokenError, Tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "state" / FILE)


def test_a_token_is_found_by_its_text_until_it_is_revoked(tokens: Tokens) -> None:
    made, text = tokens.create("kitchen", Role.VIEW, 100.0)
    assert tokens.find(text, 1e9) == made
    assert made.identity.name == "kitchen"
    tokens.revoke(made.id)
    assert tokens.find(text, 100.0) is None
    assert tokens.get(made.id, 100.0) is None


def test_a_token_ends_when_its_lifetime_is_over(tokens: Tokens) -> None:
    made, text = tokens.create("visitor", Role.VIEW, 100.0, lifetime_s=10.0)
    assert tokens.find(text, 109.9) == made
    assert tokens.find(text, 110.0) is None
    assert tokens.get(made.id, 110.0) is None


def test_a_token_of_another_is_not_found_by_its_id(tokens: Tokens) -> None:
    first, one = tokens.create("one", Role.VIEW, 0.0)
    _, two = tokens.create("two", Role.ADMIN, 0.0)
    mixed = f"ink_{first.id}_{two.rpartition('ink_')[2][9:]}"
    assert len(mixed) == len(one)
    assert tokens.find(mixed, 0.0) is None


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(tokens: Tokens) -> None:
    _, text = tokens.create("one", Role.ADMIN, 0.0)
    secret = text[13:].encode()
    kept = b"".join(path.read_bytes() for path in tokens.path.parent.iterdir())
    assert len(secret) == 43
    assert secret not in kept
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


def test_what_another_process_changes_holds_at_once(tokens: Tokens) -> None:
    made, text = tokens.create("one", Role.ADMIN, 0.0)
    command_line = Tokens(tokens.path)
    assert [token.name for token in command_line.all()] == ["one"]
    command_line.revoke(made.id)
    assert tokens.find(text, 0.0) is None


def test_a_token_keeps_the_quota_it_was_granted(tokens: Tokens) -> None:
    granted = Quota(streams=3, people=20)
    made, text = tokens.create("gateway", Role.STREAM, 0.0, quota=granted)
    found = tokens.find(text, 0.0)
    assert found == made
    assert found.identity.quota == granted
    with pytest.raises(TokenError, match="from 1"):
        tokens.create("nothing", Role.STREAM, 0.0, quota=Quota(people=0))


def test_a_file_from_before_there_were_such_quotas_is_read(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as old:
        old.execute(
            "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL, "
            "created_s REAL NOT NULL, expires_s REAL)"
        )
        old.execute("INSERT INTO tokens VALUES ('0a', 'kitchen', 'view', 'x', 1.0, NULL)")
    for _ in range(2):
        tokens = Tokens(tmp_path / FILE)
        assert [(token.name, token.quota) for token in tokens.all()] == [("kitchen", Quota())]
        tokens.close()
    tokens = Tokens(tmp_path / FILE)
    made, text = tokens.create("new", Role.VIEW, 2.0, quota=Quota(bytes_per_s=9))
    assert tokens.find(text, 2.0) == made
    tokens.close()


def test_an_unknown_id_cannot_be_revoked(tokens: Tokens) -> None:
    with pytest.raises(TokenError, match="no token of id 'abc'"):
        tokens.revoke("abc")


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines"])
def test_a_name_is_short_and_printable(tokens: Tokens, name: str) -> None:
    with pytest.raises(TokenError, match="printable"):
        tokens.create(name, Role.VIEW, 0.0)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(TokenError, match="cannot be kept"):
        Tokens(tmp_path / FILE)


def test_a_database_that_breaks_is_one_sentence(tokens: Tokens) -> None:
    with sqlite3.connect(tokens.path) as other:
        other.execute("DROP TABLE tokens")
    with pytest.raises(TokenError, match="cannot be read"):
        tokens.find("ink_00000000_" + "a" * 43, 0.0)


@given(st.text(max_size=80))
def test_any_text_is_no_token(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tokens = Tokens(tmp_path_factory.getbasetemp() / "any" / FILE)
    assert tokens.find(text, 0.0) is None
    tokens.close()
