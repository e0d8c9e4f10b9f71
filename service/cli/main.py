"""The `inkling` command: one verb a line, typed errors as one sentence on stderr.

What the base install lacks is imported by the verb that needs it, which then says which extra brings it.
Exit codes: 0 done, 1 an error that the sentence explains, 2 wrong usage or a missing extra, 130 interrupted.
Verbs of other packages (training's) come in through the entry-point group `inkling.commands`: a callable that takes
the arguments after its name and returns the exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.models.errors import BundleError, InklingError
from inkling.models.extras import EXTRAS, missing
from inkling.service.cli import client_verbs, film_verbs, reach, tokens
from inkling.service.version import described

if TYPE_CHECKING:
    from inkling.models.bundle import Found

GROUP = "inkling.commands"
SERVER_VERBS = ("serve", "bundles")
"""Verbs that the base install only names: they need the extra `serve`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` without the program's name; None: the process's own."""
    argv = list(sys.argv[1:] if argv is None else argv)
    plugins = {entry.name: entry for entry in entry_points(group=GROUP)}
    try:
        if argv and argv[0] in plugins:
            return _run_plugin(plugins[argv[0]], argv[1:])
        if argv and argv[0] in SERVER_VERBS:
            import inkling.service.settings  # noqa: F401 -- first, for its flags would be unknown without it
        args = build_parser(plugins).parse_args(argv)
        code: int = args.run(args)
    except InklingError as error:
        print(f"inkling: {error}", file=sys.stderr)
        if (advice := reach.advice(error)) is not None:
            print(f"inkling: {advice}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (text := missing(error.name, f"inkling {argv[0]}")) is None:
            raise
        print(f"inkling: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `inkling … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def build_parser(plugins: Sequence[str] | dict[str, EntryPoint] = ()) -> argparse.ArgumentParser:
    """The parser of all verbs; each sets `run`: takes the parsed arguments, returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="inkling", description="Says at every frame which action is under way or about to happen."
    )
    parser.add_argument("--version", action=_Version, help="show version, commit and bundles, and exit")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_serve(verbs)

    bundles = verbs.add_parser("bundles", help="list the bundles that a server here would find")
    bundles.add_argument("--config", type=Path, metavar="FILE", help="as for serve")
    bundles.add_argument("--bundles", metavar="BUNDLES", help="as for serve")
    bundles.add_argument("--json", action="store_true", help="print one JSON array")
    bundles.set_defaults(run=_bundles)

    tokens.register(verbs)
    client_verbs.register(verbs)
    film_verbs.register(verbs)
    for name in plugins:
        verbs.add_parser(name, help=f"see `inkling {name} --help`")
    return parser


def _add_serve(verbs: argparse._SubParsersAction[Any]) -> None:
    """The parser of `serve`, without its flags where the extra is missing."""
    try:
        from inkling.service.settings import CONFIG_VARIABLE, FIELDS, PREFIX, Settings
    except ModuleNotFoundError:
        verbs.add_parser("serve", help="run the server (needs the extra serve)")
        return

    serve = verbs.add_parser("serve", help="run the server", description=f"Run the server. {Settings.__doc__}")
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help=f"TOML file with settings (also {CONFIG_VARIABLE}; flags win)"
    )
    for name, field in FIELDS.items():
        default = "" if field.default in ((), None) else f"; default {field.default}"
        serve.add_argument(
            f"--{name.replace('_', '-')}",
            metavar=name.rsplit("_", 1)[-1].upper(),
            help=f"{field.description} ({PREFIX}{name.upper()}{default})",
        )
    serve.set_defaults(run=_serve)


class _Version(argparse.Action):
    """`--version`, which looks for bundles only when it is asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(described())
        try:
            from inkling.models.bundle import Registry, zoo_directory
            from inkling.service.settings import load_settings
        except ModuleNotFoundError:
            print("the client alone; the server comes with the extra serve")
        else:
            found = Registry([zoo_directory(), *load_settings().bundles]).scan()
            print("bundles:", ", ".join(f"{entry.name}/{entry.version}" for entry in found) or "none")
        parser.exit()


def _serve(args: argparse.Namespace) -> int:
    from inkling.service.settings import FIELDS, load_settings

    settings = load_settings({name: getattr(args, name) for name in FIELDS}, args.config)
    from inkling.service import (
        logs,  # the other verbs start faster without a web framework
        server,  # the other verbs start faster without a web framework
    )

    logs.setup(settings.log_level, settings.log_format)
    server.serve(settings, announce=lambda line: print(line, flush=True))
    return 0


def _bundles(args: argparse.Namespace) -> int:
    from inkling.models.bundle import Registry, zoo_directory
    from inkling.service.settings import load_settings

    settings = load_settings({"bundles": args.bundles}, args.config)
    rows: list[dict[str, object]] = []
    for found in Registry([zoo_directory(), *settings.bundles]).scan():
        row: dict[str, object] = {"name": found.name, "version": found.version, "path": str(found.path)}
        try:
            row |= _facts(found)
        except BundleError as error:
            row["error"] = error.reason
        rows.append(row)
    if args.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['name']}/{row['version']}", row.get("error") or _describe(row), sep="\t")
    if not rows:
        print("no bundles; name a directory with --bundles", file=sys.stderr)
    return 0


def _facts(found: Found) -> dict[str, object]:
    """What is listed of a bundle. Raises BundleError."""
    from inkling.models.bundle import load, load_people

    if found.kind == "people":
        people = load_people(found.path).spec
        return {"kind": people.kind, "skeleton": people.skeleton.name, "max_people": people.max_people}
    spec = load(found.path).spec
    facts: dict[str, object] = {
        "kind": spec.kind,
        "task": spec.task,
        "input": " and ".join(given.kind for given in spec.inputs),
    }
    return facts | {"rate_hz": spec.rate_hz, "labels": spec.labels}


def _describe(row: dict[str, object]) -> str:
    if row["kind"] == "people":
        return f"finds up to {row['max_people']} people in a picture, as {row['skeleton']}, in {row['path']}"
    labels = row["labels"]
    count = len(labels) if isinstance(labels, tuple) else 0
    return f"{row['task']} of {count} labels from {row['input']}s at {row['rate_hz']:g} Hz, in {row['path']}"


def _run_plugin(entry: EntryPoint, argv: list[str]) -> int:
    try:
        code: int = entry.load()(argv)
    except ModuleNotFoundError as error:
        what = f"inkling {entry.name}"
        own = entry.name if entry.name in EXTRAS.values() else None
        text = missing(error.name, what, own) or f"{what} needs the package {error.name!r}, which is not installed"
        print(f"inkling: {text}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
