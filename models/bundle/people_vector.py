"""The stored test vector of a people bundle: pictures, and what the graph must answer."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.people import PeopleSpec
from inkling.models.npz import BadNpz, read_npz

MIN_PICTURES = 2
MAX_BYTES = 2**28
"""Of a test vector, unpacked."""
_IMAGES = "images"
_OUTPUT = "output."
"""Begins the name of an array that the graph must answer."""


@dataclass(frozen=True, slots=True, eq=False)
class PeopleVector:
    """A few different pictures, so that a mixed-up batch shows.

    images: (B, H, W, 3) uint8, B >= 2. outputs: the graph's answer by name, raw, (B, ...) float32.
    """

    images: NDArray[np.uint8]
    outputs: dict[str, Array]

    def to_npz(self) -> bytes:
        """The file's bytes: arrays `images` and `output.NAME`; equal vectors give equal bytes."""
        buffer = io.BytesIO()
        named = {f"{_OUTPUT}{name}": array for name, array in self.outputs.items()}
        np.savez_compressed(buffer, allow_pickle=False, **{_IMAGES: self.images}, **named)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, data: bytes, spec: PeopleSpec) -> Self:
        """Read `to_npz` bytes, never unpickling. Raises ValueError with a sentence when they are not that."""
        names = {f"{_OUTPUT}{name}": name for name in spec.decoder.names}
        try:
            arrays = read_npz(data, (_IMAGES, *names), MAX_BYTES)
        except BadNpz as error:
            raise ValueError(f"the test vector cannot be read: {error}") from error
        for name in (_IMAGES, *names):
            if name not in arrays:
                raise ValueError(f"the test vector needs the array {name!r}")
        return cls(arrays[_IMAGES], {name: arrays[key] for key, name in names.items()})

    def check(self, spec: PeopleSpec) -> None:
        """Raises ValueError unless shapes and dtypes are those that `spec` declares and every number is finite."""
        images, given = self.images, spec.input
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) < MIN_PICTURES:
            raise ValueError(
                f"the test vector's images must be uint8 ({MIN_PICTURES} or more, height, width, 3), "
                f"they are {images.dtype} {images.shape}"
            )
        height, width = images.shape[1:3]
        if given.fixed and (height, width) != (given.height, given.width):
            raise ValueError(f"the test vector's images are {height} x {width}, not {given.height} x {given.width}")
        if not height or not width or height % given.multiple_of or width % given.multiple_of:
            raise ValueError(f"the test vector's images are {height} x {width}: no multiples of {given.multiple_of}")
        for name, shape in spec.outputs.items():
            array = self.outputs[name]
            fits = array.shape[:1] == images.shape[:1] and array.ndim == len(shape) + 1
            fits = fits and all(a in (None, b) for a, b in zip(shape, array.shape[1:], strict=True))
            if array.dtype != np.float32 or not fits:
                raise ValueError(f"the test vector's {name!r} has another shape than the spec's: {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"the test vector's {name!r} must be finite")
