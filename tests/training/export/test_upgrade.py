from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load, run_vector
from inkling.models.errors import BundleInvalid
from inkling.training import cli
from inkling.training.errors import ExportError
from inkling.training.evaluate.onnx_graph import OnnxGraph, verified_graph
from inkling.training.export.upgrade import upgrade
from tests.support import make_bundle, make_older_bundle, poses, replace_file

CARD = "# tiny 1\n\nMeasured by `inkling train evaluate tiny/1 --data DIR`, not tiny/1.2 and not tiny/10.\n"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = make_older_bundle(tmp_path)
    replace_file(path, "card.md", CARD.encode())
    return path


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_an_older_bundle_becomes_a_new_version_of_the_same_model(older: Path, tmp_path: Path) -> None:
    before = digests(older)
    path = upgrade(older, tmp_path, "1.1")
    assert path == tmp_path / "tiny" / "1.1"
    assert digests(older) == before
    old, new = load(older), load(path)
    verified_graph(new)
    assert new.rows is not None
    assert new.spec.schema_version == 2
    ignored = {"schema_version", "version", "files"}
    assert new.spec.model_dump(exclude=ignored) == old.spec.model_dump(exclude=ignored)
    inputs = poses(50, 3, seed=3)
    found, expected = (run_vector(b.spec, OnnxGraph(b.step), inputs) for b in (new, old))
    assert np.array_equal(found, expected)


def test_its_card_speaks_of_the_new_version_and_says_where_it_comes_from(older: Path, tmp_path: Path) -> None:
    text = (upgrade(older, tmp_path, "1.1") / "card.md").read_text(encoding="utf-8")
    assert text.startswith("# tiny 1.1\n")
    assert "`inkling train evaluate tiny/1.1 --data DIR`, not tiny/1.2 and not tiny/10." in text
    assert "The model of version 1, unchanged" in text


def test_what_is_up_to_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="tiny/1 has all that this release writes"):
        upgrade(make_bundle(tmp_path), tmp_path, "1.1")


def test_a_version_that_is_there_already_is_refused(older: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match="exists already"):
        upgrade(older, tmp_path, "1")


def test_the_command_upgrades(older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["upgrade", str(older), str(tmp_path), "--version", "1.1"]) == 0
    assert capsys.readouterr().out == f"verified bundle in {tmp_path / 'tiny' / '1.1'}\n"
    assert cli.main(["upgrade", str(tmp_path / "tiny" / "1.1"), str(tmp_path), "--version", "1.2"]) == 1
    assert "nothing to upgrade" in capsys.readouterr().err
