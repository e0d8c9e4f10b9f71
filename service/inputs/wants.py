"""Which kinds of frames a bundle takes, and what is said to those who offer another. Pure."""

from __future__ import annotations

from inkling.models.bundle.schema import BundleSpec
from inkling.service.protocol.errors import UnsupportedInput

NO_PERCEPTION = "to have people found in pictures, load a people bundle (setting people_bundle)"


def takes_both(spec: BundleSpec) -> bool:
    """Whether a step is given a person's joints and the picture that they were found in."""
    return spec.pose is not None and spec.frame is not None


def unsupported(spec: BundleSpec, offered: str, *, perception: bool = True) -> UnsupportedInput:
    """Why frames of the kind `offered` (`pose`, `frame`) are not taken. perception: whether people are found here."""
    if not takes_both(spec):
        advice = "" if perception or spec.pose is None else f"; {NO_PERCEPTION}"
        return UnsupportedInput(f"bundle {spec.name} takes input {spec.input.kind!r}, not {offered!r}{advice}")
    wants = f"bundle {spec.name} takes a person's joints together with the picture that they are in"
    if not perception:
        return UnsupportedInput(f"{wants}; {NO_PERCEPTION}")
    return UnsupportedInput(f"{wants}: send pictures (input 'frame'), in which the server finds the joints itself")
