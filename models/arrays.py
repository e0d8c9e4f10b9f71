"""The name of an array whose dtype is not fixed by its type; docstrings say shape and dtype."""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
