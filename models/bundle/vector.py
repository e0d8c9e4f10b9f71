"""The stored test vector: what a bundle's graph must reproduce before anybody trusts it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.schema import BundleSpec
from inkling.models.npz import BadNpz, read_npz

MIN_STEPS, MIN_BATCH = 3, 2
MAX_BYTES = 2**30
"""Of a test vector, unpacked: hundreds of the largest images that a model takes."""


@dataclass(frozen=True, slots=True, eq=False)
class TestVector:
    """A few steps of a few rows, from the initial state on.

    inputs: (S, B, *input shape) in the input's dtype. logits: (S, B, K) float32, raw outputs before calibration.
    S >= 3, so that state is carried; B >= 2, with different rows, so that a mixed-up batch shows.
    """

    __test__: ClassVar[bool] = False  # a name that pytest would collect

    inputs: Array
    logits: NDArray[np.float32]

    def to_npz(self) -> bytes:
        """The file's bytes: arrays `input` and `logits`; equal vectors give equal bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, input=self.inputs, logits=self.logits)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, data: bytes) -> Self:
        """Read `to_npz` bytes, never unpickling. Raises ValueError with a sentence when they are not that."""
        try:
            arrays = read_npz(data, ("input", "logits"), MAX_BYTES)
        except BadNpz as error:
            raise ValueError(f"the test vector cannot be read: {error}") from error
        if len(arrays) < 2:
            raise ValueError("the test vector needs the arrays 'input' and 'logits'")
        return cls(arrays["input"], arrays["logits"])

    def check(self, spec: BundleSpec) -> None:
        """Raises ValueError unless shapes and dtypes are those that `spec` declares and every logit is finite."""
        steps, batch = self.inputs.shape[:2] if self.inputs.ndim >= 2 else (0, 0)
        if steps < MIN_STEPS or batch < MIN_BATCH:
            raise ValueError(f"the test vector needs {MIN_STEPS} steps of {MIN_BATCH} rows, it has {steps} of {batch}")
        for name, array, dtype, shape in (
            ("input", self.inputs, spec.input.dtype, (steps, batch, *spec.input.shape)),
            ("logits", self.logits, "float32", (steps, batch, len(spec.labels))),
        ):
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"the test vector's {name!r} must be {dtype} {shape}, it is {array.dtype} {array.shape}"
                )
        if not np.isfinite(self.logits).all():
            raise ValueError("the test vector's logits must be finite")
