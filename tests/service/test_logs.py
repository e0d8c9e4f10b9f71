"""Log lines: plain and JSON, with the stream's id, and safe against what clients put into them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.logs import JsonFormatter, NowAndThen, PlainFormatter, add_stream, setup, stream_context


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO, logging.Handler]]:
    logger = logging.getLogger("inkling-test")
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(add_stream)
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False
    yield logger, text, handler
    logger.removeHandler(handler)


Log = tuple[logging.Logger, io.StringIO, logging.Handler]


def json_lines(text: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.getvalue().splitlines()]


def test_a_json_line_has_time_level_logger_message_stream_and_extras(log: Log) -> None:
    logger, text, handler = log
    handler.setFormatter(JsonFormatter())
    with stream_context("k3v"):
        logger.info("opened by %s", "me", extra={"bundle": "tiny"})
    (entry,) = json_lines(text)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info", "logger": "inkling-test", "message": "opened by me", "stream": "k3v", "bundle": "tiny",
    }  # fmt: skip


def test_a_plain_line_has_stream_and_extras(log: Log) -> None:
    logger, text, handler = log
    handler.setFormatter(PlainFormatter())
    with stream_context("k3v"):
        logger.warning("slow", extra={"seconds": 3})
    logger.info("outside")
    first, second = text.getvalue().splitlines()
    assert first.endswith("warning inkling-test: slow [stream=k3v] (seconds=3)")
    assert second.endswith("info    inkling-test: outside")


def test_tasks_started_inside_a_stream_log_its_id_and_others_do_not(log: Log) -> None:
    logger, text, handler = log
    handler.setFormatter(JsonFormatter())

    async def say(word: str) -> None:
        await asyncio.sleep(0)
        logger.info(word)

    async def stream(name: str) -> None:
        with stream_context(name):
            task = asyncio.create_task(say(name))
        await task

    async def main() -> None:
        await asyncio.gather(stream("one"), stream("two"), say("none"))

    asyncio.run(main())
    assert {(entry["message"], entry.get("stream")) for entry in json_lines(text)} == {
        ("one", "one"), ("two", "two"), ("none", None),
    }  # fmt: skip


def test_a_clients_text_cannot_forge_a_line(log: Log) -> None:
    logger, text, handler = log
    for formatter in (PlainFormatter(), JsonFormatter()):
        handler.setFormatter(formatter)
        logger.info("unknown bundle %s", "x\r\n12:00:00.000 info service: forged")
    try:
        raise ValueError("cause\n12:00:00.000 info service: forged")
    except ValueError:
        handler.setFormatter(PlainFormatter())
        logger.exception("failed for %s", "x\nforged")
    lines = text.getvalue().splitlines()
    assert not [line for line in lines if line.startswith(("12:00:00.000 info service", "forged"))]
    assert lines[-2] == "    ValueError: cause"


HIDDEN = "\x1b[2J\x07\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\u200b\ufeff\ud800"


@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter()])
def test_what_commands_a_terminal_or_hides_is_never_logged_as_it_came(log: Log, formatter: logging.Formatter) -> None:
    logger, text, handler = log
    handler.setFormatter(formatter)
    try:
        raise ValueError(HIDDEN)
    except ValueError:
        with stream_context(HIDDEN):
            logger.exception("for %s", HIDDEN, extra={"name_of": HIDDEN, "many": [HIDDEN]})
    said = text.getvalue()
    assert not set(HIDDEN) & set(said) - set("[2J31m")
    assert said.count("\\u001b") >= 4
    said.encode()  # half characters cannot be written


@given(st.text())
def test_a_json_line_still_says_what_the_text_was(said: str) -> None:
    line = JsonFormatter().format(logging.makeLogRecord({"msg": said}))
    assert json.loads(line)["message"] == said
    assert len(line.splitlines()) == 1


def test_a_warning_of_the_web_server_comes_now_and_then_with_its_count() -> None:
    often = NowAndThen(every_s=10.0)

    def logged(at_s: float, level: int = logging.WARNING) -> str | None:
        record = logging.makeLogRecord({"msg": "Invalid", "created": at_s, "levelno": level})
        return record.getMessage() if often.filter(record) else None

    assert [logged(0.0), logged(1.0), logged(9.9)] == ["Invalid", None, None]
    assert logged(5.0, logging.ERROR) == "Invalid"
    assert logged(10.0) == "Invalid (2 more since the last such line)"
    assert logged(25.0) == "Invalid"


def test_an_exception_is_part_of_its_json_line(log: Log) -> None:
    logger, text, handler = log
    handler.setFormatter(JsonFormatter())
    try:
        raise ValueError("cause")
    except ValueError:
        logger.exception("failed")
    (entry,) = json_lines(text)
    assert entry["exception"].endswith("ValueError: cause")


@pytest.mark.parametrize(("level", "expected"), [("info", ["ours"]), ("debug", ["theirs", "ours"])])
def test_setup_silences_the_web_servers_chatter_unless_debugging(
    level: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, root_level = root.handlers[:], root.level
    try:
        setup(level, "json")
        logging.getLogger("uvicorn.error").info("theirs")
        logging.getLogger("inkling.service.websocket.endpoint").info("ours")
        assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == expected
    finally:
        root.handlers[:] = before
        root.setLevel(root_level)
        for name in ("uvicorn.access", "uvicorn.error", "uvicorn.asgi"):
            logging.getLogger(name).setLevel(logging.NOTSET)
