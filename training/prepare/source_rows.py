"""What a folder of clips says about itself: by a `clips.csv`, an `index.csv`, or the names of its folders.

An `index.csv` is what public sets come with: `path,label`, often `group`, a column `split` or several such as
`split1`, and more columns, which do not matter. Where its split is empty the clip is for training.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

from inkling.training.data.frame_dataset import Row, read_rows, row_of
from inkling.training.data.pose_dataset import CLIPS_FILE, COLUMNS
from inkling.training.errors import DataError, Problem

INDEX_FILE = "index.csv"
SPLITS = ("train", "val", "test")
VIDEO_ENDINGS = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv", ".flv"})


def find_rows(
    source: Path, endings: Collection[str], *, split: str = "", labels: Mapping[str, str] | None = None
) -> list[Row]:
    """A row for each clip: of a table, else of the files with these endings in class folders. Raises DataError.

    split: of an `index.csv` with several, which one: `1` is the column `split1`. labels: of files whose rows have none.
    """
    if not source.is_dir():
        raise DataError([Problem(source, None, "no such folder")])
    table, index = source / CLIPS_FILE, source / INDEX_FILE
    if split and (table.exists() or not index.exists()):
        raise DataError([Problem(index, None, f"split {split!r} is one of this table, which is not there or not used")])
    if table.exists() or index.exists():
        if not table.exists():
            table = index
            rows, problems = _indexed_rows(index, f"split{split}", labels or {})
        else:
            rows, problems = read_rows(table, ("path", "label"), labels or {})
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
        raise DataError(
            [
                Problem(
                    source, None, f"has neither {CLIPS_FILE} nor {INDEX_FILE} nor class folders with {_named(endings)}"
                )
            ]
        )
    return rows


def _indexed_rows(index: Path, split: str, labels: Mapping[str, str]) -> tuple[list[Row], list[Problem]]:
    """The rows of an `index.csv`, and what is wrong with it. split: the name of its column."""
    try:
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            missing = [name for name in ("path", "label") if name not in columns]
            several = [name for name in columns if name.startswith("split") and name != "split"]
            if missing:
                return [], [Problem(index, 1, f"no column {missing[0]}")]
            if split not in columns and (several or split != "split"):
                return [], [Problem(index, 1, f"no column {split}; there are {', '.join(several) or 'no splits'}")]
            lines = [(reader.line_num, cells) for cells in reader]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        return [], [Problem(index, None, str(error))]
    found = [(line, row_of({**_wanted(cells), "split": cells.get(split) or ""}, line, labels)) for line, cells in lines]
    rows = [row for _, row in found if isinstance(row, Row)]
    return rows, [Problem(index, line, row) for line, row in found if not isinstance(row, Row)]


def _wanted(cells: Mapping[str, str]) -> dict[str, str]:
    return {name: cells[name] for name in COLUMNS if name in cells and name != "split"}


def _named(endings: Collection[str]) -> str:
    """A few of the endings: all of many would hide what is meant."""
    shown = sorted(endings)[:4]
    return "files " + ", ".join(shown) + (", …" if len(endings) > len(shown) else "")
