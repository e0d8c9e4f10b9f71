from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.store import FILE, SourceStore, StoredSource, StoreError


def kept(id: str, url: str = "rtsp://me:secret@cam/x") -> StoredSource:
    return StoredSource(id, SourceDefinition(url=url, bundle="tiny", name="Door", top_k=2), 1.5)


def test_sources_are_there_again_in_their_order(tmp_path: Path) -> None:
    store = SourceStore(tmp_path / "deep" / "state")
    for id in ("b", "a", "c"):
        store.add(kept(id))
    store.remove("a")
    store.remove("never")
    store.end("c")
    store.close()
    again = SourceStore(tmp_path / "deep" / "state")
    assert again.all() == [kept("b"), StoredSource("c", kept("c").definition, 1.5, ended=True)]
    again.close()


def test_an_id_is_taken_once() -> None:
    store = SourceStore(None)
    store.add(kept("a"))
    with pytest.raises(ValueError, match="there already"):
        store.add(kept("a", "rtsp://other/"))
    assert store.all() == [kept("a")]
    store.close()


def test_only_the_owner_can_read_the_passwords(tmp_path: Path) -> None:
    store = SourceStore(tmp_path / "state")
    store.add(kept("a"))
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert "secret" not in repr(store.all())
    store.close()


def test_a_second_server_is_told_that_the_store_is_in_use(tmp_path: Path) -> None:
    store = SourceStore(tmp_path)
    code = (
        "import sys, pathlib\nfrom inkling.service.sources.store import SourceStore\n"
        "SourceStore(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert "in use by another server" in done.stderr
    store.close()
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)


def test_a_kill_in_the_middle_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\nfrom inkling.service.sources.store import SourceStore\n"
        "from tests.service.sources.test_store import kept\n"
        "store = SourceStore(pathlib.Path(sys.argv[1]))\nstore.add(kept('a'))\n"
        'store._connection.execute("DELETE FROM sources")\nos.kill(os.getpid(), 9)'
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    store = SourceStore(tmp_path)
    assert store.all() == [kept("a")]
    store.close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be kept"):
        SourceStore(tmp_path)


def test_a_store_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StoreError, match="version 2"):
        SourceStore(tmp_path)


def test_a_source_that_cannot_be_read_is_left_out_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SourceStore(tmp_path)
    store.add(kept("b"))
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("INSERT INTO sources (id, definition, created_unix_s) VALUES ('a', '{\"url\": 3}', 0)")
    connection.close()
    for _ in range(2):
        store = SourceStore(tmp_path)
        assert store.all() == [kept("b")]
        assert "source a in" in caplog.text
        caplog.clear()
        store.close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be kept"):
        SourceStore(tmp_path / "file" / "state")


def test_what_is_written_after_closing_is_an_error() -> None:
    store = SourceStore(None)
    store.close()
    with pytest.raises(StoreError):
        store.add(kept("a"))
