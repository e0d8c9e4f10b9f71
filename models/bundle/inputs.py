"""What a step is given, as arrays: of a bundle of one input the array itself, of several inputs each by its name.

The array alone is the usual case, and it stays free of any cost: who has one makes no dictionary of it but at the
graph's door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from inkling.models.arrays import Array
from inkling.models.bundle.schema import BundleSpec

Inputs = Array | Mapping[str, Array]
"""An input's array, or the arrays of several inputs by their names; the leading axes are the same for all of them."""


def named(spec: BundleSpec, inputs: Inputs) -> Mapping[str, Array]:
    """By name, as a graph takes them."""
    return {spec.input.name: inputs} if isinstance(inputs, np.ndarray) else inputs


def each(inputs: Inputs, change: Callable[[Array], Array]) -> Inputs:
    """The same change of every array: a slice of its rows, one of its steps."""
    if isinstance(inputs, np.ndarray):
        return change(inputs)
    return {name: change(array) for name, array in inputs.items()}


def leading(inputs: Inputs) -> tuple[int, ...]:
    """Shape of the first array: its leading axes are those of all."""
    return (inputs if isinstance(inputs, np.ndarray) else next(iter(inputs.values()))).shape
