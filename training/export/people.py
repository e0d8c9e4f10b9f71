"""From an ONNX file that finds people, and a TOML file that says what it is, to a verified bundle of kind `people`.

The TOML file has the fields of `inkling.models.bundle.PeopleSpec` that only its maker knows (name, version, decoder,
input, thresholds, origin, quality), and:

    skeleton = "coco17"              or a table of one's own
    card = "card.md"                 a file beside it
    notices = ["LICENSE-mine.txt"]   files beside it, which the bundle will hold

The graph gets the bundle's name and version into its metadata; its answers to made-up pictures become the test vector.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper

from inkling.models import skeletons
from inkling.models.bundle import PeopleBundle, PeopleVector, verify_people, write_people
from inkling.models.bundle.people import PictureInput
from inkling.training.errors import ExportError
from inkling.training.evaluate.figures import Figures
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.film_frames import film_frames
from inkling.training.export.quantise_people import quantised_people

PICTURES = 2
SMALL = 64, 96
"""About the height and width of a test picture where the graph takes any."""


def export_people(
    graph: Path, about: Path, out: Path, figures: Figures | None = None, int8_films: Sequence[Path] = ()
) -> Path:
    """Write the bundle `out/NAME/VERSION` and return that path.

    graph: an ONNX file. about: the TOML file. figures: measured quality, beside what the TOML file says of it, and a
    text for the end of the card. int8_films: the graph is turned into eight bits, with ranges from their frames.
    Raises ExportError when a file cannot be read or the graph cannot be run, BundleError when the graph does not hold
    its contract (the sentence says where) or the version exists.
    """
    fields = _fields(about)
    beside = about.parent
    card = _read(beside / str(fields.pop("card", "card.md"))).decode()
    notices = {name: _read(beside / name) for name in fields.pop("notices", [])}
    fields.setdefault("quality", {})
    if figures is not None:
        fields["quality"] |= figures.figures
        card = f"{card.rstrip()}\n\n{figures.text.strip()}\n"
    model = _read(graph)
    try:
        given = PictureInput.model_validate(fields.get("input", {}))
        if int8_films:
            made, _ = quantised_people(model, film_frames(int8_films, given))
            model = bytes(made.SerializeToString())
        model = _named(model, graph, str(fields.get("name")), str(fields.get("version")))
        vector = _vector(OnnxGraph(model), given)
    except ExportError:
        raise
    except Exception as error:  # pydantic's, onnxruntime's: none of them share a base class
        raise ExportError(f"{graph}: the graph cannot be run on test pictures: {error}") from error
    return write_people(out, fields, model, vector, card, notices, verify=verified)


def verified(bundle: PeopleBundle) -> OnnxGraph:
    """The bundle's graph, ready to run. Raises BundleError when it is not what the bundle says."""
    graph = OnnxGraph(bundle.graph)
    verify_people(bundle, graph)
    return graph


def made_up_pictures(height: int, width: int) -> NDArray[np.uint8]:
    """Made-up pictures (PICTURES, height, width, 3): blobs of colour, from coarse to fine, all different."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((PICTURES, height, width, 3))
    for picture in pictures:
        for cells in (2, 5, 12, 30):
            coarse = rng.uniform(-64, 64, (cells, cells, 3))
            picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(pictures + 128, 0, 255).astype(np.uint8)


def _vector(graph: OnnxGraph, given: PictureInput) -> PeopleVector:
    sides = [given.height, given.width]
    if not given.fixed:
        sides = [max(1, round(side / given.multiple_of)) * given.multiple_of for side in SMALL]
    images = made_up_pictures(*sides)
    outputs = graph.run({given.name: images})
    return PeopleVector(images, outputs)


def _fields(about: Path) -> dict[str, Any]:
    try:
        fields = tomllib.loads(_read(about).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{about}: {error}") from error
    if isinstance(fields.get("skeleton"), str):
        fields["skeleton"] = skeletons.get(fields["skeleton"]).model_dump()
    return fields


def _named(data: bytes, graph: Path, name: str, version: str) -> bytes:
    """The graph with the bundle's name and version in its metadata."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ExportError(f"{graph}: not an ONNX file: {error}") from error
    kept = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, kept | {"name": name, "version": version})
    return bytes(model.SerializeToString())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}") from error
