from __future__ import annotations

import contextlib
import socket
from ipaddress import ip_address

from inkling.service.sources.own_addresses import is_own_address


def test_an_address_of_a_network_card_is_this_machines_and_a_neighbours_is_not() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with contextlib.suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it finds the address that this machine has outside
        own = probe.getsockname()[0]
    assert is_own_address(ip_address(own))
    assert is_own_address(ip_address("127.9.9.9"))
    assert not is_own_address(ip_address("192.0.2.1"))
    assert not is_own_address(ip_address("2001:db8::1"))
