"""Which extra of the distribution brings a package, and the sentence for one that is not installed.

The base install is the client. Whatever needs more is imported where it is used, and says this when it is not there.
"""

from __future__ import annotations

EXTRAS = {
    "av": "images",
    "cv2": "images",
    "fastapi": "serve",
    "prometheus_client": "serve",
    "rich": "serve",
    "simplejpeg": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "onnxruntime": "cpu",
    "lightning_fabric": "train",
    "matplotlib": "train",
    "onnx": "train",
    "onnxscript": "train",
    "scipy": "train",
    "tensorboard": "train",
    "torch": "train",
}
"""Package, as it is imported: extra."""

_ALSO = {"cpu": "; with an NVIDIA GPU install the extra gpu instead, never both"}


def missing(package: str | None, what: str, extra: str | None = None) -> str | None:
    """What to tell somebody for whom `what` does not work because `package` is not there; None: it is none of ours.

    extra: the one to name, where `what` has one that brings all it needs.
    """
    top = (package or "").partition(".")[0]
    extra = extra or EXTRAS.get(top)
    if extra is None:
        return None
    return (
        f"{what} needs the package {top!r}, which comes with the extra {extra}; "
        f"in a checkout: pip install '.[{extra}]'{_ALSO.get(extra, '')}"
    )
