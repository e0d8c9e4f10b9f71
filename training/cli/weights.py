"""`inkling train weights`."""

from __future__ import annotations

import argparse

from rich.console import Console

from inkling.training.cli.options import Verbs


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("weights", help="fetch published weights of a backbone; continues a broken off one")
    verb.add_argument("name", nargs="?", metavar="NAME", help="without it: the names that there are")
    verb.set_defaults(run=_weights)


def _weights(arguments: argparse.Namespace, console: Console) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from inkling.training.errors import ConfigError
    from inkling.training.networks.published import PUBLISHED, fetch, weights_folder

    if arguments.name is None:
        for name, published in PUBLISHED.items():
            there = "fetched" if (weights_folder() / published.file).exists() else published.url
            console.print(f"{name}: {published.about}; {there}", markup=False)
        return
    if arguments.name not in PUBLISHED:
        raise ConfigError(f"no weights are known as {arguments.name!r}; there are {', '.join(PUBLISHED)}")
    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(arguments.name, total=None)
        path = fetch(
            PUBLISHED[arguments.name],
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
        )
    console.print(str(path), markup=False)
