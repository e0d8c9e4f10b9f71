"""From a trained student to a bundle: one step as an ONNX graph, proven equal to the torch network, then published."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from inkling.models.bundle import TestVector, load, verify_graph, write
from inkling.models.bundle.schema import TOLERANCE, FrameInput, PoseInput, Provenance
from inkling.models.networks import Student
from inkling.models.skeletons import Skeleton
from inkling.training.errors import ExportError
from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.figures import Figures
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.card import card
from inkling.training.export.quantise import TOLERANCE as ROUNDING
from inkling.training.export.quantise import quantised
from inkling.training.run import Run

OPSET = 20
LOGITS = "logits"
POSE = "pose"
PARITY_STEPS, PARITY_ROWS = 500, 4
FRAME_PARITY_ROWS, FRAME_SEQUENCE_STEPS = 2, 48
"""Frames are large: fewer rows, and their sequence is run over the first steps only (all 500 are stepped)."""
Precision = Literal["float32", "int8"]
VECTOR_STEPS, VECTOR_ROWS = 24, 3
FRAME_VECTOR_STEPS, FRAME_VECTOR_ROWS = 8, 2


class Step(nn.Module):
    """A student's `step` as `forward`: (pose or frame, *state) -> (logits, *next_state)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self.student.step(x, *state)


def step_onnx(student: Student, takes: Skeleton | FrameInput, name: str, version: str) -> bytes:
    """One causal step as an ONNX file: named states, dynamic batch axis, metadata `name` and `version`."""
    states = student.state_tensors()
    if isinstance(takes, FrameInput):
        input_name, x = takes.name, torch.zeros(2, *takes.shape, dtype=torch.uint8)
    else:
        input_name, x = POSE, torch.zeros(2, len(takes.joints), takes.dimensions + 1)
    example = (x, *student.initial_state(2))
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    exporter = logging.getLogger("torch.onnx._internal.exporter")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns that torchvision is absent, and below of deprecations inside itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Step(student.merged()).eval(),
            example,
            input_names=[input_name, *(s.input for s in states)],
            output_names=[LOGITS, *(s.output for s in states)],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({0: batch}, tuple({0: batch} for _ in states)),
        )
    exporter.setLevel(level)
    assert program is not None, "dynamo=True returns a program"  # noqa: S101
    return _tidied(program.model_proto, name, version)


def _tidied(model: onnx.ModelProto, name: str, version: str) -> bytes:
    """The model without the exporter's notes (source paths and stack traces of this machine), with our metadata."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {"name": name, "version": version})
    model.doc_string = model.graph.doc_string = ""
    model.graph.name = name
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.Clear()
        axis.dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()


def rough_poses(skeleton: Skeleton, steps: int, rows: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Made-up streams that visit what a real one does: (steps, rows, J, D + 1) float32.

    Bodies of different place and size in the picture that move, with joints that flicker, whole stretches without
    anybody, one row that begins with nothing, and sudden jumps.
    """
    rng = np.random.default_rng(seed)
    joints, dimensions = len(skeleton.joints), skeleton.dimensions
    body = rng.normal(size=(1, rows, joints, dimensions))
    swing = rng.normal(size=(1, rows, joints, dimensions)) * 0.3
    phase = np.linspace(0, steps / 6, steps)[:, None, None, None] * rng.uniform(0.5, 2, (1, rows, joints, 1))
    drift = np.cumsum(rng.normal(size=(steps, rows, 1, dimensions)) * 0.02, 0)
    drift += (rng.random((steps, rows, 1, 1)) < 0.01) * rng.normal(size=(steps, rows, 1, dimensions)) * 3
    size = rng.uniform(40, 200, (1, rows, 1, 1))
    points = (body + swing * np.sin(phase) + drift) * size + rng.uniform(200, 800, (1, rows, 1, dimensions))
    present = rng.random((steps, rows, joints)) > 0.1
    present[steps // 3 : steps // 3 + max(1, steps // 10)] = False
    present[: steps // 8, -1] = False
    confidence = present * rng.uniform(0.3, 1, present.shape)
    return np.concatenate([points * present[..., None], confidence[..., None]], -1).astype(np.float32)


def rough_frames(takes: FrameInput, steps: int, rows: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Made-up streams of frames, (steps, rows, H, W, 3) uint8: noise of changing light, a figure that wanders through,
    stretches where nothing moves, cuts to another scene, and black frames."""
    rng = np.random.default_rng(seed)
    height, width = takes.shape[:2]
    scene = rng.integers(0, 256, (rows, height, width, 3)).astype(np.float32)
    frames = np.empty((steps, rows, *takes.shape), np.uint8)
    place = rng.random((rows, 2))
    for i in range(steps):
        if rng.random() < 0.02:
            scene = rng.integers(0, 256, scene.shape).astype(np.float32)
        still = i % 40 > 32
        if not still:
            place = np.clip(place + rng.normal(size=place.shape) * 0.05, 0, 0.8)
        frame = scene * (0.6 + 0.4 * np.sin(i / 30)) + (0 if still else rng.normal(size=scene.shape) * 6)
        for row, (y, x) in enumerate(place):
            top, left = int(y * height), int(x * width)
            frame[row, top : top + height // 3, left : left + width // 5] = 40 * row + 30
        frames[i] = np.clip(frame, 0, 255)
    frames[steps // 3 : steps // 3 + 3, 0] = 0
    return frames


def check_parity(
    student: Student,
    graph: OnnxGraph,
    poses: np.ndarray[Any, np.dtype[Any]],
    *,
    input_name: str = POSE,
    sequence_steps: int | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Largest difference of logits between the ONNX graph and torch, over poses (S, B, J, D + 1) or frames.

    Torch is run both step by step and as a sequence (of the first `sequence_steps`), since it is the sequence that was
    trained. Raises ExportError when a difference is beyond `tolerance`, or anything is not finite.
    """
    states = student.state_tensors()
    with torch.no_grad():
        sequence = student(torch.from_numpy(poses[:sequence_steps]).transpose(0, 1)).transpose(0, 1).numpy()
        torch_state: Sequence[Tensor] = student.initial_state(poses.shape[1])
        onnx_state = {s.input: tensor.numpy() for s, tensor in zip(states, torch_state, strict=True)}
        worst = 0.0
        for i, pose in enumerate(poses):
            logits, *torch_state = student.step(torch.from_numpy(pose), *torch_state)
            found = graph.run({input_name: pose, **onnx_state})
            onnx_state = {s.input: found[s.output] for s in states}
            off_step = float(np.abs(found[LOGITS] - logits.numpy()).max())
            off_sequence = float(np.abs(found[LOGITS] - sequence[i]).max()) if i < len(sequence) else 0.0
            for what, off in (("one step", off_step), ("the sequence", off_sequence)):
                if not off <= tolerance:  # not a number is not within it either
                    raise ExportError(
                        f"step {i}: the ONNX graph is off torch's {what} by {off:.2g}; nothing was written"
                    )
            worst = max(worst, off_step, off_sequence)
    return worst


def export(
    run: Run,
    out: Path | str,
    version: str,
    *,
    name: str | None = None,
    seed: int | None = None,
    evaluation: Evaluation | None = None,
    figures: Figures | None = None,
    precision: Precision = "float32",
) -> Path:
    """Write the bundle `out/NAME/VERSION` of a run's student and return that path.

    name: by default the recipe's. seed: by default the one with the best validation AUC. evaluation: what the bundle
    says of its quality; figures: what else. precision: `int8` rounds the products of the step (`quantise`);
    quality stays that of the network, beside the largest difference found. Raises ExportError when ONNX and torch
    differ anywhere over 500 steps, ConfigError when the run is not done, BundleError when the version exists.
    """
    result, recipe = run.chosen(seed), run.recipe
    if recipe.clock == "progress":
        raise ExportError(
            "a bundle is stepped at a rate; this model's steps are parts of a clip whose end it had to know "
            '(train it with clock = "rate")'
        )
    student, name = run.student(result), name or recipe.name
    if evaluation is not None and evaluation.labels != result.labels:
        raise ExportError("the evaluation is of a model with other labels")
    takes = result.input
    inputs: np.ndarray[Any, np.dtype[Any]]
    streams: np.ndarray[Any, np.dtype[Any]]
    if isinstance(takes, FrameInput):
        step = step_onnx(student, takes, name, version)
        streams, sequence_steps = rough_frames(takes, PARITY_STEPS, FRAME_PARITY_ROWS), FRAME_SEQUENCE_STEPS
        inputs = rough_frames(takes, FRAME_VECTOR_STEPS, FRAME_VECTOR_ROWS, seed=1)
    else:
        takes = PoseInput(kind="pose", name=POSE, skeleton=takes.skeleton)
        step = step_onnx(student, takes.skeleton, name, version)
        streams, sequence_steps = rough_poses(takes.skeleton, PARITY_STEPS, PARITY_ROWS), PARITY_STEPS
        inputs = rough_poses(takes.skeleton, VECTOR_STEPS, VECTOR_ROWS, seed=1)
    check = partial(check_parity, student, poses=streams, input_name=takes.name, sequence_steps=sequence_steps)
    check(OnnxGraph(step))
    rounding: float | None = None
    if precision == "int8":
        step = _tidied(quantised(step), name, version)
        rounding = check(OnnxGraph(step), tolerance=ROUNDING)
    with torch.no_grad():
        logits = student(torch.from_numpy(inputs).transpose(0, 1)).transpose(0, 1).contiguous().numpy()
    quality: dict[str, Any] = {"validation": {"auc": round(result.student_auc, 5), "clips": result.val_clips}}
    if evaluation is not None:
        quality |= {
            set_name: {"clips": report.clips}
            | {what: c.model_dump(mode="json") for what, c in report.conditions.items()}
            | {
                "calibration": {"before": report.raw.model_dump(), "after": report.calibrated.model_dump()},
                "promises": {what: [p.model_dump() for p in found] for what, found in report.promises.items()},
            }
            for set_name, report in evaluation.sets.items()
        }
    if rounding is not None:
        quality["int8"] = {"largest_logit_difference": round(rounding, 5)}
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "task": "recognition",
        "labels": result.labels,
        "background": recipe.background_label,
        "input": takes,
        "rate_hz": recipe.rate_hz,
        "gaps": recipe.bundle.gaps,
        "logits": LOGITS,
        "state": student.state_tensors(),
        "tolerance": TOLERANCE if rounding is None else ROUNDING,
        "calibration": result.calibration,
        "decision": recipe.bundle.decision,
        "stopping": result.stopping,
        "quality": quality,
        "provenance": Provenance(
            data=(*result.origins, *result.pretrained_on),
            recipe=recipe.name,
            seed=result.seed,
            git_commit=result.git_commit,
            created=result.created,
            libraries=result.libraries,
        ),
    }
    if figures is not None:
        quality |= figures.figures
    text = card(recipe, result, name, version, evaluation, figures, rounding)
    path = write(Path(out), fields, step, TestVector(inputs, logits), text)
    bundle = load(path)
    verify_graph(bundle, OnnxGraph(bundle.step))
    return path
