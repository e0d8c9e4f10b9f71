from __future__ import annotations

from inkling.service.client.credits import Credits


def test_room_is_what_is_granted_less_what_is_unanswered() -> None:
    credits = Credits(3)
    assert [credits.send(0.0), credits.send(0.0)] == [0, 1]
    assert (credits.room, credits.unanswered) == (1, range(2))
    credits.settle(0)
    assert (credits.room, credits.unanswered) == (2, range(1, 2))


def test_numbers_go_on_where_the_last_stream_left_off() -> None:
    credits = Credits(2, first=10)
    assert credits.room == 2
    assert credits.send(0.0) == 10
    assert list(credits.unanswered) == [10]


def test_when_a_frame_was_sent_is_known_until_later_ones_are_answered() -> None:
    credits = Credits(4)
    for moment in (1.0, 2.0, 3.0):
        credits.send(moment)
    credits.settle(1, more=True)
    assert [credits.sent_s(seq) for seq in range(4)] == [None, 2.0, 3.0, None]
    credits.settle(1)
    assert credits.sent_s(1) is None


def test_an_answer_to_a_frame_that_was_never_sent_gives_no_room_beyond_what_is_granted() -> None:
    credits = Credits(2)
    credits.settle(99)
    assert credits.room == 2
    credits.send(0.0)
    assert credits.room == 1
