from __future__ import annotations

import pytest

from inkling.service.client.keep_alive import LONGEST_S, Act, KeepAlive


def test_pings_are_a_third_of_the_limit_apart_and_the_connection_is_dead_at_the_limit() -> None:
    alive = KeepAlive(3.0, None, 0.0)
    acts = {}
    for tenth in range(1, 31):
        acts[tenth / 10] = alive.look(tenth / 10)
    assert [moment for moment, act in acts.items() if act is Act.PING] == [1.0, 2.0]
    assert acts[3.0] is Act.SILENT


def test_looking_only_when_it_is_due_is_enough() -> None:
    alive, now_s, acts = KeepAlive(3.0, None, 0.0), 0.0, []
    while now_s < 3.0:
        now_s = alive.due_s
        acts.append((now_s, alive.look(now_s)))
    assert acts == [(1.0, Act.PING), (2.0, Act.PING), (3.0, Act.SILENT)]


@pytest.mark.parametrize("sign", ["heard", "pong"])
def test_a_message_and_a_pong_are_signs_of_life(sign: str) -> None:
    alive = KeepAlive(3.0, None, 0.0)
    getattr(alive, sign)(2.9)
    assert alive.look(5.8) is Act.PING
    assert alive.look(5.9) is Act.SILENT


def test_however_long_the_limit_a_ping_keeps_the_path_open() -> None:
    assert KeepAlive(600.0, None, 0.0).due_s == LONGEST_S


def test_an_answer_that_is_owed_must_come_though_pongs_do() -> None:
    alive = KeepAlive(3.0, None, 0.0)
    alive.owing(True, 10.0)
    alive.owing(True, 12.0)
    alive.pong(12.9)
    assert alive.look(12.9) is Act.WAIT
    assert alive.look(13.0) is Act.UNANSWERED


def test_any_message_begins_the_wait_for_an_owed_answer_anew() -> None:
    alive = KeepAlive(3.0, None, 0.0)
    alive.owing(True, 0.0)
    alive.heard(2.0)
    alive.owing(True, 2.0)
    alive.pong(4.9)
    assert alive.look(4.9) is Act.WAIT
    alive.owing(False, 4.9)
    alive.pong(6.0)
    assert alive.look(6.5) is Act.WAIT


def test_something_is_said_after_so_long_without_a_message_if_that_is_wanted() -> None:
    alive = KeepAlive(30.0, 2.0, 0.0)
    alive.spoke(1.0)
    assert alive.due_s == 3.0
    assert alive.look(2.9) is Act.WAIT
    assert alive.look(3.0) is Act.SPEAK
