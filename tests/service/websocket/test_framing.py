from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol as Full
from websockets.protocol import Side

from inkling.service.protocol.errors import TooLarge
from inkling.service.websocket.framing import Splitter, Unusual, binary_frame, text_frame

LIMIT = 70_000

PAYLOADS = st.one_of(st.text(max_size=200), st.binary(max_size=200), st.sampled_from(["x" * 126, b"y" * 66_000, ""]))


def masked(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def whole(message: str | bytes) -> bytes:
    return masked(Opcode.TEXT, message.encode()) if isinstance(message, str) else masked(Opcode.BINARY, message)


@given(st.lists(PAYLOADS, max_size=8), st.lists(st.integers(1, 400), max_size=30))
def test_messages_come_out_as_they_were_sent_however_the_bytes_are_cut(
    messages: list[str | bytes], cuts: list[int]
) -> None:
    data = b"".join(map(whole, messages))
    splitter, found = Splitter(LIMIT), []
    for cut in cuts:
        found += splitter.feed(data[:cut])
        data = data[cut:]
    found += splitter.feed(data)
    assert found == messages
    assert [type(one) for one in found] == [type(one) for one in messages]


def test_control_frames_and_fragments_are_passed_on_whole_and_in_order() -> None:
    ping, first, last = masked(Opcode.PING, b"p"), masked(Opcode.TEXT, b"a", False), masked(Opcode.CONT, b"b")
    entries = Splitter(LIMIT).feed(whole("one") + ping + first + ping + last + whole(b"two"))
    assert entries == ["one", ping, first, ping, last, b"two"]
    assert [type(entry) is Unusual for entry in entries] == [False, True, True, True, True, False]


def test_a_message_among_the_fragments_of_another_is_for_the_full_parser_to_refuse() -> None:
    _, entry = Splitter(LIMIT).feed(masked(Opcode.BINARY, b"a", False) + whole(b"b"))
    assert type(entry) is Unusual


@pytest.mark.parametrize(
    "broken",
    [
        Frame(Opcode.TEXT, b"hello").serialize(mask=False),
        whole(bytes(LIMIT + 1))[:20],
        b"\x82\xff" + b"\xff" * 12,
        masked(Opcode.TEXT, b"\xff\xfe"),
    ],
    ids=["not masked", "over the limit", "absurd size", "not UTF-8"],
)
def test_what_breaks_the_protocol_goes_to_the_full_parser_at_once(broken: bytes) -> None:
    (entry,) = Splitter(LIMIT).feed(broken)
    assert (type(entry), entry) == (Unusual, broken)


@given(PAYLOADS)
def test_a_servers_frame_is_what_any_client_reads(message: str | bytes) -> None:
    client = Full(Side.CLIENT, max_size=None)
    client.receive_data(text_frame(message.encode()) if isinstance(message, str) else binary_frame(message))
    (frame,) = client.events_received()
    assert isinstance(frame, Frame)
    data = bytes(frame.data)
    assert (data.decode() if frame.opcode is Opcode.TEXT else data) == message
    assert client.close_sent is None or client.close_sent.code != CloseCode.PROTOCOL_ERROR


def test_trifles_are_counted_and_a_flood_of_them_is_not_taken_apart() -> None:
    splitter = Splitter(LIMIT, most_trifles=10)
    small, large = masked(Opcode.TEXT, b"a" * 20, False), masked(Opcode.CONT, b"b" * 2000, False)
    splitter.feed(whole("a whole message") + small + large + masked(Opcode.PING, b"more than short") + whole(b""))
    assert splitter.trifles == 3
    assert len(splitter.feed(masked(Opcode.PONG, b"") * 5000)) == splitter.trifles == 11


def test_only_the_first_message_is_bound_to_less() -> None:
    large = whole(b"x" * 5000)
    for early in (large, large[:100], masked(Opcode.PING, b"") + large):
        with pytest.raises(TooLarge, match="at most 1000 bytes"):
            Splitter(LIMIT, first_limit=1000).feed(early)
    assert Splitter(LIMIT, first_limit=1000).feed(whole("start") + large) == ["start", b"x" * 5000]
    splitter = Splitter(LIMIT, first_limit=1000)
    assert splitter.feed(whole("start")) + splitter.feed(large) == ["start", b"x" * 5000]
