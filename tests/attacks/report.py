"""The measured attacks as a table, for the terminal and for the documentation. Pure but for one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkling.training.markdown import table

RESULTS = Path(__file__).with_name("results.json")
COLUMNS = ("attack", "peak MB", "p99 ms", "silence ms", "wrong", "the attacker got", "within bounds")
SHOWN = 4
"""Kinds of answers in a row, the most frequent ones."""


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of the table. row: as `Verdict.as_json` has it."""
    most = sorted(row["got"].items(), key=lambda item: -item[1])[:SHOWN]
    got = ", ".join(f"{what} x {count}" if count > 1 else what for what, count in most)
    return (
        row["attack"],
        f"{row['peak_mb']}",
        f"{row['p99_ms']:.0f}",
        f"{row['silence_ms']:.0f}",
        f"{row['wrong']} of {row['predictions']}",
        got or "nothing",
        "yes" if not row["broken"] else "no: " + "; ".join(row["broken"]),
    )


def kept() -> dict[str, Any]:
    """The figures that were kept, by attack."""
    if not RESULTS.exists():
        return {}
    return {row["attack"]: row for row in json.loads(RESULTS.read_text(encoding="utf-8"))["attacks"]}


def keep(row: Mapping[str, Any], names: Sequence[str]) -> None:
    """Keep a row in place of an older one of its name. names: of all attacks there are, in order."""
    rows = kept() | {row["attack"]: row}
    attacks = [rows[name] for name in names if name in rows]
    RESULTS.write_text(json.dumps({"attacks": attacks}, indent=1) + "\n", encoding="utf-8")


def markdown() -> str:
    """The table of the figures that were kept."""
    return table(COLUMNS, map(cells, kept().values()), right=(1, 2, 3))
