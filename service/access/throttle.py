"""Failed tries to sign in, slowed down by address. Pure: time comes in as an argument.

After a few failures an address must wait before it is heard again, twice as long after each further one. A good token
from another address is never held up.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

FREE = 5
"""Failures that cost nothing: people mistype."""
FIRST_S = 1.0
LONGEST_S = 300.0
FORGOTTEN_S = 3600.0
"""Quiet seconds after which an address starts anew."""
MOST = 4096
"""Addresses that are remembered; beyond that the one that was quiet for longest is forgotten."""


class Throttle:
    """What addresses have failed, and until when they are not heard."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # count, time of the last one
        self.total = 0
        """Failures so far, of all addresses."""

    def wait_s(self, address: str, now_s: float) -> float:
        """Seconds until the address is heard again; 0: now."""
        count, last_s = self._failures.get(_network(address), (0, now_s))
        if count < FREE:
            return 0.0
        return max(0.0, last_s + min(FIRST_S * 2.0 ** min(count - FREE, 32), LONGEST_S) - now_s)

    def failed(self, address: str, now_s: float) -> None:
        """A wrong token came from there."""
        self.total += 1
        key = _network(address)
        count, last_s = self._failures.pop(key, (0, now_s))
        self._failures[key] = (1 if now_s - last_s >= FORGOTTEN_S else count + 1, now_s)
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """A right one came from there."""
        self._failures.pop(_network(address), None)


def _network(address: str) -> str:
    """The address itself; of IPv6 the /64, which one customer has whole."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
