from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.errors import BadSource
from inkling.service.sources.address import Address

secrets = st.text(string.ascii_letters + string.digits + "@:/?#%&= äß", min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera.lan/stream", "rtsp://camera.lan/stream"),
        ("RTSP://Camera.LAN:8554/Stream", "rtsp://camera.lan:8554/Stream"),
        ("rtsp://admin:1234@10.0.0.9:554/h264", "rtsp://***@10.0.0.9:554/h264"),
        ("rtsp://admin@10.0.0.9/h264", "rtsp://***@10.0.0.9/h264"),
        ("http://admin:p@ss@cam/mjpg", "http://***@cam/mjpg"),
        ("http://cam/video.cgi?user=me&pwd=x&channel=1&plain", "http://cam/video.cgi?user=***&pwd=***&channel=***&***"),
        ("rtsp://10.0.0.9/user=me&password=x&channel=1&stream=0.sdp", "rtsp://10.0.0.9/user=***&password=***&channel=1&stream=0.sdp"),
        ("https://[2001:db8::1]:8443/live.m3u8", "https://[2001:db8::1]:8443/live.m3u8"),
        ("file:clips/a%20b.mp4", "file:clips/a b.mp4"),
        ("file:///srv/a.mp4", "file:/srv/a.mp4"),
        ("device:/dev/video0", "device:/dev/video0"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    address = Address.parse(url)
    assert address.shown == str(address) == shown
    assert f"{address!r}" == f"Address({shown!r})"
    assert Address.parse(address.url) == address


def test_a_pinned_address_keeps_everything_but_the_host() -> None:
    address = Address.parse("rtsp://a:b%2Fc@cam.lan:8554/x?y=1")
    assert (address.user, address.password, address.host, address.port) == ("a", "b/c", "cam.lan", 8554)
    assert address.at("2001:db8::1") == "rtsp://a:b%2Fc@[2001:db8::1]:8554/x?y=1"
    assert address.at("10.0.0.1", credentials=False) == "rtsp://10.0.0.1:8554/x?y=1"
    assert address.host_header == "cam.lan:8554"


@pytest.mark.parametrize(
    "url",
    [
        "", "camera.lan", "/etc/passwd", "ftp://cam/x", "rtsp:cam/x", "rtsp://", "rtsp:///x", "http://:80/x",
        "http://cam:99999/x", "http://cam:port/x", "http://ca m/x", "http://cam/x y", "http://cam\n/x", "http://cäm/x",
        "http://[::1/x", "http://cam\\@evil/x", "rtsp://me:secret/word@cam/x", "rtsp://me:sec?ret@cam/x",
        "rtsp://me:12#34@cam/x", "rtsp://me:12/34@cam/x", "http://*/x", "file:", "file://host/x", "file:a%00b",
        "device:", "concat:a|b", "subfile:x", "rtsp://cam/" + "x" * 2048,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(BadSource) as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)
    assert len(url) < 3 or url not in str(caught.value)


@given(secrets, secrets, secrets)
def test_what_is_shown_does_not_depend_on_the_secrets(user: str, password: str, token: str) -> None:
    def address(user: str, password: str, token: str) -> Address:
        user, password, token = (quote(secret, safe="") for secret in (user, password, token))
        return Address.parse(f"rtsp://{user}:{password}@cam.lan/live;token={token}/x?key={token}&{token}")

    written, other = address(user, password, token), address("u", "p", "t")
    assert (written.user, written.password) == (user, password)
    assert written.shown == other.shown


@given(st.text(string.ascii_letters + string.digits + "@:/?#%", min_size=4, max_size=12), st.text(max_size=20))
def test_a_message_about_an_address_is_scrubbed(password: str, text: str) -> None:
    address = Address.parse(f"rtsp://me:{quote(password, safe='')}@cam.lan:8554/live")
    message = address.scrub(f"{text} cannot open {address.url}: 401 for {password}, rtsp://x:{password}@y/")
    assert password not in message
    assert quote(password, safe="") not in message


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"rtsp:{text}", f"http://{text}", f"file:{text}"):
        try:
            address = Address.parse(url)
        except BadSource:
            continue
        assert Address.parse(address.url) == address
        assert address.shown.isprintable()
