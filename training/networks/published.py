"""Published weights by name, and fetching them: resumable, verified, from their public addresses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from inkling.training.errors import TrainingError


class FetchError(TrainingError):
    """Weights that could not be fetched, or are not what was published."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where weights are, and how their sha256 begins. one_way: temporal shift without the future."""

    url: str
    sha256: str
    backbone: str
    about: str
    one_way: bool = False

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


_TORCHVISION = "https://download.pytorch.org/models/"
_IMAGENET = "ImageNet-1k, by torchvision (BSD-3-Clause); ImageNet has terms of its own"
PUBLISHED = {
    "mobilenet_v2": Published(f"{_TORCHVISION}mobilenet_v2-b0353104.pth", "b0353104", "mobilenet_v2", _IMAGENET),
    "resnet18": Published(f"{_TORCHVISION}resnet18-f37072fd.pth", "f37072fd", "resnet18", _IMAGENET),
    "resnet50": Published(f"{_TORCHVISION}resnet50-0676ba61.pth", "0676ba61", "resnet50", _IMAGENET),
    "vgg16": Published(f"{_TORCHVISION}vgg16-397923af.pth", "397923af", "vgg16", _IMAGENET),
}

CHUNK = 1 << 20
BytesProgress = Callable[[int, int], None]
"""Receives bytes so far and in all (0 where the server does not say)."""


def weights_folder() -> Path:
    """`INKLING_WEIGHTS`, else the user's cache."""
    given = os.environ.get("INKLING_WEIGHTS")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inkling" / "weights"


def fetch(
    published: Published,
    folder: Path | None = None,
    progress: BytesProgress = lambda done, total: None,
    timeout_s: float = 30.0,
) -> Path:
    """Fetch a file, or continue to; returns where it lies. What is there and right is not fetched again.

    Raises FetchError; what has come so far is kept for the next try unless it is wrong.
    """
    folder = folder or weights_folder()
    path, partial = folder / published.file, folder / f"{published.file}.partial"
    if path.exists() and _sha256(path).startswith(published.sha256):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _download(published.url, partial, progress, timeout_s)
    except httpx.HTTPError as error:
        raise FetchError(f"{published.url}: {str(error) or type(error).__name__}; try again to continue") from error
    found = _sha256(partial)
    if not found.startswith(published.sha256):
        partial.unlink()
        raise FetchError(f"{published.url}: sha256 begins with {found[:8]}, not with {published.sha256}")
    partial.replace(path)
    return path


def _download(url: str, partial: Path, progress: BytesProgress, timeout_s: float) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", url, headers=headers, timeout=timeout_s, follow_redirects=True) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there already; its digest decides
        response.raise_for_status()
        continues = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = have if continues else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = done + length if length else 0
        with partial.open("ab" if continues else "wb") as file:
            for chunk in response.iter_bytes(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
