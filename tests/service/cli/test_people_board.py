from __future__ import annotations

from inkling.service.cli.people_board import GONE_S, PeopleBoard
from inkling.service.protocol.codec import DecisionMessage
from tests.service.annotate.test_film_record import LABELS, happened, said, seen


def board_of(tracks: int, pts_s: float = 1.0) -> PeopleBoard:
    board = PeopleBoard(LABELS)
    for track in range(1, tracks + 1):
        board.predicted(said(pts_s, track, 0.1, 0.6, 0.3, 0.0))
    return board


def test_a_row_says_what_leads_since_when_and_what_is_second() -> None:
    board = board_of(1, 1.0)
    board.predicted(said(1.5, 1, 0.1, 0.7, 0.2, 0.0))
    (row,), more = board.shown(5)
    assert (row.track, row.label, row.share, row.since_s, row.second, more) == (1, "jump", 0.7, 1.0, "wave", 0)
    board.predicted(said(2.0, 1, 0.9, 0.1, 0.0, 0.0))
    (row,), _ = board.shown(5)
    assert (row.label, row.since_s, row.second) == ("idle", 2.0, "jump")


def test_what_comes_is_told_with_when() -> None:
    board = PeopleBoard(LABELS)
    board.predicted(said(1.0, 1, 0.1, 0.6, 0.3, 0.0).model_copy(update={"for_s": 1.5}))
    assert board.shown(1)[0][0].ahead == "in 0.5 s: "
    board.event(happened(1.0, 1, "fall", "begin").model_copy(update={"begins_in_s": 0.5}))
    assert list(board.told) == ["▶    1.0 s  #1 fall begins in 0.5 s"]


def test_people_are_in_the_order_of_their_tracks_and_leave_after_a_while() -> None:
    board = board_of(3)
    board.predicted(said(1.0 + GONE_S + 0.1, 2, 0.1, 0.6, 0.3, 0.0))
    assert [row.track for row in board.shown(9)[0]] == [2]
    board.now_s += GONE_S + 1  # the film goes on without anybody
    assert board.shown(9) == ([], 0)


def test_where_there_is_no_room_for_all_those_with_an_event_are_shown() -> None:
    board = board_of(30)
    board.event(happened(1.0, 4, "fall", "begin"))
    rows, more = board.shown(3)
    assert ([row.track for row in rows], more) == ([4, 29, 30], 27)
    assert rows[0].active == ("fall", 1.0)
    board.event(happened(1.2, 4, "fall", "end"))
    assert [row.track for row in board.shown(3)[0]] == [28, 29, 30]


def test_an_event_may_come_before_the_prediction_it_follows_from() -> None:
    board = PeopleBoard(LABELS)
    board.event(happened(1.0, 1, "wave", "begin"))
    board.predicted(said(1.0, 1, 0.1, 0.2, 0.7, 0.0))
    assert board.shown(1)[0][0].active == ("wave", 1.0)


def test_events_and_decisions_are_told_with_their_person() -> None:
    board = board_of(1)
    board.event(happened(1.0, 1, "golf_swing", "begin"))
    board.decision(
        DecisionMessage(
            seq=3, pts_s=1.4, track=1, label="jump", probability=0.97, elapsed_s=0.4, error_rate=0.05, epoch=0,
            first=True,
        )
    )  # fmt: skip
    assert list(board.told) == ["▶    1.0 s  #1 golf swing begins", "✔    1.4 s  #1 jump decided, ≤ 5% wrong"]


def test_bodies_are_those_of_the_latest_frame() -> None:
    board = board_of(2)
    board.saw(seen(1.0, {1: 0.0, 2: 50.0}))
    board.saw(seen(1.1, {2: 60.0}))
    assert list(board.bodies) == [2]
    assert board.bodies[2].box[0] == 60


def test_where_the_score_is_high_unknown_leads_and_the_likeliest_label_is_second() -> None:
    board = board_of(1)
    board.unknown_above = 0.5
    sure = said(1.2, 1, 0.1, 0.6, 0.3, 0.0)
    board.predicted(sure.model_copy(update={"unknown": 0.5}))
    assert (board.shown(1)[0][0].label, board.shown(1)[0][0].second) == ("jump", "wave")
    board.predicted(sure.model_copy(update={"unknown": 0.51, "pts_s": 1.4}))
    (row,), _ = board.shown(1)
    assert (row.label, row.share, row.second, row.since_s) == ("unknown", 0.51, "jump", 1.4)
