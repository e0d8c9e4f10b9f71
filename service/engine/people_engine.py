"""Run a people bundle's graph with onnxruntime: the `run` of a `inkling.models.people.estimator.PeopleEstimator`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import PeopleBundle, TensorInfo, verify_people
from inkling.service.engine.device_engine import buckets
from inkling.service.engine.onnx_engine import Device, session, tensors


class PeopleEngine:
    """A loaded and verified graph that finds people (a `inkling.models.bundle.StepGraph`), for one thread at a time.

    It has no state: a run that fails leaves nothing behind, and fails its own pictures alone.
    """

    def __init__(
        self,
        bundle: PeopleBundle,
        threads: int | None = None,
        device: Device = "cpu",
        max_batch: int = 16,
        *,
        fill: bool | None = None,
    ) -> None:
        """threads: for one run; None: the cores that this process may use. device: as `resolve_device` gives it.

        max_batch: pictures in one run; more of them are run one part after the other, for a batch takes memory.
        fill: whether batches are filled up to a power of two; None: on a GPU, where each new size costs a search for
        kernels.

        Raises BundleInvalid when onnxruntime cannot read the graph or it does not fit the spec, BundleDisagrees when it
        does not reproduce the bundle's test vector.
        """
        self.spec = bundle.spec
        self._fill = device == "cuda" if fill is None else fill
        self._sizes = buckets(max_batch)
        self._session = session(bundle, bundle.graph, threads, device)
        self.inputs: dict[str, TensorInfo] = tensors(self._session.get_inputs())
        self.outputs: dict[str, TensorInfo] = tensors(self._session.get_outputs())
        self._names = list(self.outputs)
        verify_people(bundle, self)

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name, for all inputs by name."""
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))

    def __call__(self, images: NDArray[np.uint8], /) -> dict[str, Array]:
        """(B, H, W, 3) uint8 -> the graph's outputs by name, batch first. Raises what onnxruntime raises."""
        most = self._sizes[-1]
        parts = [self._part(images[at : at + most]) for at in range(0, len(images), most)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def warm(self, shapes: Iterable[tuple[int, int]]) -> None:
        """Run once at each (height, width), so that the first picture does not pay for what onnxruntime sets up then.

        Where batches are filled up, at each of their sizes.
        """
        for height, width in shapes:
            for batch in self._sizes if self._fill else self._sizes[:1]:
                self._part(np.zeros((batch, height, width, 3), np.uint8))

    def _part(self, images: NDArray[np.uint8]) -> dict[str, Array]:
        """One run."""
        count = len(images)
        if self._fill:
            size = next(size for size in self._sizes if size >= count)
            images = np.concatenate([images, np.zeros((size - count, *images.shape[1:]), np.uint8)])
        outputs = self.run({self.spec.input.name: images})
        return {name: array[:count] for name, array in outputs.items()}
