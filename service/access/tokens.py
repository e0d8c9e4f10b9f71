"""The tokens of a server: one SQLite file, which holds hashes only.

A token looks like `ink_3f9c21ab_Zk…`: its id, by which it is found and revoked, and 256 random bits. The bits cannot be
guessed, so one round of SHA-256 is enough to keep what the file's reader sees from being used.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

from inkling.models.errors import InklingError
from inkling.service.access.quota import USUAL, Quota
from inkling.service.access.roles import Identity, Role

FILE = "access.sqlite"
"""Below the setting `state_dir`."""

_Row = tuple[str, str, str, str, float, float | None, int | None, int | None, int | None, int | None]
"""As the file has them: columns that came later are its last ones."""
_FORM = re.compile(r"ink_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL,
    created_s REAL NOT NULL, expires_s REAL, streams INTEGER, people INTEGER, sources INTEGER, bytes_per_s INTEGER
)
"""
_QUOTA = ("streams", "people", "sources", "bytes_per_s")


class TokenError(InklingError):
    """Tokens cannot be read, made or revoked; the text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. Times are seconds since 1970; expires_s None: never. quota: in place of the usual."""

    id: str
    name: str
    role: Role
    created_s: float
    expires_s: float | None
    quota: Quota = USUAL

    @property
    def identity(self) -> Identity:
        """Who comes with this token."""
        return Identity(self.id, self.name, self.role, self.quota)


class Tokens:
    """The file's tokens. Every look reads the file, so a revoked token is refused from the next request on."""

    def __init__(self, path: Path) -> None:
        """Raises TokenError when the file cannot be made or opened."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._database.execute("PRAGMA journal_mode=WAL").close()
            self._database.execute(_SCHEMA).close()
            self._add_columns()
        except (OSError, sqlite3.Error) as error:
            raise TokenError(f"tokens cannot be kept in {path}: {error}") from error

    def create(
        self, name: str, role: Role, now_s: float, lifetime_s: float | None = None, quota: Quota = USUAL
    ) -> tuple[Token, str]:
        """A new token and its text, which nobody can show again. Raises TokenError."""
        if not name or len(name) > 100 or not name.isprintable():
            raise TokenError("a token's name has 1 to 100 printable characters")
        if lifetime_s is not None and not 0 < lifetime_s < 1e10:
            raise TokenError("a token lives for more than 0 seconds, or without an end")
        if any(value is not None and not 0 < value < 2**63 for value in astuple(quota)):
            raise TokenError("a quota is a number from 1; leave it out for the usual one")
        expires_s = None if lifetime_s is None else now_s + lifetime_s
        token = Token(secrets.token_hex(4), name, role, now_s, expires_s, quota)
        secret = secrets.token_urlsafe(32)
        row = (token.id, name, role.value, _hash(secret), now_s, expires_s, *astuple(quota))
        self._change("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return token, f"ink_{token.id}_{secret}"

    def revoke(self, token_id: str) -> None:
        """Forget a token. Raises TokenError when there is none of that id."""
        if not self._change("DELETE FROM tokens WHERE id = ?", (token_id,)):
            raise TokenError(f"there is no token of id {token_id!r}; `inkling tokens list` shows them")

    def all(self) -> list[Token]:
        """Every token, the oldest first. Raises TokenError."""
        return [_token(row) for row in self._read("SELECT * FROM tokens ORDER BY created_s, id", ())]

    def any(self) -> bool:
        """Whether there is a token at all. Raises TokenError."""
        return bool(self._read("SELECT * FROM tokens LIMIT 1", ()))

    def find(self, text: str, now_s: float) -> Token | None:
        """The valid token of that text. Raises TokenError when the file cannot be read."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        rows = self._read("SELECT * FROM tokens WHERE id = ?", (form[1],))
        stored = rows[0][3] if rows else _hash("")
        if not hmac.compare_digest(stored, _hash(form[2])) or not rows:
            return None
        return _still_valid(rows, now_s)

    def get(self, token_id: str, now_s: float) -> Token | None:
        """The valid token of that id, for a browser that signed in with it. Raises TokenError."""
        return _still_valid(self._read("SELECT * FROM tokens WHERE id = ?", (token_id,)), now_s)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _add_columns(self) -> None:
        """To a file of a server that knew no quotas of single tokens."""
        there = {row[1] for row in self._database.execute("PRAGMA table_info(tokens)")}
        for name in _QUOTA:
            if name not in there:
                self._database.execute(f"ALTER TABLE tokens ADD COLUMN {name} INTEGER").close()

    def _read(self, query: str, values: tuple[object, ...]) -> list[_Row]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise TokenError(f"tokens cannot be read from {self.path}: {error}") from error

    def _change(self, statement: str, values: tuple[object, ...]) -> int:
        try:
            return self._database.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise TokenError(f"tokens cannot be kept in {self.path}: {error}") from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: _Row) -> Token:
    token_id, name, role, _, created_s, expires_s, *quota = row
    return Token(token_id, name, Role(role), created_s, expires_s, Quota(*quota))


def _still_valid(rows: list[_Row], now_s: float) -> Token | None:
    token = _token(rows[0]) if rows else None
    if token is None or (token.expires_s is not None and now_s >= token.expires_s):
        return None
    return token
