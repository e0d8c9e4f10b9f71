"""What a source may be: schemes, hosts, directories and devices. Pure but for looking at a file's path and at
this machine's addresses.

Private by default: nothing of this machine (no file, no device, no address of its own), no link-local address (where
clouds keep their secrets), no multicast. A camera's address is checked when its name has been looked up, and the
connection goes to the address that was checked, so that a name that changes its mind leads nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from pydantic import Field
from pydantic.dataclasses import dataclass

from inkling.service.protocol.errors import SourceRefused
from inkling.service.sources.address import SCHEMES, Address
from inkling.service.sources.own_addresses import is_own_address

_NAT64 = IPv6Network("64:ff9b::/96")
_METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
"""Where clouds (Amazon, Google, Alibaba, Azure, Oracle) keep the secrets of a machine, outside the link-local range."""


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """The settings `source_*` that say what may be fetched, and their defaults.

    hosts: names, patterns (`*.cameras.lan`), addresses and networks (`10.1.0.0/16`). Empty: every host but those of
    this machine, link-local and the like; these must be named, and not by a pattern. ca_file: PEM, of the
    authorities whose certificates https and rtsps sources may have; None: the public ones.
    """

    schemes: tuple[str, ...] = Field(
        default=SCHEMES, description="kinds of sources that are allowed, separated by commas"
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="hosts that sources may be on: names, patterns, addresses, networks, separated by commas; empty: "
        "every host but this one and link-local addresses",
    )
    directories: tuple[Path, ...] = Field(
        default=(), description=f"directories that file sources may be in, separated by {os.pathsep!r}; empty: none"
    )
    devices: tuple[Path, ...] = Field(
        default=(), description="video devices that sources may be, separated by commas; empty: none"
    )
    verify_tls: bool = Field(
        default=True, description="whether the certificates of https and rtsps sources are checked"
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of certificates that sources may have; empty: those of public authorities"
    )

    def admit(self, address: Address) -> None:
        """Refuse what can be refused without looking anything up: for an early answer, not instead of the rest.

        Raises SourceRefused.
        """
        if address.scheme not in self.schemes:
            raise SourceRefused(f"sources of scheme {address.scheme!r} are not allowed here (setting source_schemes)")
        if address.scheme == "file":
            self.file(address)
        elif address.scheme == "device":
            self.device(address)
        else:
            numeric = _ip(address.host)
            if numeric is not None:
                self.choose(address.host, [address.host])
            elif not self._networks():
                local = address.host.rpartition(".")[2] == "localhost" and not self._listed(address.host)
                if local or (self.hosts and not self._named(address.host)):
                    raise _refused(address.host)

    def choose(self, host: str, found: Iterable[str]) -> str:
        """The first of the IP addresses `found` for `host` that may be connected to. Raises SourceRefused."""
        for text in found:
            ip = _ip(text.partition("%")[0])
            if ip is not None and self._allowed(host, ip):
                return text
        raise _refused(host)

    def file(self, address: Address) -> Path:
        """The real path of a file source, which lies in one of the directories. Raises SourceRefused.

        A relative path is looked for in each of them. Whether the file exists is said only of those inside.
        """
        for directory in self.directories:
            try:
                root = directory.resolve()
                path = (root / address.rest).resolve()  # follows links: they may lead out
                if path != root and path.is_relative_to(root) and path.is_file():
                    return path
            except (OSError, RuntimeError):  # a name too long, a directory that is closed, a ring of links
                continue
        if not self.directories:
            raise SourceRefused("files are not allowed as sources here (setting source_directories)")
        raise SourceRefused("there is no such file in the directories that sources may read")

    def device(self, address: Address) -> Path:
        """The path of a video device that is named in the settings. Raises SourceRefused."""
        for device in self.devices:
            if str(device) == address.rest:
                return device
        raise SourceRefused("this device is not allowed as a source here (setting source_devices)")

    def _allowed(self, host: str, ip: IPv4Address | IPv6Address) -> bool:
        if any(ip.version == network.version and ip in network for network in self._networks()):
            return True
        if self._listed(host):
            return True
        return not _special(ip) and (not self.hosts or self._named(host))

    def _named(self, host: str) -> bool:
        return any(fnmatchcase(host, pattern.lower()) for pattern in self.hosts)

    def _listed(self, host: str) -> bool:
        return any(host == entry.lower() for entry in self.hosts)

    def _networks(self) -> list[IPv4Network | IPv6Network]:
        networks = []
        for entry in self.hosts:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:  # a name or a pattern
                continue
        return networks


def _refused(host: str) -> SourceRefused:
    return SourceRefused(f"host {host!r} is not allowed as a source here (setting source_hosts)")


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """The address that packets would go to: an IPv4 address inside an IPv6 one counts as itself."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def _special(ip: IPv4Address | IPv6Address) -> bool:
    kinds = ip.is_loopback, ip.is_link_local, ip.is_multicast, ip.is_unspecified, ip.is_reserved, ip in _METADATA
    return any(kinds) or str(ip).startswith("0.") or is_own_address(ip)
