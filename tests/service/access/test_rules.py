from __future__ import annotations

import pytest

from inkling.service.access.roles import Role
from inkling.service.access.rules import ANY_TOKEN, ANYBODY, Need, listed, needed


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/livez", ANYBODY),
        ("HEAD", "/readyz", ANYBODY),
        ("POST", "/login", ANYBODY),
        ("GET", "/metrics", Role.VIEW),
        ("GET", "/v1/bundles", ANY_TOKEN),
        ("WEBSOCKET", "/v1/stream", Role.STREAM),
        ("POST", "/v1/clips", Role.STREAM),
        ("WEBSOCKET", "/v1/streams/abc/predictions", Role.VIEW),
        ("GET", "/v1/sources/x", Role.VIEW),
        ("POST", "/v1/sources", Role.OPERATE),
        ("DELETE", "/v1/sources/x", Role.OPERATE),
    ],
)
def test_a_request_needs_what_its_rule_says(method: str, path: str, need: Need) -> None:
    assert needed(method, path) == need
    assert listed("GET" if method == "HEAD" else method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/livez"),
        ("GET", "/v1/tokens"),
        ("DELETE", "/v1/streams/abc"),
        ("GET", "/livez/../v1/sources"),
        ("POST", "/v1/sources/x/y"),
        ("GET", "/livez\n"),
        ("", ""),
    ],
)
def test_what_no_rule_names_needs_an_admin(method: str, path: str) -> None:
    assert needed(method, path) is Role.ADMIN
    assert not listed(method, path)
