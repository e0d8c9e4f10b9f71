"""The error tree of everything that Inkling raises on purpose.

InklingError                     every error below; catch it at the outermost shell
├── BundleError                  a bundle cannot be used; carries `path` and `reason`
│   ├── BundleNotFound           no bundle of that name or version (or no such directory)
│   ├── BundleInvalid            bundle.json, the graph or a state does not fit the contract
│   ├── BundleCorrupt            a file is missing or its sha256 differs
│   ├── BundleUnsupported        schema version, kind or opset outside what this release reads
│   ├── BundleOfAnotherKind      it finds people and one that knows actions was asked for, or the other way round
│   └── BundleDisagrees          a graph does not reproduce the stored test vector
├── SkeletonError                unknown skeleton, or one that cannot be mapped onto another
├── inkling.models.npz.BadNpz    bytes that are no .npz file, or unpack to too much
├── VideoError                   a video file cannot be read, or not this part of it
├── inkling.service.protocol.errors.ServiceError  what goes over the wire; has a code and a close code
└── inkling.training.errors.TrainingError  data, configuration and export
"""

from __future__ import annotations

from pathlib import Path


class InklingError(Exception):
    """Base of every error that Inkling raises on purpose. Its text tells the user what to do."""


class BundleError(InklingError):
    """A bundle cannot be used. `path` is the bundle's directory, `reason` one sentence."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


class BundleNotFound(BundleError):
    """No bundle of that name or version in the searched directories."""


class BundleInvalid(BundleError):
    """`bundle.json`, the graph or a state tensor does not fit the contract."""


class BundleCorrupt(BundleError):
    """A listed file is missing or its sha256 is not the one in `bundle.json`."""


class BundleUnsupported(BundleError):
    """Of another schema version, kind or opset than this release reads."""


class BundleOfAnotherKind(BundleError):
    """A good bundle perhaps, but not of the kind that was asked for."""


class BundleDisagrees(BundleError):
    """A graph does not reproduce the outputs of the stored test vector."""


class SkeletonError(InklingError):
    """Unknown skeleton name, or poses that cannot be mapped onto the bundle's skeleton."""


class VideoError(InklingError):
    """A video file cannot be read, or not this part of it; the text says why, without naming the file."""
