"""`inkling train new`: all steps in one command."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console

from inkling.training.cli.options import Verbs, add_changes, add_device


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("new", help="from a folder of your own clips to a verified bundle, in one command")
    verb.add_argument("source", type=Path, metavar="DIR", help="class folders of videos, or a data set of poses")
    verb.add_argument("--out", type=Path, help="folder for clips, run and bundles (default DIR-model)")
    verb.add_argument("--name", help="of the model (default: the folder's)")
    add_changes(verb)
    add_device(verb)
    verb.set_defaults(run=_new)


def _new(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.cli.progress import limit_threads, shown_progress
    from inkling.training.new import new_model

    limit_threads()
    with shown_progress(console) as bar:
        made = new_model(
            arguments.source, arguments.out,
            name=arguments.name, changes=arguments.changes, device=arguments.device, devices=arguments.devices,
            report=bar.report, video_done=bar.video_done, progress=bar.of_run,
        )  # fmt: skip
    lines = [f"verified bundle in {made.bundle}", f"report in {made.report}" if made.report else ""]
    lines += [
        "next:",
        f"  inkling serve --bundles {quote(str(made.bundles))}",
        f"  change {made.recipe} and train again: inkling train new {quote(str(arguments.source))} --out ANOTHER",
    ]
    console.print("\n".join(line for line in lines if line), markup=False)
