"""From a trained student to a bundle: one step as an ONNX graph, proven equal to the torch network, then published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from inkling.models.bundle import TestVector, write
from inkling.models.bundle.inputs import Inputs
from inkling.models.bundle.schema import TOLERANCE, FrameInput, PoseInput, Provenance
from inkling.models.networks import CausalNetwork
from inkling.training.errors import ExportError
from inkling.training.evaluate.evaluation import Evaluation
from inkling.training.evaluate.figures import Figures
from inkling.training.evaluate.onnx_graph import OnnxGraph, verified_graph
from inkling.training.export.card import card
from inkling.training.export.parity import check_parity, sequence_logits
from inkling.training.export.quantise import TOLERANCE as ROUNDING
from inkling.training.export.quantise import quantised
from inkling.training.export.rough_streams import rough_frames, rough_poses
from inkling.training.export.row_graph import rows_onnx
from inkling.training.export.step_graph import LOGITS, step_onnx, tidied
from inkling.training.run import Run, SeedResult

PARITY_STEPS, PARITY_ROWS = 500, 4
FRAME_PARITY_ROWS, FRAME_SEQUENCE_STEPS = 2, 48
"""Frames are large: fewer rows, and their sequence is run over the first steps only (all 500 are stepped)."""
VECTOR_STEPS, VECTOR_ROWS = 24, 3
FRAME_VECTOR_STEPS, FRAME_VECTOR_ROWS = 8, 2
Precision = Literal["float32", "int8"]
Takes = Sequence[PoseInput | FrameInput]
"""The inputs of a student."""


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
    result = run.chosen(seed)
    _refuse(run, result, evaluation)
    student, takes, name = run.student(result), result.inputs, name or run.recipe.name
    step, rounding = _proven_step(student, takes, name, version, precision)
    fields = _fields(run, result, student, takes, rounding) | {"name": name, "version": version}
    fields["quality"] = _quality(result, evaluation, figures, rounding)
    return write(
        Path(out),
        fields,
        step,
        _vector(student, takes),
        card(run.recipe, result, name, version, evaluation, figures, rounding),
        rows_onnx(step, LOGITS, student.state_tensors()),
        verify=verified_graph,
    )


def _refuse(run: Run, result: SeedResult, evaluation: Evaluation | None) -> None:
    """Raise ExportError for what cannot become a bundle."""
    if run.recipe.clock == "progress":
        raise ExportError(
            "a bundle is stepped at a rate; this model's steps are parts of a clip whose end it had to know "
            '(train it with clock = "rate")'
        )
    if evaluation is not None and evaluation.labels != result.labels:
        raise ExportError("the evaluation is of a model with other labels")


def _proven_step(
    student: CausalNetwork, takes: Takes, name: str, version: str, precision: Precision
) -> tuple[bytes, float | None]:
    """The step graph, and, in eight bits, the largest difference of a logit from the network's over rough streams.

    Raises ExportError when the graph, before it is rounded, is not the network.
    """
    rough = _rough(takes)
    check = partial(
        check_parity, student, streams=rough.streams, input_name=takes[0].name, sequence_steps=rough.sequence_steps
    )
    step = step_onnx(student, takes, name, version)
    check(OnnxGraph(step))
    if precision == "float32":
        return step, None
    step = tidied(quantised(step), name, version)
    return step, check(OnnxGraph(step), tolerance=ROUNDING)


@dataclass(frozen=True, slots=True, eq=False)
class _Rough:
    """Made-up streams (S, B, ...) to compare graphs by. sequence_steps: of those, so many as one sequence too."""

    streams: Inputs
    sequence_steps: int


def _rough(takes: Takes) -> _Rough:
    pictures = any(isinstance(given, FrameInput) for given in takes)
    rows = FRAME_PARITY_ROWS if pictures else PARITY_ROWS
    streams = _rough_streams(takes, PARITY_STEPS, rows, seed=0)
    return _Rough(streams, FRAME_SEQUENCE_STEPS if pictures else PARITY_STEPS)


def _rough_streams(takes: Takes, steps: int, rows: int, seed: int) -> Inputs:
    """Made-up streams (steps, rows, *input), or those of each of several inputs by its name."""
    found = {
        given.name: rough_frames(given, steps, rows, seed)
        if isinstance(given, FrameInput)
        else rough_poses(given.skeleton, steps, rows, seed)
        for given in takes
    }
    return found if len(takes) > 1 else found[takes[0].name]


def _vector(student: CausalNetwork, takes: Takes) -> TestVector:
    """A few rough steps, and what torch says of them as a sequence."""
    pictures = any(isinstance(given, FrameInput) for given in takes)
    steps, rows = (FRAME_VECTOR_STEPS, FRAME_VECTOR_ROWS) if pictures else (VECTOR_STEPS, VECTOR_ROWS)
    inputs = _rough_streams(takes, steps, rows, seed=1)
    with torch.no_grad():
        logits = sequence_logits(student, inputs)
    if isinstance(inputs, np.ndarray):
        return TestVector(inputs, logits)
    first, *others = takes
    return TestVector(inputs[first.name], logits, {given.name: inputs[given.name] for given in others})


def _fields(
    run: Run, result: SeedResult, student: CausalNetwork, takes: Takes, rounding: float | None
) -> dict[str, Any]:
    """What `bundle.json` says of the model, but for its name, version and quality."""
    recipe = run.recipe
    return {
        "task": recipe.task,
        "lead_s": recipe.whole_lead_s,
        "labels": result.labels,
        "background": recipe.background_label,
        "input": takes[0],
        "further_inputs": takes[1:],
        "rate_hz": recipe.rate_hz,
        "gaps": recipe.bundle.gaps,
        "logits": LOGITS,
        "state": student.state_tensors(),
        "tolerance": TOLERANCE if rounding is None else ROUNDING,
        "calibration": result.calibration,
        "decision": recipe.bundle.decision,
        "stopping": result.stopping,
        "unknown": result.unknown,
        "provenance": Provenance(
            data=(*result.origins, *result.pretrained_on),
            recipe=recipe.name,
            seed=result.seed,
            git_commit=result.git_commit,
            created=result.created,
            libraries=result.libraries,
        ),
    }


def _quality(
    result: SeedResult, evaluation: Evaluation | None, figures: Figures | None, rounding: float | None
) -> dict[str, Any]:
    """Measured quality: of validation clips always, and whatever else was measured."""
    quality: dict[str, Any] = {"validation": {"auc": round(result.student_auc, 5), "clips": result.val_clips}}
    for set_name, report in evaluation.sets.items() if evaluation is not None else ():
        quality[set_name] = {
            "clips": report.clips,
            **{what: condition.model_dump(mode="json") for what, condition in report.conditions.items()},
            "calibration": {"before": report.raw.model_dump(), "after": report.calibrated.model_dump()},
            "promises": {what: [p.model_dump() for p in found] for what, found in report.promises.items()},
            **({"unknown": {kind: c.model_dump() for kind, c in report.unknown.items()}} if report.unknown else {}),
        }
    for set_name, scores in evaluation.foresight.items() if evaluation is not None else ():
        quality[set_name]["foresight"] = scores.model_dump(mode="json")
    if rounding is not None:
        quality["int8"] = {"largest_logit_difference": round(rounding, 5)}
    return quality if figures is None else quality | figures.figures
