"""One name for an array of any shape and dtype; what it holds stands where it is used."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
