from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from inkling.models.bundle import load, run_vector
from inkling.models.bundle.schema import TOLERANCE, StateTensor
from inkling.models.errors import BundleDisagrees, BundleInvalid
from inkling.training.errors import ConfigError, ExportError
from inkling.training.evaluate.evaluation import evaluate_run
from inkling.training.evaluate.onnx_graph import OnnxGraph, verified_graph
from inkling.training.export import bundle as exported
from inkling.training.export.bundle import export
from inkling.training.export.quantise import TOLERANCE as ROUNDING
from inkling.training.export.rough_streams import rough_poses
from inkling.training.export.row_graph import rows_onnx
from inkling.training.run import Run
from tests.training.support import STICK


def test_a_run_becomes_a_bundle_that_loads_and_verifies(finished: tuple[Run, Path], tmp_path: Path) -> None:
    run, data = finished
    evaluation = evaluate_run(run, data)
    path = export(run, tmp_path, "1.2", name="sticks", evaluation=evaluation)
    assert path == tmp_path / "sticks" / "1.2"
    bundle, result = load(path), run.chosen()
    verified_graph(bundle)
    assert bundle.rows is not None
    spec = bundle.spec
    assert (spec.schema_version, spec.kind) == (2, "step")
    assert spec.labels == result.labels
    assert spec.rate_hz == run.recipe.rate_hz
    assert spec.calibration == result.calibration
    assert spec.stopping == result.stopping
    assert spec.provenance.recipe == "tiny"
    assert spec.provenance.data == (f"{STICK.about} {STICK.terms}",)
    assert "torch" in spec.provenance.libraries
    scores = evaluation.sets["sticks"].conditions["clean"].joint
    assert json.loads((path / "bundle.json").read_text())["quality"]["sticks"]["clean"]["joint"]["auc"] == scores.auc
    text = (path / "card.md").read_text()
    for part in ("# sticks 1.2", "`nod`, `raise`, `spread`", "| sticks | 12 | clean |", STICK.about, STICK.terms):
        assert part in text


def test_a_bundle_in_eight_bits_says_how_far_it_is_off_and_no_row_sees_another(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    run, _ = finished
    path = export(run, tmp_path, "1", precision="int8")
    bundle = load(path)
    verified_graph(bundle)
    assert {node.op_type for node in onnx.load_from_string(bundle.step).graph.node} >= {"MatMulNBits"}
    off = bundle.spec.quality["int8"]["largest_logit_difference"]
    assert TOLERANCE < off < bundle.spec.tolerance == ROUNDING
    assert "in eight bits" in (path / "card.md").read_text()
    graph, inputs = OnnxGraph(bundle.step), rough_poses(STICK.body(), 50, 5)
    together = run_vector(bundle.spec, graph, inputs)
    for row in range(5):
        alone = run_vector(bundle.spec, graph, inputs[:, row : row + 1])
        np.testing.assert_allclose(alone[:, 0], together[:, row], atol=TOLERANCE)


def test_what_was_not_measured_is_not_claimed_and_a_version_is_written_once(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    run, _ = finished
    path = export(run, tmp_path, "1")
    text = (path / "card.md").read_text()
    assert "It was not measured on test clips." in text
    assert set(load(path).spec.quality) == {"validation"}
    with pytest.raises(BundleInvalid, match="exists already"):
        export(run, tmp_path, "1")
    assert (path / "card.md").read_text() == text


def test_nothing_is_written_of_a_run_that_is_not_done_or_measured_as_another(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    run, data = finished
    with pytest.raises(ConfigError, match="no finished fit of seed 7"):
        export(run, tmp_path, "1", seed=7)
    other = evaluate_run(run, data).model_copy(update={"labels": ("x", "y")})
    with pytest.raises(ExportError, match="other labels"):
        export(run, tmp_path, "1", evaluation=other)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_when_the_rows_are_not_the_step(
    finished: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = finished

    def nudged(step: bytes, logits: str, state: Sequence[StateTensor]) -> bytes:
        model = onnx.load_model_from_string(rows_onnx(step, logits, state))
        for weight in model.graph.initializer:
            if len(weight.dims) == 2:
                weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(exported, "rows_onnx", nudged)
    with pytest.raises(BundleDisagrees, match=r"rows\.onnx is off step\.onnx"):
        export(run, tmp_path, "1")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_model_that_had_to_know_the_end_of_a_clip_becomes_no_bundle(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    run, _ = finished
    progress = replace(run, recipe=run.recipe.model_copy(update={"clock": "progress"}))
    with pytest.raises(ExportError, match="stepped at a rate"):
        export(progress, tmp_path, "1")
    assert not list(tmp_path.iterdir())
