from __future__ import annotations

from inkling.service.access.sessions import LIFETIME_S, MOST, Sessions


def test_a_cookie_stands_for_its_token_until_its_time_is_over() -> None:
    sessions = Sessions()
    cookie = sessions.begin("t1", 0.0)
    assert sessions.token_id(cookie, LIFETIME_S - 1) == "t1"
    assert sessions.token_id(cookie, LIFETIME_S) is None
    assert sessions.token_id(cookie, 0.0) is None, "it does not come back"


def test_a_cookie_ends_with_signing_out_and_others_stay() -> None:
    sessions = Sessions()
    first, second = sessions.begin("t1", 0.0), sessions.begin("t1", 0.0)
    assert first != second
    sessions.end(first)
    assert sessions.token_id(first, 1.0) is None
    assert sessions.token_id(second, 1.0) == "t1"


def test_what_is_no_cookie_of_ours_stands_for_nobody() -> None:
    assert Sessions().token_id("x", 0.0) is None


def test_memory_is_bounded() -> None:
    sessions = Sessions()
    first = sessions.begin("t", 0.0)
    later = [sessions.begin("t", 0.0) for _ in range(MOST)]
    assert sessions.token_id(first, 0.0) is None
    assert all(sessions.token_id(cookie, 0.0) for cookie in later)
