"""A bundle's graphs in onnxruntime, for training: parity, verification, evaluation of finished bundles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, run_vector, verify_graph, verify_rows
from inkling.models.bundle.inputs import Inputs
from inkling.models.bundle.verify import TensorInfo
from inkling.training.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor

    from inkling.training.scores import Predict

DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(uint8)": "uint8"}


class OnnxGraph:
    """A `inkling.models.bundle.StepGraph` on the CPU. Raises ExportError when onnxruntime is not installed."""

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        """threads: by default as many as there are cores."""
        try:
            import onnxruntime
        except ImportError as error:
            raise ExportError("onnxruntime is not installed; in a checkout: pip install '.[train,cpu]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = {node.name: _info(node) for node in self._session.get_inputs()}
        self.outputs = {node.name: _info(node) for node in self._session.get_outputs()}

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


def verified_graph(bundle: Bundle) -> OnnxGraph:
    """The bundle's step, ready to run, after each of its graphs was verified. Raises BundleError when one is wrong."""
    step = OnnxGraph(bundle.step)
    verify_graph(bundle, step)
    if bundle.rows is not None:
        verify_rows(bundle, OnnxGraph(bundle.rows), step)
    return step


def bundle_predictor(bundle: Bundle, graph: OnnxGraph) -> Predict:
    """A `inkling.training.scores.Predict` that steps a bundle as the service would."""
    import torch  # here: workers that only run graphs start in a fraction of a second

    def predict(x: Tensor | Mapping[str, Tensor]) -> Tensor:
        if isinstance(x, torch.Tensor):
            steps: Inputs = np.ascontiguousarray(x.transpose(0, 1).numpy())
        else:
            steps = {name: np.ascontiguousarray(tensor.transpose(0, 1).numpy()) for name, tensor in x.items()}
        return torch.from_numpy(run_vector(bundle.spec, graph, steps)).transpose(0, 1)

    return predict


def _info(node: Any) -> TensorInfo:
    return DTYPES.get(node.type, node.type), tuple(size if isinstance(size, int) else None for size in node.shape)
