from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.origins import host_allowed, host_name, origin_allowed


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "[::1]:8000", "192.168.3.4", "localhost", "LOCALHOST:1", "a.localhost"]
)
def test_numbers_and_this_machines_names_are_good_hosts(host: str) -> None:
    assert host_allowed(host, ())


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "localhost.evil.example", "a@127.0.0.1", "127.0.0.1:x", "a/b", "["]
)
def test_other_names_and_what_is_no_host_are_refused(host: str | None) -> None:
    assert not host_allowed(host, ())


def test_an_operator_allows_names_and_patterns() -> None:
    assert host_allowed("cam.example.org:443", ("cam.example.org",))
    assert host_allowed("a.example.org", ("*.Example.org",))
    assert not host_allowed("example.org", ("*.example.org",))
    assert host_allowed("whatever", ("*",))


@given(st.text(max_size=60))
def test_any_host_header_is_answered(header: str) -> None:
    assert isinstance(host_name(header), str)
    host_allowed(header, ())


def test_programs_and_our_own_pages_may_act() -> None:
    assert origin_allowed(None, "cam:8000", ())
    assert origin_allowed("http://cam:8000", "cam:8000", ())
    assert origin_allowed("https://Cam:8000", "cam:8000", ())


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://cam:8001", "null", "", "http://cam:8000.evil.example"]
)
def test_pages_of_others_may_not(origin: str) -> None:
    assert not origin_allowed(origin, "cam:8000", ())
    assert not origin_allowed(origin, None, ())


def test_an_operator_allows_other_pages() -> None:
    assert origin_allowed("https://board.example", "cam:8000", ("https://board.example",))
    assert not origin_allowed("http://board.example", "cam:8000", ("https://board.example",))
    assert origin_allowed("https://any.example", "cam:8000", ("*",))
