"""Errors of training: bad data, bad recipes, models that must not be shipped.

TrainingError
├── DataError                a data set or an official download cannot be used; carries every problem found
├── ConfigError              a recipe does not parse, or contradicts itself or an earlier run
│   ├── UnknownKeyError        `--set` names a key that recipes do not have
│   ├── UnreadableChangeError  `--set` is no KEY=VALUE
│   ├── DeviceError            the asked device is not there
│   └── DataMovedError         the data of a run are not where the run remembers them
└── ExportError              the ONNX step does not do what the torch network does
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.models.errors import InklingError

SHOWN_PROBLEMS = 20


class TrainingError(InklingError):
    """Base of what training refuses on purpose. Its text tells the user what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a data set. `row` is the line of `file` (the header is line 1), None for the whole file."""

    file: Path
    row: int | None
    reason: str

    def __str__(self) -> str:
        where = str(self.file) if self.row is None else f"{self.file}:{self.row}"
        return f"{where}: {self.reason}"


class DataError(TrainingError):
    """Data that cannot be trained on. `problems` holds all of them, the text the first `SHOWN_PROBLEMS`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a DataError needs at least one problem")
        lines = [str(problem) for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"and {len(problems) - SHOWN_PROBLEMS} more problems")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)


class ConfigError(TrainingError):
    """A recipe that does not parse or contradicts itself, or a run directory that belongs to another recipe."""


class UnknownKeyError(ConfigError):
    """A key that recipes do not have. `nearest` are names that look like it."""

    def __init__(self, key: str, nearest: Sequence[str]) -> None:
        advice = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
        super().__init__(f"--set {key}: recipes have no such key{advice}")
        self.key, self.nearest = key, tuple(nearest)


class UnreadableChangeError(ConfigError):
    """A change that is no KEY=VALUE."""

    def __init__(self, change: str) -> None:
        super().__init__(f"--set {change}: write KEY=VALUE, such as --set fit.epochs=10")
        self.change = change


class DeviceError(ConfigError):
    """The asked device is not there, or cannot do what was asked."""


class DataMovedError(ConfigError):
    """The data set folders of a run are not where the run remembers them."""

    def __init__(self, run: Path, root: Path, missing: Path) -> None:
        super().__init__(
            f"{run} was trained on data in {root}, and {missing} is not there any more; "
            "say where it is now with --data FOLDER"
        )
        self.run, self.root, self.missing = run, root, missing


class ExportError(TrainingError):
    """The exported step is not the trained network, or cannot become a bundle. Nothing was written."""
