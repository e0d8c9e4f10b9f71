"""Which addresses are this machine's own, in whatever network."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address


def is_own_address(ip: IPv4Address | IPv6Address) -> bool:
    """Whether packets to it stay here: only such an address can be bound to."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError:
        return False
    return True
