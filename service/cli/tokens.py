"""`inkling tokens`: make, list and revoke the tokens of a server on this machine."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

from inkling.service.access.quota import Quota
from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, TokenError, Tokens

DAY_S = 86400.0
_QUOTA = {
    "streams": "most streams open at once",
    "people": "most people watched at once, over all of its streams",
    "sources": "most sources that it may add",
    "bytes_per_s": "bytes a second that its streams may send",
}
"""A token's own quota, where the settings `token_*` do not fit it."""


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `tokens`."""
    tokens = verbs.add_parser("tokens", help="make, list and revoke the tokens that a server asks for")
    tokens.add_argument("--state-dir", type=Path, help="of the server (default: its setting INKLING_STATE_DIR)")
    kinds = tokens.add_subparsers(required=True, metavar="ACTION")
    create = kinds.add_parser("create", help="print a new token, once")
    create.add_argument("name", metavar="NAME", help="whose it is: shown in lists and logs")
    create.add_argument("--role", choices=[role.value for role in Role], required=True, help="what it may do")
    create.add_argument("--days", type=float, help="how long it is valid (default: until it is revoked)")
    for name, what in _QUOTA.items():
        create.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=f"{what} (default: the setting)")
    create.set_defaults(run=_create)
    kinds.add_parser("list", help="every token, without its secret").set_defaults(run=_list)
    revoke = kinds.add_parser("revoke", help="refuse a token from now on")
    revoke.add_argument("id", metavar="ID", help="as `list` shows it")
    revoke.set_defaults(run=_revoke)


def _create(args: argparse.Namespace) -> int:
    lifetime_s = None if args.days is None else args.days * DAY_S
    quota = Quota(**{name: getattr(args, name) for name in _QUOTA})
    _, text = _open(args).create(args.name, Role(args.role), time.time(), lifetime_s, quota)
    print("Keep it: it cannot be shown again.", file=sys.stderr)
    print(text)
    return 0


def _list(args: argparse.Namespace) -> int:
    for token in _open(args).all():
        ends = "" if token.expires_s is None else f"  until {_date(token.expires_s)}"
        granted = "".join(
            f"  {name.replace('_', '-')} {value}" for name, value in asdict(token.quota).items() if value is not None
        )
        print(f"{token.id}  {token.role:<8} since {_date(token.created_s)}{ends}{granted}  {token.name}")
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
