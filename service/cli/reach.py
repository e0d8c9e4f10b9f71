"""How the verbs that talk to a server reach it: its address, and the token that it may ask for.

A token is never an argument: every user of the machine can read those. It comes from a file, or from the environment.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from inkling.client import Client, ClientError, RemoteError, Unreachable
from inkling.service.client.target import DEFAULT_URL
from inkling.service.protocol.errors import Forbidden, Unauthorized

TOKEN_VARIABLE = "INKLING_TOKEN"  # noqa: S105 -- the name of one
TOKEN_FILE_VARIABLE = "INKLING_TOKEN_FILE"  # noqa: S105
_PREFIX = "ink_"
"""What tokens begin with."""
_LONGEST = 1000
"""Characters of a file that may hold a token: one has less than 100."""


class NoToken(ClientError):
    """The file that should hold the token does not."""


def add_server(parser: argparse.ArgumentParser) -> None:
    """The flags that say which server, and who asks."""
    parser.add_argument("--url", default=DEFAULT_URL, help=f"the server; default {DEFAULT_URL}")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the token that the server asks for (also {TOKEN_FILE_VARIABLE}; or the token itself in"
        f" {TOKEN_VARIABLE})",
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file of the authority of an https server")


def add_rotate(parser: argparse.ArgumentParser) -> None:
    """The flag for pictures that do not stand upright."""
    parser.add_argument(
        "--rotate",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        help="turn the pictures clockwise first, of a camera that hangs upside down or on its side",
    )


def client(args: argparse.Namespace) -> Client:
    """A client for the server of `add_server`'s flags. Raises NoToken, and BadArgument for an address that is none."""
    return Client(args.url, token=token(args.token_file), ca_file=args.ca_file)


def token(file: Path | None) -> str | None:
    """The token of a file, else of the environment; None: there is none. Raises NoToken."""
    if file is None and (text := os.environ.get(TOKEN_VARIABLE, "").strip()):
        return _checked(text, TOKEN_VARIABLE)
    if file is None and (named := os.environ.get(TOKEN_FILE_VARIABLE)):
        file = Path(named)
    if file is None:
        return None
    if file.name.startswith(_PREFIX) and not file.exists():
        raise NoToken(
            f"--token-file names a file with the token: as an argument others could read it; or set {TOKEN_VARIABLE}"
        )
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoToken(f"{file}: no token can be read from it: {getattr(error, 'strerror', None) or error}") from None
    return _checked(text, str(file))


def advice(error: Exception) -> str | None:
    """What to do, on the command line, about an error of a server that wants to know who asks; None: it is another."""
    refused = isinstance(error, Unreachable) and "token=" in str(error)
    if refused or (isinstance(error, RemoteError) and error.code == Unauthorized.code):
        return f"give a token: --token-file FILE, or {TOKEN_VARIABLE}=… before it; `inkling tokens create` makes one"
    if isinstance(error, RemoteError) and error.code == Forbidden.code:
        return "this token may not do it: ask for one of another role, see `inkling tokens create --help`"
    return None


def _checked(text: str, where: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise NoToken(f"{where}: it should hold one token, as `inkling tokens create` printed it, and nothing else")
    return text
