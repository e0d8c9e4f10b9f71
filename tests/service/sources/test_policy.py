from __future__ import annotations

import contextlib
import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.errors import SourceRefused
from inkling.service.sources.address import Address
from inkling.service.sources.policy import SourcePolicy

PRIVATE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0",  # noqa: S104
    "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.1.2.3", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "2002:7f00:1::", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "::7f00:1",
    "64:ff9b:1::7f00:1",
)  # fmt: skip
USUAL = ("192.168.1.9", "10.0.0.9", "172.16.4.4", "93.184.216.34", "2001:db8:1::1", "fd12:3456::9")


@pytest.mark.parametrize("ip", PRIVATE)
def test_by_default_no_name_leads_to_this_machine_or_its_link(ip: str) -> None:
    with pytest.raises(SourceRefused, match="source_hosts"):
        SourcePolicy().choose("cam.lan", [ip])
    if "%" not in ip:
        host = f"[{ip}]" if ":" in ip else ip
        with pytest.raises(SourceRefused):
            SourcePolicy().admit(Address.parse(f"http://{host}/x"))


@pytest.mark.parametrize("ip", [ip for ip in USUAL if not ip.startswith("2001")])
def test_by_default_cameras_of_the_house_and_of_the_world_are_allowed(ip: str) -> None:
    assert SourcePolicy().choose("cam.lan", [ip]) == ip


def test_of_several_addresses_an_allowed_one_is_taken() -> None:
    assert SourcePolicy().choose("cam.lan", ["127.0.0.1", "nonsense", "10.0.0.9", "10.0.0.8"]) == "10.0.0.9"
    with pytest.raises(SourceRefused):
        SourcePolicy().choose("cam.lan", [])


def test_this_machine_is_refused_by_name_at_once() -> None:
    for host in ("localhost", "x.localhost"):
        with pytest.raises(SourceRefused):
            SourcePolicy().admit(Address.parse(f"rtsp://{host}/x"))
    SourcePolicy(hosts=("localhost",)).admit(Address.parse("rtsp://LOCALHOST/x"))
    SourcePolicy(hosts=("127.0.0.0/8",)).admit(Address.parse("rtsp://localhost/x"))


def test_named_hosts_are_the_only_ones() -> None:
    policy = SourcePolicy(hosts=("cam1.lan", "*.cameras.lan", "10.1.0.0/16", "::1"))
    assert policy.choose("cam1.lan", ["10.9.9.9"]) == "10.9.9.9"
    assert policy.choose("a.cameras.lan", ["10.9.9.9"]) == "10.9.9.9"
    assert policy.choose("other.lan", ["10.1.2.3"]) == "10.1.2.3"
    for host, ip in (("other.lan", "10.2.0.1"), ("cameras.lan.evil", "10.2.0.1"), ("xcam1.lan", "1.2.3.4")):
        with pytest.raises(SourceRefused):
            policy.choose(host, [ip])


def test_only_an_exact_name_or_network_opens_this_machine() -> None:
    assert SourcePolicy(hosts=("LocalHost",)).choose("localhost", ["127.0.0.1"]) == "127.0.0.1"
    assert SourcePolicy(hosts=("127.0.0.0/8",)).choose("cam.lan", ["127.0.0.1"]) == "127.0.0.1"
    assert SourcePolicy(hosts=("127.0.0.0/8",)).choose("cam.lan", ["::ffff:127.0.0.1"]) == "::ffff:127.0.0.1"
    for pattern in ("*", "*.lan", "c*m.lan"):
        with pytest.raises(SourceRefused):
            SourcePolicy(hosts=(pattern,)).choose("cam.lan", ["127.0.0.1"])


def test_a_scheme_that_is_not_listed_is_refused() -> None:
    SourcePolicy(schemes=("rtsp",)).admit(Address.parse("rtsp://cam/x"))
    with pytest.raises(SourceRefused, match="source_schemes"):
        SourcePolicy(schemes=("rtsp",)).admit(Address.parse("http://cam/x"))


def test_a_host_that_is_not_listed_is_refused_before_it_is_looked_up() -> None:
    with pytest.raises(SourceRefused):
        SourcePolicy(hosts=("*.lan",)).admit(Address.parse("http://cam.example.com/x"))
    SourcePolicy(hosts=("*.lan",)).admit(Address.parse("http://cam.lan/x"))


@given(st.ip_addresses())
def test_an_address_of_this_machine_is_never_chosen(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    for policy in (SourcePolicy(), SourcePolicy(hosts=("*",))):
        try:
            chosen = ipaddress.ip_address(policy.choose("cam.lan", [str(ip)]))
        except SourceRefused:
            continue
        assert chosen == ip
        assert not any((ip.is_loopback, ip.is_link_local, ip.is_multicast, ip.is_unspecified))


def test_files_are_refused_until_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SourceRefused, match="source_directories"):
        SourcePolicy().admit(Address.parse(f"file:{tmp_path}/a.mp4"))


def test_a_file_inside_a_directory_is_found(tmp_path: Path) -> None:
    inside, other = tmp_path / "in", tmp_path / "other"
    (inside / "deep").mkdir(parents=True)
    other.mkdir()
    (inside / "deep" / "a b.mp4").touch()
    policy = SourcePolicy(directories=(other, inside))
    for url in ("file:deep/a%20b.mp4", f"file:{inside}/deep/a%20b.mp4", "file:deep/../deep/a b.mp4"):
        assert policy.file(Address.parse(url)) == (inside / "deep" / "a b.mp4").resolve()


@pytest.mark.parametrize(
    "url", ["file:../secret", "file:link", "file:folder/secret", "file:deep/..", "file:.", "file:no"]
)
def test_nothing_outside_the_directory_is_reached(tmp_path: Path, url: str) -> None:
    inside = tmp_path / "in"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "secret").touch()
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "folder").symlink_to(tmp_path)
    for where in (url, f"file:{tmp_path}/secret", "file:/etc/passwd"):
        with pytest.raises(SourceRefused, match="no such file"):
            SourcePolicy(directories=(inside,)).file(Address.parse(where))


def test_devices_are_refused_unless_named() -> None:
    policy = SourcePolicy(devices=(Path("/dev/video0"),))
    assert policy.device(Address.parse("device:/dev/video0")) == Path("/dev/video0")
    for url in ("device:/dev/video1", "device:/dev/../dev/video0", "device:/dev/sda"):
        with pytest.raises(SourceRefused, match="source_devices"):
            policy.admit(Address.parse(url))


def test_a_path_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    for name in ("a" * 300, "ring", "ring/a.mp4"):
        with pytest.raises(SourceRefused, match="no such file"):
            SourcePolicy(directories=(tmp_path,)).file(Address.parse(f"file:{name}"))


def test_every_address_of_this_machine_counts_as_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with contextlib.suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it finds the address that this machine has outside
        own = probe.getsockname()[0]
    for ip in {own, "127.0.0.1", "127.9.9.9"} - {"0.0.0.0"}:  # noqa: S104
        with pytest.raises(SourceRefused):
            SourcePolicy().choose("cam.lan", [ip])
        assert SourcePolicy(hosts=(ip,)).choose("cam.lan", [ip]) == ip
    assert SourcePolicy().choose("cam.lan", ["192.168.213.77"]) == "192.168.213.77"
