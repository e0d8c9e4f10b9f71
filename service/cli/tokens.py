"""`inkling tokens`: make, list and revoke the tokens of a server on this machine."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, TokenError, Tokens

DAY_S = 86400.0


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `tokens`."""
    tokens = verbs.add_parser("tokens", help="make, list and revoke the tokens that a server asks for")
    tokens.add_argument("--state-dir", type=Path, help="of the server (default: its setting INKLING_STATE_DIR)")
    kinds = tokens.add_subparsers(required=True, metavar="ACTION")
    create = kinds.add_parser("create", help="print a new token, once")
    create.add_argument("name", metavar="NAME", help="whose it is: shown in lists and logs")
    create.add_argument("--role", choices=[role.value for role in Role], required=True, help="what it may do")
    create.add_argument("--days", type=float, help="how long it is valid (default: until it is revoked)")
    create.set_defaults(run=_create)
    kinds.add_parser("list", help="every token, without its secret").set_defaults(run=_list)
    revoke = kinds.add_parser("revoke", help="refuse a token from now on")
    revoke.add_argument("id", metavar="ID", help="as `list` shows it")
    revoke.set_defaults(run=_revoke)


def _create(args: argparse.Namespace) -> int:
    lifetime_s = None if args.days is None else args.days * DAY_S
    _, text = _open(args).create(args.name, Role(args.role), time.time(), lifetime_s)
    print("Keep it: it cannot be shown again.", file=sys.stderr)
    print(text)
    return 0


def _list(args: argparse.Namespace) -> int:
    for token in _open(args).all():
        ends = "" if token.expires_s is None else f"  until {_date(token.expires_s)}"
        print(f"{token.id}  {token.role:<8} since {_date(token.created_s)}{ends}  {token.name}")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    _open(args).revoke(args.id)
    return 0


def _open(args: argparse.Namespace) -> Tokens:
    """The server's tokens. Raises TokenError, SettingsError."""
    from inkling.service.settings import load_settings  # the client's verbs need no settings

    directory = args.state_dir or load_settings().state_dir
    if directory is None:
        raise TokenError("tokens are kept in the server's state_dir: set INKLING_STATE_DIR, or give --state-dir")
    return Tokens(directory / FILE)


def _date(time_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(time_s))
