"""The stored test vector: what a bundle's graph must reproduce before anybody trusts it."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.inputs import Inputs
from inkling.models.bundle.schema import BundleSpec
from inkling.models.npz import BadNpz, read_npz

MIN_STEPS, MIN_BATCH = 3, 2
MAX_BYTES = 2**30
"""Of a test vector, unpacked: hundreds of the largest images that a model takes."""
_FURTHER = "input."
"""Begins the name of the array of a further input."""


@dataclass(frozen=True, slots=True, eq=False)
class TestVector:
    """A few steps of a few rows, from the initial state on.

    inputs: (S, B, *input shape) in the input's dtype. logits: (S, B, K) float32, raw outputs before calibration.
    further: as `inputs`, of the bundle's further inputs by their names.
    S >= 3, so that state is carried; B >= 2, with different rows, so that a mixed-up batch shows.
    """

    __test__: ClassVar[bool] = False  # a name that pytest would collect

    inputs: Array
    logits: NDArray[np.float32]
    further: Mapping[str, Array] = field(default_factory=dict)

    def given(self, spec: BundleSpec) -> Inputs:
        """What the steps are given: `inputs` alone, or each of several by its name."""
        return {spec.input.name: self.inputs, **self.further} if self.further else self.inputs

    def to_npz(self) -> bytes:
        """The file's bytes: arrays `input`, `logits`, and `input.NAME` of each further input; equal vectors give equal
        bytes."""
        buffer = io.BytesIO()
        further = {f"{_FURTHER}{name}": array for name, array in self.further.items()}
        np.savez(buffer, allow_pickle=False, input=self.inputs, logits=self.logits, **further)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, data: bytes, further: Collection[str] = ()) -> Self:
        """Read `to_npz` bytes, never unpickling. further: names of the bundle's further inputs.

        Raises ValueError with a sentence when they are not that.
        """
        names = {f"{_FURTHER}{name}": name for name in further}
        try:
            arrays = read_npz(data, ("input", "logits", *names), MAX_BYTES)
        except BadNpz as error:
            raise ValueError(f"the test vector cannot be read: {error}") from error
        needed = " and ".join(repr(name) for name in ("input", "logits", *names))
        if len(arrays) < 2 + len(names):
            raise ValueError(f"the test vector needs the arrays {needed}")
        return cls(arrays["input"], arrays["logits"], {name: arrays[key] for key, name in names.items()})

    def check(self, spec: BundleSpec) -> None:
        """Raises ValueError unless shapes and dtypes are those that `spec` declares and every logit is finite."""
        steps, batch = self.inputs.shape[:2] if self.inputs.ndim >= 2 else (0, 0)
        if steps < MIN_STEPS or batch < MIN_BATCH:
            raise ValueError(f"the test vector needs {MIN_STEPS} steps of {MIN_BATCH} rows, it has {steps} of {batch}")
        arrays = [
            ("input", self.inputs, spec.input.dtype, (steps, batch, *spec.input.shape)),
            ("logits", self.logits, "float32", (steps, batch, len(spec.labels))),
        ]
        for given in spec.further_inputs:
            if given.name not in self.further:
                raise ValueError(f"the test vector needs the array '{_FURTHER}{given.name}'")
            array = self.further[given.name]
            arrays.append((f"{_FURTHER}{given.name}", array, given.dtype, (steps, batch, *given.shape)))
        for name, array, dtype, shape in arrays:
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"the test vector's {name!r} must be {dtype} {shape}, it is {array.dtype} {array.shape}"
                )
        if not np.isfinite(self.logits).all():
            raise ValueError("the test vector's logits must be finite")
