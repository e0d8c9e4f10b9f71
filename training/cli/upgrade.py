"""`inkling train upgrade`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from inkling.training.cli.options import Verbs


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("upgrade", help="a new version of a bundle of an earlier release, for GPUs")
    verb.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle NAME/VERSION; it stays as it is")
    verb.add_argument("out", type=Path, metavar="BUNDLES", help="the new bundle becomes BUNDLES/NAME/VERSION")
    verb.add_argument("--version", required=True, help="of the new bundle: higher than the old one's")
    verb.set_defaults(run=_upgrade)


def _upgrade(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.export.upgrade import upgrade

    path = upgrade(arguments.bundle, arguments.out, arguments.version)
    console.print(f"verified bundle in {path}", markup=False)
