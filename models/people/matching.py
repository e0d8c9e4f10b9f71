"""Which detection is which track: pairs of a similarity matrix. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greedy_pairs(similarity: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """(row, column) pairs of an (A, B) matrix, the most alike first; each row and column once, none below `least`.

    Equals go by row, then by column, so that the result depends on nothing but the matrix.
    """
    rows, columns = np.nonzero(similarity >= least)
    if not rows.size:
        return []
    order = np.argsort(-similarity[rows, columns], kind="stable")
    pairs: list[tuple[int, int]] = []
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column))
    return pairs
