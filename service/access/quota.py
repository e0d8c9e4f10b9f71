"""How much a token may take at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Quota:
    """Of one token; None: no limit but the server's own.

    streams: open at once, clips that are being scored included. people: watched at once, over all of them. sources:
    added. bytes_per_s: that its streams may send.
    """

    streams: int | None = None
    people: int | None = None
    sources: int | None = None
    bytes_per_s: int | None = None

    def or_else(self, usual: Quota) -> Quota:
        """The same, with the usual numbers where this one says nothing."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return Quota(**{name: getattr(usual, name) if value is None else value for name, value in own.items()})


USUAL = Quota()
"""Says nothing: the token gets what every token gets."""
