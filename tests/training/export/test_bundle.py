from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from inkling.models import skeletons
from inkling.models.bundle import load, run_vector, verify_graph
from inkling.models.bundle.schema import TOLERANCE
from inkling.models.errors import BundleInvalid
from inkling.models.networks import Student, StudentConfig, pose_student
from inkling.training.errors import ConfigError, ExportError
from inkling.training.evaluate.evaluation import evaluate_run
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.bundle import PARITY_STEPS, check_parity, export, rough_poses, step_onnx
from inkling.training.export.quantise import TOLERANCE as ROUNDING
from inkling.training.run import Run
from tests.training.support import STICK


def student(cell: str = "gru", skeleton: Any = STICK, **config: Any) -> Student:
    torch.manual_seed(0)
    body = skeleton.body() if skeleton is STICK else skeleton
    shape = StudentConfig.model_validate({"cell": cell, "hidden": 10, "widths": (12,), **config})
    return pose_student(shape, body, 10, 3).eval()


@pytest.fixture(scope="module")
def gru_step() -> bytes:
    """The step graph of `student()`."""
    return step_onnx(student(), STICK.body(), "sticks", "2")


class Spoiled(OnnxGraph):
    """A graph that goes wrong at one step."""

    def __init__(self, step: bytes, at: int, wrong: Any) -> None:
        super().__init__(step)
        self.at, self.wrong, self.count = at, wrong, 0

    def run(self, feeds: Mapping[str, NDArray[Any]], /) -> dict[str, NDArray[Any]]:
        outputs = super().run(feeds)
        if self.count == self.at:
            self.wrong(outputs)
        self.count += 1
        return outputs


def test_the_graph_equals_torch_over_500_steps(gru_step: bytes) -> None:
    poses = rough_poses(STICK.body(), PARITY_STEPS, 4)
    assert PARITY_STEPS == 500
    assert check_parity(student(), OnnxGraph(gru_step), poses) < TOLERANCE


def test_an_lstm_on_a_three_dimensional_body_is_exported_too() -> None:
    body = skeletons.get("kinect20")
    network = student("lstm", body)
    graph = OnnxGraph(step_onnx(network, body, "kinect", "1"))
    assert check_parity(network, graph, rough_poses(body, 200, 3)) < TOLERANCE


def test_prototypes_are_exported_too() -> None:
    network = student(prototypes=True)
    graph = OnnxGraph(step_onnx(network, STICK.body(), "sticks", "1"))
    assert check_parity(network, graph, rough_poses(STICK.body(), 200, 3)) < TOLERANCE


def nudge_logits(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["logits"] = outputs["logits"] + np.float32(2 * TOLERANCE)


def nudge_state(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["next_hidden"] = outputs["next_hidden"] + np.float32(0.1)


def no_number(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["logits"] = outputs["logits"] * np.float32("nan")


def swap_rows(outputs: dict[str, NDArray[Any]]) -> None:
    outputs["next_hidden"] = outputs["next_hidden"][::-1].copy()


@pytest.mark.parametrize("wrong", [nudge_logits, nudge_state, no_number, swap_rows])
def test_a_graph_that_differs_anywhere_is_refused(gru_step: bytes, wrong: Any) -> None:
    with pytest.raises(ExportError, match=r"step 40[01]: the ONNX graph is off"):
        check_parity(student(), Spoiled(gru_step, 400, wrong), rough_poses(STICK.body(), PARITY_STEPS, 4))


def test_rough_poses_visit_what_streams_do() -> None:
    poses = rough_poses(STICK.body(), 500, 4)
    present = poses[..., -1] > 0
    assert poses.shape == (500, 4, 4, 3)
    assert np.isfinite(poses).all()
    assert (poses[~present] == 0).all()
    assert (~present).all((1, 2)).any(), "a stretch without anybody"
    assert not present[0, -1].any(), "a row that begins with nothing"
    assert 0.8 < present[:160, 0].mean() < 0.97
    assert np.abs(poses).max() > 300


def test_the_file_carries_nothing_of_this_machine(gru_step: bytes) -> None:
    assert b".py" not in gru_step
    assert str(Path.home()).encode() not in gru_step
    model = onnx.load_from_string(gru_step)
    assert {prop.key: prop.value for prop in model.metadata_props} == {"name": "sticks", "version": "2"}
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input} == {"batch"}


def test_a_run_becomes_a_bundle_that_loads_and_verifies(finished: tuple[Run, Path], tmp_path: Path) -> None:
    run, data = finished
    evaluation = evaluate_run(run, data)
    path = export(run, tmp_path, "1.2", name="sticks", evaluation=evaluation)
    assert path == tmp_path / "sticks" / "1.2"
    bundle, result = load(path), run.chosen()
    verify_graph(bundle, OnnxGraph(bundle.step))
    spec = bundle.spec
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


def test_a_model_that_had_to_know_the_end_of_a_clip_becomes_no_bundle(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    run, _ = finished
    progress = replace(run, recipe=run.recipe.model_copy(update={"clock": "progress"}))
    with pytest.raises(ExportError, match="stepped at a rate"):
        export(progress, tmp_path, "1")
    assert not list(tmp_path.iterdir())
