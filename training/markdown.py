"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table without a line break at its end; a bar in a cell does not end it.

    right: the columns, counted from 0, whose cells are set to the right.
    """
    dashes = "|".join("---:" if column in right else "---" for column in range(len(head)))
    lines = ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|{dashes}|", *lines[1:]])


def _escaped(cell: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", cell)
