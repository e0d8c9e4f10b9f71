"""`inkling train export-people`."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console

from inkling.training.cli.options import Verbs


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("export-people", help="a verified bundle of an ONNX file that finds people in pictures")
    verb.add_argument("graph", type=Path, metavar="GRAPH.onnx")
    verb.add_argument("about", type=Path, metavar="ABOUT.toml", help="what it is; docs/how-to/bring-a-bundle.md")
    verb.add_argument("out", type=Path, metavar="BUNDLES", help="the bundle becomes BUNDLES/NAME/VERSION")
    verb.add_argument("--figures", type=Path, help="measured quality, as tests.benchmarks.people --out writes it")
    verb.add_argument(
        "--int8",
        type=Path,
        nargs="+",
        metavar="FILM",
        default=[],
        help="write it in eight bits, for CPUs with VNNI; the ranges are those of frames of these films, some dozens",
    )
    verb.set_defaults(run=_export)


def _export(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.figures import read_figures
    from inkling.training.export.people import export_people

    figures = None if arguments.figures is None else read_figures(arguments.figures)
    path = export_people(arguments.graph, arguments.about, arguments.out, figures, arguments.int8)
    console.print(f"verified bundle in {path}", markup=False)
    console.print(f"next: inkling serve --bundles {quote(str(arguments.out))}", markup=False)
