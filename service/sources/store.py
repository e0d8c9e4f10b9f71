"""The sources that outlive the server: one SQLite file.

It holds credentials, so it is readable by its owner only. One server uses it at a time; a second one is refused.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from inkling.models.errors import InklingError
from inkling.service.sources.definition import SourceDefinition

log = logging.getLogger(__name__)

FILE = "sources.sqlite3"
VERSION = 1
_SCHEMA = """
CREATE TABLE sources (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    created_unix_s REAL NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0
) STRICT
"""


class StoreError(InklingError):
    """The store of sources cannot be used; says why and what to do."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as it is kept. ended: played to its end, and not to be played again."""

    id: str
    definition: SourceDefinition
    created_unix_s: float
    ended: bool = False


class SourceStore:
    """Sources by id, in the order in which they were added. From any thread; every call is one short transaction."""

    def __init__(self, directory: Path | None) -> None:
        """directory: made when it is missing; None: in memory, for as long as this object. Raises StoreError."""
        self.path = None if directory is None else directory / FILE
        self._lock = threading.Lock()
        try:
            if self.path is not None:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would let others read it
            self._connection = sqlite3.connect(self.path or ":memory:", timeout=1.0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(error) from error
        except StoreError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        with connection:
            connection.execute("BEGIN EXCLUSIVE")  # from here on no other process has it
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found == 0:
                connection.execute(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
            elif found != VERSION:
                raise StoreError(f"{self.path} is of version {found}, this release reads {VERSION}: use the newer one")

    def all(self) -> list[StoredSource]:
        """Every source, but those that this release cannot read: they stay where they are. Raises StoreError."""
        try:
            with self._lock:
                rows = self._connection.execute("SELECT * FROM sources ORDER BY number").fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        found = []
        for _, source, text, created_s, ended in rows:
            try:
                found.append(StoredSource(source, SourceDefinition.model_validate_json(text), created_s, bool(ended)))
            except ValidationError:  # its text would show the URL
                log.error("source %s in %s cannot be read: it is left out", source, self.path)
        return found

    def add(self, kept: StoredSource) -> None:
        """Keep a source. Raises ValueError when the id is taken, StoreError when it cannot be written."""
        row = (kept.id, kept.definition.model_dump_json(), kept.created_unix_s, kept.ended)
        try:
            self._execute("INSERT INTO sources (id, definition, created_unix_s, ended) VALUES (?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise ValueError(f"source {kept.id} is there already") from None

    def end(self, source: str) -> None:
        """It was played to its end."""
        self._execute("UPDATE sources SET ended = 1 WHERE id = ?", (source,))

    def remove(self, source: str) -> None:
        """Forget a source; nothing happens when it is not there."""
        self._execute("DELETE FROM sources WHERE id = ?", (source,))

    def close(self) -> None:
        """Let another server have it."""
        with self._lock:
            self._connection.close()

    def _execute(self, statement: str, values: tuple[object, ...]) -> None:
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute(statement, values)
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        if "locked" in str(error):
            return StoreError(f"{self.path} is in use by another server; give this one another state_dir")
        return StoreError(f"the sources cannot be kept in {self.path}: {error}")
