"""What a seed was trained with and how well it did, for TensorBoard's tab HPARAMS."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inkling.training.recipe.recipe import Recipe

SHOWN = ("rate_hz", "labelled", "student", "teacher", "distillation", "fit", "fit_teacher", "streaming", "validation")
"""Keys of a recipe that are compared between runs."""


def hyperparameters(recipe: Recipe) -> dict[str, int | float | str | bool]:
    """The compared keys of a recipe by dotted names; lists as text."""
    fields = recipe.model_dump(mode="json", include=set(SHOWN))
    return {key: value for name in SHOWN for key, value in _flat(name, fields[name])}


def write_hyperparameters(folder: Path, recipe: Recipe, seed: int, metrics: Mapping[str, float]) -> None:
    """Write them with the final metrics of a seed, in place of what an earlier fit of this seed has written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard imports what numpy and protobuf call deprecated
        from torch.utils.tensorboard import SummaryWriter

    for older in folder.glob("events.out.tfevents.*"):
        older.unlink()
    writer: Any = SummaryWriter(str(folder))  # its methods have no types
    try:
        values = hyperparameters(recipe) | {"recipe": recipe.name, "seed": seed}
        writer.add_hparams(values, dict(metrics), run_name=".")
    finally:
        writer.close()


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, below in value.items() for pair in _flat(f"{name}.{key}", below)]
    if value is None:
        return []
    return [(name, str(value) if isinstance(value, list) else value)]
