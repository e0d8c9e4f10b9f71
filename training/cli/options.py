"""Options that several verbs have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_device(verb: argparse.ArgumentParser) -> None:
    """`--device`, with the names that the server has."""
    verb.add_argument(
        "--device", default="auto", type=_device, choices=("auto", "cpu", "cuda"),
        help="where to compute (default auto: a GPU where there is one)",
    )  # fmt: skip
    verb.add_argument("--devices", type=int, default=1, metavar="N", help="share each batch among so many (default 1)")


def add_changes(verb: argparse.ArgumentParser) -> None:
    """`--set`, which may be repeated."""
    verb.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="KEY=VALUE",
        help="change a key of the recipe, such as fit.epochs=10; may be repeated",
    )  # fmt: skip


def add_data(verb: argparse.ArgumentParser) -> None:
    """`--data` of a verb on a run, which remembers it."""
    verb.add_argument("--data", type=Path, help="where data set paths start (default: where they did for the fit)")


def add_seed(verb: argparse.ArgumentParser) -> None:
    """`--seed` of a verb on one of a run's students."""
    verb.add_argument("--seed", type=int, help="by default the seed with the best validation AUC")


def _device(name: str) -> str:
    """`gpu` is what `cuda` was called before."""
    return "cuda" if name == "gpu" else name
