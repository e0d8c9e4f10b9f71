"""`inkling train reproduce`: run a study, write its tables. Heavy imports wait until it is called."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from inkling.training.study.study import Study

WRITE_S = 60.0
"""Tables of an unfinished study are written this often at most."""


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the verb and its options."""
    verb = verbs.add_parser(
        "reproduce", help="run a study: a recipe in variants, over seeds and splits; then its tables"
    )
    verb.add_argument("study", metavar="NAME", help="a shipped study, or a TOML file (see training/study/study.py)")
    verb.add_argument("out", type=Path, nargs="?", metavar="OUT", help="its directory (default runs/NAME); continues")
    verb.add_argument("--tables-only", action="store_true", help="write the tables of what is done, fit nothing")
    verb.add_argument(
        "--on", action="append", default=[], metavar="SET=FOLDER[,FOLDER...]",
        help="on your own data sets instead (folders below --data; several: splits of one set); may be repeated",
    )  # fmt: skip
    verb.add_argument("--sets", default="", help="only these sets, with commas between")
    verb.add_argument("--methods", default="", help="only these methods, and the baseline")
    verb.add_argument("--labelled", default="", help="only these shares of labels, such as 0.1,1")
    verb.add_argument("--seeds", default="", help="other seeds than the study's, such as 0,1,2")
    verb.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="KEY=VALUE",
        help="change a key of the base recipe, such as fit.epochs=10; may be repeated",
    )  # fmt: skip
    verb.set_defaults(run=_run)
    return verb


def _run(arguments: argparse.Namespace, console: Console) -> None:
    import torch

    from inkling.training.recipe.changes import changed
    from inkling.training.recipe.recipe import Recipe
    from inkling.training.study.runner import outcomes, reproduce
    from inkling.training.study.study import read_study
    from inkling.training.study.tables import write_tables

    torch.set_num_threads(1)  # a fit is many small steps: several studies at a time use more cores better
    whole, base = read_study(arguments.study)
    base = changed(base, arguments.changes, Recipe)
    out: Path = arguments.out or Path("runs") / whole.name
    study = _part(whole, arguments)
    command = _command(arguments)
    written = time.monotonic()

    def write() -> None:
        nonlocal written
        if time.monotonic() - written > WRITE_S:
            write_tables(study, outcomes(study, out), out, command)
            written = time.monotonic()

    if not arguments.tables_only:
        reproduce(study, base, out, arguments.data, report=lambda line: console.print(line, markup=False), after=write)
    write_tables(study, outcomes(study, out), out, command)
    console.print((out / "results.md").read_text(encoding="utf-8"), markup=False)
    console.print(f"files in {out}", markup=False)


def _command(arguments: argparse.Namespace) -> str:
    """The command that gives the same tables, wherever data and results lie."""
    words = ["inkling train reproduce", Path(arguments.study).stem, "--data DATASETS"]
    words += [f"--on {text}" for text in arguments.on]
    words += [f"--set {text}" for text in arguments.changes]
    for name in ("sets", "methods", "labelled", "seeds"):
        if getattr(arguments, name):
            words.append(f"--{name} {getattr(arguments, name)}")
    return " ".join(words)


def _part(study: Study, arguments: argparse.Namespace) -> Study:
    """What the options ask for. Raises ConfigError."""
    from inkling.training.errors import ConfigError

    if arguments.on:
        study = study.on(dict(_named_folders(text) for text in arguments.on))
    try:
        labelled = [float(share) for share in _listed(arguments.labelled)]
        seeds = [int(seed) for seed in _listed(arguments.seeds)]
    except ValueError as error:
        raise ConfigError(f"--labelled and --seeds are numbers with commas between ({error})") from error
    return study.restricted(
        sets=_listed(arguments.sets), methods=_listed(arguments.methods), labelled=labelled, seeds=seeds
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _named_folders(text: str) -> tuple[str, list[Path]]:
    """`SET=FOLDER,FOLDER`, or `FOLDER`, which gives the set its name. Raises ConfigError."""
    from inkling.training.errors import ConfigError

    name, _, folders = text.rpartition("=")
    paths = [Path(folder) for folder in _listed(folders)]
    if not paths:
        raise ConfigError(f"--on {text!r} names no folder")
    return name or paths[0].name, paths
