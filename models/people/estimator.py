"""People in pictures: a people bundle's graph with what comes before and after it. Pure.

    estimator = PeopleEstimator(spec, run)
    prepared = estimator.prepare(picture)        # on any thread: any size to what the graph takes
    people, = estimator.estimate([prepared])     # one batch of pictures of one shape

How the graph is run is the caller's: `run` takes (B, H, W, 3) uint8 and gives the graph's outputs by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.people import MultiposeHeads, PeopleSpec
from inkling.models.people import input_fit, multipose
from inkling.models.people.detections import Detections
from inkling.models.people.input_fit import InputSize, PreparedPicture
from inkling.models.people.suppression import one_of_each

Run = Callable[[NDArray[np.uint8]], Mapping[str, Array]]
"""(B, H, W, 3) uint8 RGB -> the graph's outputs by name, batch first."""


class PeopleEstimator:
    """Finds the people in pictures. `prepare` may be called from any thread, `estimate` from where `run` may."""

    def __init__(self, spec: PeopleSpec, run: Run, most: int | None = None) -> None:
        """most: people given for one picture; None: the bundle's `max_people`. Whoever tracks them wants more than are
        watched in the end: of a crowd the surest are others in each picture.
        """
        self.spec = spec
        self._run = run
        self._most = spec.max_people if most is None else most
        given = spec.input
        self._size = InputSize(given.height, given.width, given.multiple_of, given.fixed)
        # A joint that is this far outside of the picture is no rounding: a cell of the maps, a pixel or so of others.
        self._slack = float(spec.decoder.stride) if isinstance(spec.decoder, MultiposeHeads) else 1.0

    def prepare(self, picture: NDArray[np.uint8], longer_side: int | None = None) -> PreparedPicture:
        """RGB uint8 (h, w, 3) of any size -> what `estimate` takes.

        longer_side: of the input in pixels, where the bundle's own is not wanted: more finds more people who are small
        or far away, and costs as much more as there are pixels. A bundle whose input is fixed does not follow it.
        Raises ValueError for what is no such picture.
        """
        return input_fit.prepare(picture, self._size if longer_side is None else self._size.scaled(longer_side))

    def common_shapes(self, longer_side: int | None = None) -> list[tuple[int, int]]:
        """(height, width) of the inputs that films of 4:3 and 16:9 become, upright ones too: what is worth warming."""
        size = self._size if longer_side is None else self._size.scaled(longer_side)
        formats = ((3, 4), (9, 16), (4, 3), (16, 9))
        return list(dict.fromkeys(size.of_picture(120 * height, 120 * width) for height, width in formats))

    def estimate(self, pictures: Sequence[PreparedPicture]) -> list[Detections]:
        """The people of each picture, in pixels of what was prepared, the surest first; at most `most`.

        Only people with a score of `thresholds.keep` or more; joints below `thresholds.joint` are missing. pictures:
        all of one `shape`. Raises ValueError when the graph's numbers are not finite, and what `run` raises.
        """
        if not pictures:
            return []
        outputs = self._run(np.stack([picture.pixels for picture in pictures]))
        for name in self.spec.decoder.names:
            if not np.isfinite(outputs[name]).all():
                raise ValueError(f"{self.spec.full_name}: the graph's output {name!r} is not finite")
        return [self._people(outputs, row, picture) for row, picture in enumerate(pictures)]

    def _people(self, outputs: Mapping[str, Array], row: int, picture: PreparedPicture) -> Detections:
        spec, wanted = self.spec, self.spec.thresholds
        found = self._decoded(outputs, row)
        found = found.take(found.scores >= wanted.keep)
        found = one_of_each(found, spec.skeleton.joints, self._most)
        found.keypoints[found.keypoints[..., 2] < wanted.joint] = 0
        return picture.geometry.in_picture(found, self._slack)

    def _decoded(self, outputs: Mapping[str, Array], row: int) -> Detections:
        decoder, spec = self.spec.decoder, self.spec
        if isinstance(decoder, MultiposeHeads):
            heads = multipose.Heads(*(outputs[name][row] for name in decoder.names))
            # A peak is at least its person's score; twice as many, for some are the same person twice.
            return multipose.decode(heads, decoder.stride, 2 * self._most, spec.thresholds.keep)
        scores, boxes, keypoints = (outputs[name][row] for name in decoder.names)
        return Detections(boxes, scores, keypoints)
