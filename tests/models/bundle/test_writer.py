from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models.bundle import Bundle, Registry, TestVector, load, write
from inkling.models.bundle.loader import read_spec
from inkling.models.bundle.schema import SPEC_FILE
from inkling.models.errors import BundleDisagrees, BundleError, BundleInvalid, BundleUnsupported
from inkling.training.export.row_graph import rows_onnx
from tests.support import TinyReference, make_bundle, poses

TINY = TinyReference()
INPUTS = poses(3, 2)
VECTOR = TestVector(INPUTS, TINY.run(INPUTS))


@pytest.fixture
def fields(tmp_path: Path) -> dict[str, Any]:
    """The fields of a good bundle, as a trainer would give them."""
    spec = read_spec(make_bundle(tmp_path / "model-for-fields"))
    return {name: value for name, value in spec if name not in ("schema_version", "opset", "files")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def everything(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


def test_what_is_written_is_what_is_loaded(fields: dict[str, Any], root: Path) -> None:
    path = write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "# Größe\n")
    assert path == root / "tiny" / "1"
    bundle = load(path)
    assert {name: value for name, value in bundle.spec if name in fields} == fields
    assert (bundle.spec.schema_version, bundle.spec.opset) == (2, 20)
    assert sorted(bundle.spec.files) == ["card.md", "step.onnx", "vector.npz"]
    assert np.array_equal(bundle.vector.inputs, INPUTS)
    assert (path / "card.md").read_text(encoding="utf-8") == "# Größe\n"
    assert sorted(file.name for file in path.parent.iterdir()) == ["1"]


def test_rows_are_listed_and_loaded_where_they_are_given(fields: dict[str, Any], root: Path) -> None:
    step = TINY.onnx("tiny", "1")
    rows = rows_onnx(step, "logits", TINY.state_tensors)
    path = write(root, fields, step, VECTOR, "", rows)
    assert sorted(load(path).spec.files) == ["card.md", "rows.onnx", "step.onnx", "vector.npz"]
    assert load(path).rows == rows


def test_what_does_not_verify_is_not_written(fields: dict[str, Any], root: Path) -> None:
    def refuse(bundle: Bundle) -> None:
        assert bundle.step == TINY.onnx("tiny", "1")
        raise BundleDisagrees(bundle.path, "other numbers")

    with pytest.raises(BundleDisagrees, match="other numbers") as caught:
        write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "", verify=refuse)
    assert caught.value.path == root / "tiny" / "1"
    assert everything(root) == []


def test_the_spec_is_plain_readable_json(fields: dict[str, Any], root: Path) -> None:
    path = write(root, fields | {"quality": {"set": {"auc": 0.5}}}, TINY.onnx("tiny", "1"), VECTOR, "")
    parsed = json.loads((path / SPEC_FILE).read_text())
    assert parsed["quality"] == {"set": {"auc": 0.5}}
    assert parsed["labels"] == ["a", "b", "c"]


def test_others_may_read_a_bundle(fields: dict[str, Any], root: Path) -> None:
    path = write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "")
    assert path.stat().st_mode & 0o055 == 0o055


def test_a_version_is_never_written_over(fields: dict[str, Any], root: Path) -> None:
    path = write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "first")
    with pytest.raises(BundleInvalid, match="exists already; a published version never changes"):
        write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "second")
    assert (path / "card.md").read_text() == "first"


def test_of_several_writers_of_one_version_one_wins_whole(fields: dict[str, Any], root: Path) -> None:
    def attempt(card: str) -> str | None:
        try:
            write(root, fields, TINY.onnx("tiny", "1"), VECTOR, card)
        except BundleInvalid:
            return None
        return card

    with ThreadPoolExecutor(8) as threads:
        winners = [card for card in threads.map(attempt, [str(i) for i in range(8)]) if card]
    assert len(winners) == 1
    assert (load(root / "tiny" / "1").path / "card.md").read_text() == winners[0]
    assert sorted(path.name for path in (root / "tiny").iterdir()) == ["1"]


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        ({"name": "Tiny"}, BundleInvalid, "bundle.json: name: "),
        ({"labels": ("a", "a")}, BundleInvalid, "labels must be unique"),
        ({"surprise": 1}, BundleInvalid, "surprise: Extra inputs"),
        ({"name": "other"}, BundleInvalid, "carries name 'tiny' in its metadata, not 'other'"),
        ({"version": "2"}, BundleInvalid, "carries version '1' in its metadata, not '2'"),
        ({"labels": ("a", "b")}, BundleInvalid, "vector.npz: the test vector's 'logits' must be"),
        ({"opset": 18}, BundleInvalid, "step.onnx has opset 20, bundle.json says 18"),
        ({"opset": 3}, BundleUnsupported, "opset 3; this release reads"),
        ({"quality": {"auc": math.nan}}, BundleInvalid, "bundle.json would not be JSON"),
        ({"quality": {"auc": np.float32(0.5)}}, BundleInvalid, "bundle.json would not be JSON"),
    ],
)
def test_what_would_not_load_is_not_written(
    fields: dict[str, Any], root: Path, change: dict[str, Any], kind: type[BundleError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        write(root, fields | change, TINY.onnx("tiny", "1"), VECTOR, "")
    assert everything(root) == []


def test_a_graph_that_is_no_onnx_is_not_written(fields: dict[str, Any], root: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"step\.onnx: not an ONNX model"):
        write(root, fields, b"weights", VECTOR, "")
    assert everything(root) == []


@pytest.mark.parametrize("survives", range(7))
def test_a_disk_that_fails_at_any_moment_leaves_all_or_nothing(
    fields: dict[str, Any], root: Path, survives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real fsync, called for four files and two directories, fails after `survives` calls."""
    calls = 0
    fsync: Callable[[int], None] = os.fsync

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > survives:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    if survives == 6:
        write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "")
        assert calls == 6
    else:
        with pytest.raises(OSError, match="No space left"):
            write(root, fields, TINY.onnx("tiny", "1"), VECTOR, "")
    found = Registry([root]).scan()
    assert len(found) == (survives >= 5)  # five calls are before the rename
    for entry in found:
        load(entry.path)
    assert not [path for path in root.rglob(".*") if path.is_dir()]


def test_only_a_bundle_that_looks_ahead_says_how_far(tmp_path: Path) -> None:
    ahead = make_bundle(tmp_path, "next", task="anticipation", lead_s=0.5)
    assert json.loads((ahead / SPEC_FILE).read_text())["lead_s"] == 0.5
    assert load(ahead).spec.lead_s == 0.5
    assert "lead_s" not in json.loads((make_bundle(tmp_path) / SPEC_FILE).read_text())
