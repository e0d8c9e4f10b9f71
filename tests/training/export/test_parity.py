from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from inkling.models import skeletons
from inkling.models.arrays import Array
from inkling.models.bundle.schema import TOLERANCE, PoseInput
from inkling.training.errors import ExportError
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.bundle import PARITY_STEPS
from inkling.training.export.parity import check_parity
from inkling.training.export.rough_streams import rough_poses
from inkling.training.export.step_graph import step_onnx
from tests.training.export.networks import BODY, TAKES, student


@pytest.fixture(scope="module")
def gru_step() -> bytes:
    """The step graph of `student()`."""
    return step_onnx(student(), [TAKES], "sticks", "2")


class Spoiled(OnnxGraph):
    """A graph that goes wrong at one step."""

    def __init__(self, step: bytes, at: int, wrong: Any) -> None:
        super().__init__(step)
        self.at, self.wrong, self.count = at, wrong, 0

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        outputs = super().run(feeds)
        if self.count == self.at:
            self.wrong(outputs)
        self.count += 1
        return outputs


def test_the_graph_equals_torch_over_500_steps(gru_step: bytes) -> None:
    poses = rough_poses(BODY, PARITY_STEPS, 4)
    assert PARITY_STEPS == 500
    assert check_parity(student(), OnnxGraph(gru_step), poses) < TOLERANCE


def test_an_lstm_on_a_three_dimensional_body_is_exported_too() -> None:
    body = skeletons.get("kinect20")
    network = student("lstm", body)
    graph = OnnxGraph(step_onnx(network, [PoseInput(kind="pose", skeleton=body)], "kinect", "1"))
    assert check_parity(network, graph, rough_poses(body, 200, 3)) < TOLERANCE


def test_prototypes_are_exported_too() -> None:
    network = student(prototypes=True)
    graph = OnnxGraph(step_onnx(network, [TAKES], "sticks", "1"))
    assert check_parity(network, graph, rough_poses(BODY, 200, 3)) < TOLERANCE


def nudge_logits(outputs: dict[str, Array]) -> None:
    outputs["logits"] = outputs["logits"] + np.float32(2 * TOLERANCE)


def nudge_state(outputs: dict[str, Array]) -> None:
    outputs["next_hidden"] = outputs["next_hidden"] + np.float32(0.1)


def no_number(outputs: dict[str, Array]) -> None:
    outputs["logits"] = outputs["logits"] * np.float32("nan")


def swap_rows(outputs: dict[str, Array]) -> None:
    outputs["next_hidden"] = outputs["next_hidden"][::-1].copy()


@pytest.mark.parametrize("wrong", [nudge_logits, nudge_state, no_number, swap_rows])
def test_a_graph_that_differs_anywhere_is_refused(gru_step: bytes, wrong: Any) -> None:
    with pytest.raises(ExportError, match=r"step 40[01]: the ONNX graph is off"):
        check_parity(student(), Spoiled(gru_step, 400, wrong), rough_poses(BODY, PARITY_STEPS, 4))
