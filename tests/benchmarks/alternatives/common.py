"""What the alternatives share: the frame as an array, the model, its state as bytes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inkling.models.bundle import Bundle, Registry, initial_state, load, zoo_directory
from inkling.service.protocol.pose_binary import HEADER

Array = NDArray[np.float32]

BUNDLE = "body-actions"
KEYPOINTS_AT = HEADER.size + 4
"""After the header and the one person's track."""
BODY13 = [0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
"""Of COCO-17, the nose standing for the head: picking joints is all that a careful user needs here, and less than what
the service does (the mean of the ears where both are seen)."""


def keypoints(message: bytes) -> Array:
    """The (13, 3) input of the model in a packed frame of one person of COCO-17."""
    return np.frombuffer(message, np.float32, 51, KEYPOINTS_AT).reshape(17, 3)[BODY13]


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True), np.float32)


class Model:
    """The bundle's step on onnxruntime, one thread, as its documentation advises for a server on one core."""

    def __init__(self) -> None:
        self.bundle: Bundle = load(Registry([zoo_directory()]).get(BUNDLE))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(self.bundle.step, options, ["CPUExecutionProvider"])
        spec = self.bundle.spec
        self.tensors = spec.state
        self.input = spec.input.name
        self.outputs = [spec.logits, *(tensor.output for tensor in spec.state)]
        self.sizes = [int(np.prod(tensor.shape)) for tensor in spec.state]

    def initial(self, batch: int = 1) -> dict[str, Array]:
        return dict(initial_state(self.bundle.spec, batch))

    def step(self, x: Array, state: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        """x (B, 13, 3), state by input name (B, ...) -> probabilities (B, K), the next state by input name."""
        logits, *following = self._session.run(self.outputs, {self.input: x, **state})
        names = [tensor.input for tensor in self.tensors]
        return softmax(logits), dict(zip(names, following, strict=True))

    def step_rows(self, x: Array, rows: Array) -> Array:
        """x (B, 13, 3), states as flat rows (B, S) -> rows (B, S + K): the next states, then probabilities."""
        state, at = {}, 0
        for tensor, size in zip(self.tensors, self.sizes, strict=True):
            state[tensor.input] = np.ascontiguousarray(rows[:, at : at + size]).reshape(-1, *tensor.shape)
            at += size
        probabilities, following = self.step(x, state)
        flat = [following[tensor.input].reshape(len(x), -1) for tensor in self.tensors]
        return np.concatenate([*flat, probabilities], axis=1)
