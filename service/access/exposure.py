"""Whether a server may listen where it is told to: not beyond this machine without tokens, unless somebody insists."""

from __future__ import annotations

import ipaddress
import socket

from inkling.models.errors import InklingError


class Unprotected(InklingError):
    """The server would be open to everybody who reaches its port."""


def check_exposure(host: str, *, protected: bool, insecure: bool) -> None:
    """host: to listen on. protected: there are tokens, or a proxy that signs people in. Raises Unprotected."""
    if protected or insecure or is_loopback(host):
        return
    raise Unprotected(
        f"listening on {host} without tokens would let everybody in: make one with `inkling tokens create NAME --role "
        "admin`, listen on 127.0.0.1, or insist with --insecure"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there; of a name, every address must be one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = {str(address[4][0]) for address in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)
