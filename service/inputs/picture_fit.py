"""How much of a picture is kept by whoever fetches it for a stream. Pure."""

from __future__ import annotations

from typing import Literal

from inkling.models.people.input_fit import within
from inkling.models.resize import FitPolicy, Image, fit_image

Fit = FitPolicy | Literal["within"]
"""That of a bundle's input; or `within`: the whole picture and nothing else, made smaller where it is larger than
height and width, which turn for a portrait one."""


def kept(image: Image, height: int, width: int, fit: Fit) -> Image:
    """What a stream needs of an RGB picture (h, w, 3) uint8. Raises ValueError for anything else."""
    if fit != "within":
        return fit_image(image, height, width, fit)
    inner = within(image.shape[0], image.shape[1], height, width)
    return image if inner[0] >= image.shape[0] else fit_image(image, *inner, "stretch")
