from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, load_model_from_string

from inkling.models.bundle import TestVector, load
from inkling.models.bundle.schema import ROWS_FILE, SPEC_FILE, STEP_FILE, VECTOR_FILE
from inkling.models.errors import BundleCorrupt, BundleError, BundleInvalid, BundleNotFound, BundleUnsupported
from tests.support import TinyReference, edit_spec, make_bundle, make_older_bundle, poses, replace_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def refusal(kind: type[BundleError], path: Path) -> str:
    """The reason for which loading fails, which must be of exactly this kind and name the bundle."""
    with pytest.raises(BundleError) as caught:
        load(path)
    assert type(caught.value) is kind
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    return caught.value.reason


def test_a_bundle_loads_with_its_graph_and_its_vector(path: Path) -> None:
    bundle = load(path)
    assert (bundle.spec.name, bundle.spec.version, bundle.path) == ("tiny", "1", path)
    assert bundle.step == (path / STEP_FILE).read_bytes()
    assert bundle.rows == (path / ROWS_FILE).read_bytes()
    assert np.array_equal(bundle.vector.logits, TinyReference().run(bundle.vector.inputs))


def test_a_relative_path_loads_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path)
    assert load(".").path == path
    monkeypatch.chdir(path.parent)
    assert load("1").path == path


def test_files_that_are_not_listed_do_not_matter(path: Path) -> None:
    (path / "notes.txt").write_text("mine")
    load(path)


def test_a_directory_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert "no bundle.json" in refusal(BundleNotFound, tmp_path / "tiny" / "2")


def test_a_file_in_the_place_of_the_directory_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("")
    assert "no bundle.json" in refusal(BundleNotFound, tmp_path / "tiny")


@pytest.mark.parametrize("name", ["step.onnx", "rows.onnx", "vector.npz", "card.md"])
def test_a_flipped_byte_in_any_file_is_found(path: Path, name: str) -> None:
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)
    assert refusal(BundleCorrupt, path) == f"{name} is not the file that bundle.json lists: its sha256 differs"


@pytest.mark.parametrize("name", ["step.onnx", "rows.onnx", "vector.npz", "card.md"])
def test_a_missing_file_is_named(path: Path, name: str) -> None:
    (path / name).unlink()
    assert refusal(BundleCorrupt, path) == f"{name} is missing"


def test_a_directory_in_the_place_of_a_file_cannot_be_read(path: Path) -> None:
    (path / STEP_FILE).unlink()
    (path / STEP_FILE).mkdir()
    assert refusal(BundleCorrupt, path) == "step.onnx cannot be read: Is a directory"


def test_further_listed_files_are_checked_like_the_first(path: Path) -> None:
    replace_file(path, "extra.bin", b"more")
    load(path)
    (path / "extra.bin").write_bytes(b"less")
    assert "extra.bin" in refusal(BundleCorrupt, path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "bundle.json is not JSON: "),
        (b"\xff\xfe{}", "bundle.json is not JSON: "),
        (b'{"quality": NaN}', "bundle.json is not JSON: NaN is not a JSON number"),
        (b"[" * 100_000, "bundle.json is not JSON: "),
        (b"[]", "bundle.json: Input should be"),
        (b"{}", "bundle.json: schema_version: Field required"),
    ],
)
def test_a_spec_that_is_no_json_object_of_ours_is_invalid(path: Path, text: bytes, sentence: str) -> None:
    (path / SPEC_FILE).write_bytes(text)
    assert refusal(BundleInvalid, path).startswith(sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"surprise": 1}, "bundle.json: surprise: Extra inputs are not permitted"),
        ({"labels": ["a"]}, "bundle.json: labels: "),
        ({"labels": ["a", "b", "a"]}, "bundle.json: labels must be unique"),
        ({"background": "idle"}, "bundle.json: background 'idle' is not one of the labels"),
        ({"rate_hz": 0}, "bundle.json: rate_hz: "),
        ({"task": None}, "bundle.json: task: Field required"),
        ({"files": {}}, "bundle.json: files has no sha256 of step.onnx"),
        ({"version": "1.beta"}, "bundle.json: version: "),
        ({"schema_version": "1"}, "bundle.json: schema_version: "),
    ],
)
def test_the_first_problem_of_a_spec_is_said_in_a_sentence(path: Path, changes: dict[str, Any], sentence: str) -> None:
    edit_spec(path, **changes)
    assert refusal(BundleInvalid, path).startswith(sentence)


def test_a_listed_file_cannot_lie_outside_the_bundle(path: Path) -> None:
    files = json.loads((path / SPEC_FILE).read_text())["files"]
    for name in ("../other", "/etc/passwd", "..", "a\\b"):
        edit_spec(path, files=files | {name: "0" * 64})
        assert "only plain names" in refusal(BundleInvalid, path)


def test_a_bundle_of_a_newer_release_is_refused_whatever_else_it_holds(path: Path) -> None:
    edit_spec(path, schema_version=3, labels=None, kind="novelty", novelty=True)
    assert (
        refusal(BundleUnsupported, path)
        == "schema version 3, made by a newer Inkling: upgrade; this release reads 1 to 2"
    )


def test_a_schema_version_that_never_was_is_unsupported(path: Path) -> None:
    edit_spec(path, schema_version=0)
    assert refusal(BundleUnsupported, path) == "schema version 0; this release reads 1 to 2"


def test_another_kind_of_bundle_is_unsupported_whatever_else_it_holds(path: Path) -> None:
    edit_spec(path, kind="teacher", labels=None, anchors=[1])
    assert refusal(BundleUnsupported, path) == "a bundle of kind 'teacher'; this release uses the kind step or people"


def test_a_kind_that_is_no_text_is_invalid(path: Path) -> None:
    edit_spec(path, kind=7)
    assert refusal(BundleInvalid, path).startswith("bundle.json: kind: ")


def test_a_bundle_of_schema_1_loads_as_a_step_without_rows(tmp_path: Path) -> None:
    bundle = load(make_older_bundle(tmp_path))
    assert (bundle.spec.schema_version, bundle.spec.kind, bundle.rows) == (1, "step", None)
    assert np.array_equal(bundle.vector.logits, TinyReference().run(bundle.vector.inputs))


def test_a_file_that_schema_1_did_not_know_means_nothing_there(tmp_path: Path) -> None:
    path = make_older_bundle(tmp_path)
    replace_file(path, ROWS_FILE, b"mine")
    assert load(path).rows is None


def test_a_bundle_may_lack_rows(tmp_path: Path) -> None:
    assert load(make_bundle(tmp_path, rows=False)).rows is None


def test_rows_of_another_version_are_invalid(path: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", version="2")
    replace_file(path, ROWS_FILE, (other / ROWS_FILE).read_bytes())
    assert refusal(BundleInvalid, path) == "rows.onnx carries version '2' in its metadata, not '1'"


def test_rows_that_are_no_onnx_are_invalid(path: Path) -> None:
    replace_file(path, ROWS_FILE, b"\x3a\x7fweights")
    assert refusal(BundleInvalid, path) == "rows.onnx: not an ONNX model: it ends inside a field"


@pytest.mark.parametrize("where", ["tiny/2", "other/1"])
def test_the_directories_must_be_called_as_the_spec_says(path: Path, where: str) -> None:
    moved = path.parent.parent / where
    moved.parent.mkdir(exist_ok=True)
    shutil.move(path, moved)
    assert refusal(BundleInvalid, moved) == "bundle.json says tiny/1; the directories must be called that"


@pytest.mark.parametrize("opset", [16, 24])
def test_an_opset_outside_the_range_is_unsupported(path: Path, opset: int) -> None:
    replace_file(path, STEP_FILE, TinyReference().onnx("tiny", "1", opset=opset))
    assert refusal(BundleUnsupported, path) == f"step.onnx needs opset {opset}; this release reads 17 to 23"
    edit_spec(path, opset=opset)
    assert refusal(BundleUnsupported, path) == f"opset {opset}; this release reads 17 to 23"


def test_spec_and_graph_must_agree_on_the_opset(path: Path) -> None:
    replace_file(path, STEP_FILE, TinyReference().onnx("tiny", "1", opset=19))
    assert refusal(BundleInvalid, path) == "step.onnx has opset 19, bundle.json says 20"


def test_a_graph_of_another_bundle_is_invalid(path: Path) -> None:
    replace_file(path, STEP_FILE, TinyReference().onnx("other", "1"))
    assert refusal(BundleInvalid, path) == "step.onnx carries name 'other' in its metadata, not 'tiny'"
    replace_file(path, STEP_FILE, TinyReference().onnx("tiny", "2"))
    assert refusal(BundleInvalid, path) == "step.onnx carries version '2' in its metadata, not '1'"


def test_a_graph_without_metadata_is_invalid(path: Path) -> None:
    model = load_model_from_string((path / STEP_FILE).read_bytes())
    helper.set_model_props(model, {})
    replace_file(path, STEP_FILE, model.SerializeToString())
    assert refusal(BundleInvalid, path) == "step.onnx carries name None in its metadata, not 'tiny'"


def test_a_graph_that_is_no_onnx_is_invalid(path: Path) -> None:
    replace_file(path, STEP_FILE, b"\x3a\x7fweights")
    assert refusal(BundleInvalid, path) == "step.onnx: not an ONNX model: it ends inside a field"


def test_a_vector_that_is_none_is_invalid(path: Path) -> None:
    replace_file(path, VECTOR_FILE, b"zeros")
    assert refusal(BundleInvalid, path).startswith("vector.npz: the test vector cannot be read")


def test_a_vector_of_other_joints_is_invalid(path: Path) -> None:
    inputs = poses(3, 2)[:, :, :5]
    replace_file(path, VECTOR_FILE, TestVector(inputs, np.zeros((3, 2, 3), np.float32)).to_npz())
    assert refusal(BundleInvalid, path).startswith(
        "vector.npz: the test vector's 'input' must be float32 (3, 2, 13, 3)"
    )
