"""What a token lets its holder do. Pure.

| role | may |
|---|---|
| `stream` | open streams, score clips, and see its own clips |
| `view` | see which streams and sources there are, and follow them |
| `operate` | all of that, and add, change and remove sources, see and cancel the clips of others |
| `admin` | everything, tokens too |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from inkling.service.access.quota import USUAL, Quota


class Role(StrEnum):
    """The role of a token."""

    STREAM = "stream"
    VIEW = "view"
    OPERATE = "operate"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether a token of this role may do what needs the other one."""
        return other in _INCLUDES[self]


_INCLUDES = {
    Role.STREAM: {Role.STREAM},
    Role.VIEW: {Role.VIEW},
    Role.OPERATE: {Role.STREAM, Role.VIEW, Role.OPERATE},
    Role.ADMIN: set(Role),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request. id: of the token, or what stands for one; name: for logs, as the operator gave it.

    quota: what it was granted in place of the usual.
    """

    id: str
    name: str
    role: Role
    quota: Quota = USUAL

    def may(self, needed: Role) -> bool:
        """Whether this one may do what needs that role."""
        return self.role.includes(needed)


LOCAL = Identity("local", "this machine", Role.ADMIN)
"""Everybody, on a server that listens on loopback alone and has no tokens, or that was told to ask nobody."""
