"""What a worker of `inkling train prepare people` does with one film: it finds the people in its frames.

Who is who is not asked here. So films need not be read again when another tracker is to follow them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from inkling.models.bundle import PeopleSpec, load_people, verify_people
from inkling.models.bundle.schema import SPEC_FILE
from inkling.models.clock import Resampler
from inkling.models.errors import VideoError
from inkling.models.npz import read_npz_file
from inkling.models.people.detections import Detections
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.input_fit import PreparedPicture
from inkling.models.video import VideoReader, to_rgb
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.prepare.content_cache import BrokenVideo, cached
from inkling.training.prepare.tracks import FilmPeople

EMBEDDED = "people/1"
"""The people bundle that comes with Inkling."""
BATCH = 8
"""Pictures that the graph sees at once."""
ARRAYS = ("pts_s", "frames", "boxes", "scores", "keypoints")


@dataclass(frozen=True, slots=True)
class PeopleFinder:
    """What finds people. bundle: the directory of a people bundle, digest: of its `bundle.json`, which has the hash of
    every file. rate_hz: frames a second that are perceived. longer_side: of the input; None: the bundle's own."""

    bundle: Path
    digest: str
    rate_hz: float
    longer_side: int | None = None

    @classmethod
    def of(cls, bundle: Path, rate_hz: float, longer_side: int | None = None) -> PeopleFinder:
        """One with the people bundle of that directory. Raises BundleError where it is broken."""
        verify_people(found := load_people(bundle), OnnxGraph(found.graph))
        return cls(found.path, hashlib.sha256((found.path / SPEC_FILE).read_bytes()).hexdigest(), rate_hz, longer_side)

    @property
    def spec(self) -> PeopleSpec:
        """What `bundle.json` says."""
        return load_people(self.bundle).spec

    @property
    def key(self) -> str:
        """Everything besides the film that decides what is found."""
        return f"{self.digest}-{self.rate_hz!r}-{self.longer_side or ''}"


def find_people(film: Path, out: Path, finder: PeopleFinder) -> tuple[str, int]:
    """Find the people in a film unless that is done: (name of the file in `out`, frames perceived now).

    Raises BrokenVideo.
    """

    def write(out: IO[bytes]) -> int:
        found = _found_in(film, finder)
        counts = [len(people.scores) for people in found.found]
        np.savez_compressed(
            out,
            allow_pickle=False,
            pts_s=found.pts_s,
            frames=np.repeat(np.arange(len(counts)), counts),
            **{field: np.concatenate([getattr(people, field) for people in found.found]) for field in ARRAYS[2:]},
        )
        return len(found.pts_s)

    return cached(film, out, finder.key, ".npz", write)


def read_people(path: Path) -> FilmPeople:
    """What `find_people` has written."""
    arrays = read_npz_file(path, ARRAYS)
    pts_s, frames = arrays["pts_s"], arrays["frames"]
    edges = np.searchsorted(frames, np.arange(len(pts_s) + 1))
    found = tuple(
        Detections(*(arrays[field][start:stop] for field in ARRAYS[2:])) for start, stop in pairwise(edges.tolist())
    )
    return FilmPeople(pts_s, found)


def _found_in(film: Path, finder: PeopleFinder) -> FilmPeople:
    """The people of the frames that a model of this rate would step on. Raises BrokenVideo."""
    estimator = _estimator(finder)
    clock = Resampler(finder.rate_hz, "hold", float("inf"))
    times: list[float] = []
    found: list[Detections] = []
    waiting: list[PreparedPicture] = []
    try:
        with VideoReader(film, threads=1) as video:  # the other cores are busy with other films
            for pts_s, frame in video:
                if not clock.push(pts_s).steps:
                    continue
                picture = estimator.prepare(to_rgb(frame), finder.longer_side)
                if len(waiting) == BATCH or (waiting and waiting[0].shape != picture.shape):
                    found += estimator.estimate(waiting)
                    waiting = []
                waiting.append(picture)
                times.append(pts_s)
    except VideoError as error:
        raise BrokenVideo(str(error)) from error
    return FilmPeople(np.array(times), (*found, *estimator.estimate(waiting)))


_built: dict[str, PeopleEstimator] = {}


def _estimator(finder: PeopleFinder) -> PeopleEstimator:
    """Built once in each process, for one core: there is a process for each."""
    if finder.key not in _built:
        bundle = load_people(finder.bundle)
        graph = OnnxGraph(bundle.graph, threads=1)
        _built[finder.key] = PeopleEstimator(
            bundle.spec, lambda pictures: graph.run({bundle.spec.input.name: pictures})
        )
    return _built[finder.key]
