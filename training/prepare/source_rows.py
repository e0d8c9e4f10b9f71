"""What a folder of clips says about itself: by a `clips.csv`, or by the names of its folders."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from inkling.training.data.frame_dataset import Row, read_rows
from inkling.training.data.pose_dataset import CLIPS_FILE
from inkling.training.errors import DataError, Problem

SPLITS = ("train", "val", "test")


def find_rows(source: Path, endings: Collection[str]) -> list[Row]:
    """A row for each clip: of `clips.csv`, else of the files with these endings in class folders. Raises DataError."""
    if not source.is_dir():
        raise DataError([Problem(source, None, "no such folder")])
    table = source / CLIPS_FILE
    if table.exists():
        rows, problems = read_rows(table, ("path", "label"))
        problems += [
            Problem(table, row.line, f"{row.path}: no such file") for row in rows if not (source / row.path).is_file()
        ]
        if problems:
            raise DataError(problems)
        return rows
    rows = []
    for path in sorted(source.glob("**/*")):
        parts = path.relative_to(source).parts
        hidden = any(part.startswith(".") for part in parts)  # such as macOS leaves beside each file it copies
        if path.suffix.lower() not in endings or len(parts) < 2 or hidden:
            continue
        split = parts[0] if parts[0] in SPLITS and len(parts) > 2 else "train"
        label = parts[1] if len(parts) > 2 and split == parts[0] else parts[0]
        rows.append(Row.model_validate({"line": 0, "path": "/".join(parts), "label": label, "split": split}))
    if not rows:
        raise DataError([Problem(source, None, f"has neither {CLIPS_FILE} nor class folders with {_named(endings)}")])
    return rows


def _named(endings: Collection[str]) -> str:
    """A few of the endings: all of many would hide what is meant."""
    shown = sorted(endings)[:4]
    return "files " + ", ".join(shown) + (", …" if len(endings) > len(shown) else "")
