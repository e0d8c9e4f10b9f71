from __future__ import annotations

import numpy as np
import pytest

from inkling.models.bundle import Bundle
from inkling.models.bundle.schema import DecisionRule
from inkling.service.protocol.codec import (
    Credit,
    End,
    ErrorMessage,
    Event,
    Flush,
    Flushed,
    PackedPose,
    Ready,
    Reset,
    Start,
    Summary,
)
from inkling.service.protocol.errors import BadMessage, BadPose, OutOfOrder
from inkling.service.streams.limits import Limits
from tests.service.rig import PlainTrack, Rig, Stream, body, tiny
from tests.support import TinyReference

ERROR = 1e-5
STEP_S = 1 / 15


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    # A rule that one result fulfils, so that events can be counted: some label of three always has a third.
    rule = DecisionRule(on=0.3, off=0.0, min_steps=1)
    return tiny(tmp_path_factory.mktemp("bundles"), decision=rule)


@pytest.fixture
def rig(bundle: Bundle) -> Rig:
    return Rig(bundle)


def settled(stream: Stream) -> bool:
    """Whether every frame is accounted for."""
    counts = stream.session.counts
    total = counts.stepped + counts.skipped + counts.refused + sum(counts.dropped.values())
    return counts.received == total and stream.session.waiting == 0


# -- a stream's course ------------------------------------------------------------------------------------------------
def test_a_stream_is_told_what_it_runs_on_first(rig: Rig) -> None:
    stream = Stream(rig)
    assert stream.messages == [
        Ready(stream="stream1", bundle="tiny", version="1", labels=("a", "b", "c"), rate_hz=15.0, credits=4)
    ]


def test_a_streams_predictions_are_those_of_the_plain_loop(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    for seq in range(20):
        stream.send(seq, seq * STEP_S)
        rig.run()
        prediction = stream.predictions[-1]
        assert prediction.probabilities == pytest.approx(plain.step(body(seq), 0), abs=ERROR)
        assert (prediction.seq, prediction.pts_s, prediction.track) == (seq, seq * STEP_S, 1)
        assert prediction.label == "abc"[int(np.argmax(prediction.probabilities))]
        assert (prediction.epoch, prediction.reset, prediction.backlog) == (0, None, 0)
    assert len(stream.predictions) == 20


def test_people_of_a_frame_are_answered_together_in_their_order(rig: Rig) -> None:
    stream = Stream(rig)
    plain = {track: PlainTrack(TinyReference()) for track in (9, 2, 5)}
    for seq in range(5):
        people = {track: body(100 * track + seq) for track in plain}
        stream.send(seq, seq * STEP_S, people)
        rig.run()
        last = stream.predictions[-3:]
        assert [(p.seq, p.track) for p in last] == [(seq, 9), (seq, 2), (seq, 5)]
        for prediction in last:
            assert isinstance(prediction.track, int)
            expected = plain[prediction.track].step(people[prediction.track], 0)
            assert prediction.probabilities == pytest.approx(expected, abs=ERROR)
    assert stream.session.counts.stepped == 5


def test_frames_are_answered_in_order_though_a_later_one_is_stepped_first(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0, {1: body(0), 2: body(1)})
    rig.run()
    stream.send(1, 4 * STEP_S, {1: body(2)})  # three repeats before it
    stream.send(2, 4 * STEP_S, {3: body(3)})
    rig.run(batches=3)
    assert stream.predictions[2:] == []
    rig.run()
    assert [(p.seq, p.track) for p in stream.predictions[2:]] == [(1, 1), (2, 3)]


def test_end_is_followed_by_what_is_pending_and_then_the_summary(rig: Rig) -> None:
    stream = Stream(rig)
    rig.now_s = 3.0
    stream.send(0, 0.0)
    stream.send(1, STEP_S)
    stream.receive(End())
    assert stream.of(Summary) == []
    rig.run()
    assert len(stream.predictions) == 2
    assert stream.messages[-1] == Summary(
        received=2, stepped=2, skipped=0, dropped=0, refused=0, tracks=1, resets={}, duration_s=3.0
    )
    assert stream.session.closed
    assert rig.pool.used == 0


def test_an_empty_stream_ends_at_once(rig: Rig) -> None:
    stream = Stream(rig)
    stream.receive(End())
    assert stream.kinds() == ["ready", "summary"]


def test_nothing_may_follow_end_nor_start_twice(rig: Rig) -> None:
    stream = Stream(rig)
    with pytest.raises(OutOfOrder, match="has started"):
        stream.receive(Start(bundle="tiny"))
    stream.send(0, 0.0)
    stream.receive(End())
    for message in (End(), Flush(id=1), Start(bundle="tiny")):
        with pytest.raises(OutOfOrder, match="may follow"):
            stream.receive(message)


def test_a_flush_is_answered_after_everything_before_it(rig: Rig) -> None:
    stream = Stream(rig)
    stream.receive(Flush(id=1))
    stream.send(0, 0.0)
    stream.receive(Flush(id=2))
    stream.receive(Flush(id=3))
    stream.send(1, STEP_S)
    assert stream.kinds() == ["ready", "flushed"]
    rig.run(batches=1)
    assert [m.id for m in stream.of(Flushed)] == [1, 2, 3]
    assert stream.kinds().index("prediction") < stream.messages.index(Flushed(id=2))
    rig.run()
    assert [p.seq for p in stream.predictions] == [0, 1]


def test_a_flood_of_flushes_is_refused(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0)
    for i in range(1000):
        stream.receive(Flush(id=i))
    with pytest.raises(BadMessage, match="1000 flushes"):
        stream.receive(Flush(id=1000))
    rig.run()
    assert len(stream.of(Flushed)) == 1000
    stream.receive(Flush(id=0))
    assert len(stream.of(Flushed)) == 1001


def test_draining_answers_what_is_pending_and_ignores_the_rest(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0)
    stream.session.drain(rig.now_s)
    stream.session.drain(rig.now_s)
    stream.send(1, STEP_S)
    stream.receive(End())
    rig.run()
    assert [k for k in stream.kinds() if k != "event"] == ["ready", "error", "prediction", "summary"]
    assert stream.of(ErrorMessage)[0].code == "draining"
    assert stream.session.counts.received == 1


def test_a_closed_stream_says_nothing_more_and_gives_its_slots_back(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0, {1: body(0), 2: body(1)})
    stream.send(1, STEP_S)
    rig.batcher.run_once()
    calls: list[str] = []
    stream.session.on_close.append(lambda: calls.append("closed"))
    stream.session.close()
    stream.session.close()
    rig.deliver()
    rig.run()
    stream.send(2, 2 * STEP_S)
    stream.session.refuse(BadPose("no"))
    stream.session.drain(0.0)
    assert stream.kinds() == ["ready"]
    assert calls == ["closed"]
    assert rig.pool.used == 0
    assert stream.session.counts.dropped["closed"] == 2
    assert settled(stream)


def test_a_stream_closed_during_its_step_does_not_reach_the_next_tenant(rig: Rig) -> None:
    first, second = Stream(rig), Stream(rig)
    first.send(0, 0.0)

    def change_hands() -> None:
        first.session.close()
        second.send(0, 0.0, {1: body(50)})

    rig.engine.during = change_hands
    rig.run()
    second.send(1, STEP_S, {1: body(51)})
    rig.run()
    plain = PlainTrack(TinyReference())
    for seq, prediction in enumerate(second.predictions):
        assert prediction.probabilities == pytest.approx(plain.step(body(50 + seq), 0), abs=ERROR)
    assert len(second.predictions) == 2
    assert first.predictions == []


# -- time -------------------------------------------------------------------------------------------------------------
def test_frames_without_a_time_are_stamped_on_arrival(rig: Rig) -> None:
    rig.now_s = 100.0
    stream = Stream(rig)
    for seq in range(3):
        rig.now_s = 100.5 + seq * STEP_S
        stream.send(seq, None)
        rig.run()
    assert [p.pts_s for p in stream.predictions] == pytest.approx([0.5 + seq * STEP_S for seq in range(3)])


def test_frames_that_come_too_fast_are_skipped_and_counted(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    for seq in range(20):
        stream.send(seq, seq / 30)
        rig.run()
    stepped = [p.seq for p in stream.predictions]
    assert 10 <= len(stepped) <= 11
    for prediction in stream.predictions:
        assert prediction.probabilities == pytest.approx(plain.step(body(prediction.seq), 0), abs=ERROR)
    assert stream.session.counts.skipped == 20 - len(stepped)
    assert stream.predictions[-1].skipped >= 8
    assert settled(stream)


def test_ticks_without_a_frame_repeat_the_last_one(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    for seq, tick in enumerate([0, 1, 4, 5, 9]):
        stream.send(seq, tick * STEP_S)
        rig.run()
        if seq in (2, 4):
            plain.fill(0, {2: 2, 4: 3}[seq])
        assert stream.predictions[-1].probabilities == pytest.approx(plain.step(body(seq), 0), abs=ERROR)
    assert len(stream.predictions) == 5


def test_a_long_gap_and_a_jump_backward_reset_with_a_reason(rig: Rig) -> None:
    stream = Stream(rig)
    found = []
    for seq, pts_s in enumerate([0.0, STEP_S, 5.0, 5.0 + STEP_S, 1.0]):
        stream.send(seq, pts_s)
        rig.run()
        found.append((stream.predictions[-1].epoch, stream.predictions[-1].reset))
    assert found == [(0, None), (0, None), (1, "gap"), (1, None), (2, "backward")]
    assert stream.predictions[-1].probabilities == pytest.approx(
        PlainTrack(TinyReference()).step(body(4), 0), abs=ERROR
    )
    assert stream.session.counts.resets["gap"] == 1
    assert stream.session.counts.resets["backward"] == 1


def test_a_reset_on_request_concerns_the_frames_after_it_only(rig: Rig) -> None:
    stream = Stream(rig)
    plain = PlainTrack(TinyReference())
    stream.receive(Reset())
    stream.receive(Reset(track=1))
    stream.send(0, 0.0)
    stream.send(1, STEP_S)
    stream.receive(Reset(track=2))
    stream.receive(Reset(track=1))
    stream.send(2, 2 * STEP_S)
    rig.run()
    assert [(p.epoch, p.reset) for p in stream.predictions] == [(0, None), (0, None), (1, "requested")]
    for prediction in stream.predictions:
        expected = plain.step(body(prediction.seq), prediction.epoch)
        assert prediction.probabilities == pytest.approx(expected, abs=ERROR)


def test_a_reset_of_everybody_reaches_each_track(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0, {1: body(0), 2: body(1)})
    stream.receive(Reset())
    stream.send(1, STEP_S, {1: body(0), 2: body(1)})
    rig.run()
    assert [(p.track, p.reset) for p in stream.predictions[2:]] == [(1, "requested"), (2, "requested")]
    stream.receive(End())
    assert stream.of(Summary)[0].resets == {"requested": 2}


# -- the inbox --------------------------------------------------------------------------------------------------------
def test_a_full_inbox_drops_the_oldest_frame_that_has_not_begun(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    for seq in range(7):
        stream.send(seq, seq * STEP_S)
    rig.run()
    assert [p.seq for p in stream.predictions] == [3, 4, 5, 6]
    for prediction in stream.predictions:
        assert prediction.probabilities == pytest.approx(plain.step(body(prediction.seq), 0), abs=ERROR)
        assert prediction.dropped == 3
    assert [p.backlog for p in stream.predictions] == [3, 2, 1, 0]
    assert settled(stream)


def test_a_frame_under_way_is_not_dropped(rig: Rig) -> None:
    stream = Stream(rig)
    for seq in range(4):
        stream.send(seq, seq * STEP_S)
    rig.engine.during = lambda: stream.send(4, 4 * STEP_S)
    rig.run()
    assert [p.seq for p in stream.predictions] == [0, 2, 3, 4]


def test_when_all_before_it_have_begun_the_new_frame_itself_is_dropped(bundle: Bundle) -> None:
    rig = Rig(bundle, Limits(slots=2, inbox=1, max_batch=2))
    stream = Stream(rig)
    stream.send(0, 0.0)
    rig.engine.during = lambda: stream.send(1, STEP_S)
    rig.run()
    assert [p.seq for p in stream.predictions] == [0]
    assert stream.messages[-1] == Credit(seq=1, skipped=0, dropped=1)
    assert settled(stream)


def test_a_reset_survives_the_drop_of_the_frame_that_brought_it(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    stream.send(0, 0.0)
    rig.run()
    for seq in range(1, 7):  # a gap before frame 1, which is dropped
        stream.send(seq, 10 + seq * STEP_S)
    rig.run()
    answers = stream.predictions[1:]
    assert [(p.seq, p.epoch, p.reset) for p in answers] == [(3, 1, "gap"), (4, 1, None), (5, 1, None), (6, 1, None)]
    for prediction in answers:
        assert prediction.probabilities == pytest.approx(plain.step(body(prediction.seq), 1), abs=ERROR)


def test_a_dropped_frame_is_never_held(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    stream.send(0, 0.0)
    rig.run()
    plain.step(body(0), 0)
    for seq, tick in enumerate([1, 2, 3, 4, 7], start=1):  # two repeats before the last
        stream.send(seq, tick * STEP_S)
    rig.run()
    assert [p.seq for p in stream.predictions] == [0, 2, 3, 4, 5]
    for seq in (2, 3, 4):
        plain.step(body(seq), 0)
    plain.fill(0, 2)
    assert stream.predictions[-1].probabilities == pytest.approx(plain.step(body(5), 0), abs=ERROR)


def test_with_policy_block_nothing_is_dropped(rig: Rig) -> None:
    stream = Stream(rig, policy="block")
    for seq in range(9):
        stream.send(seq, seq * STEP_S)
        assert stream.session.full == (seq >= 3)
    woken: list[int] = []
    stream.session.wake = lambda: woken.append(stream.session.waiting)
    rig.run()
    assert [p.seq for p in stream.predictions] == list(range(9))
    assert woken[0] == 3
    assert not stream.session.full


def test_a_client_that_keeps_to_its_credits_never_loses_a_frame_nor_waits_for_ever(rig: Rig) -> None:
    stream = Stream(rig)
    credits, settled_to, seq = 4, -1, 0
    for turn in range(200):
        while seq - settled_to <= credits:
            stream.send(seq, seq / 110, {1: body(seq)} if turn % 3 else {})
            seq += 1
        rig.run()
        for message in stream.messages:
            if isinstance(message, (Credit,)) or message.type == "prediction":
                assert message.seq >= settled_to
                settled_to = message.seq
        stream.messages.clear()
    assert seq > 400
    assert stream.session.counts.dropped["overflow"] == 0


def test_silence_while_the_engine_is_slow_takes_no_memory(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0)
    for seq in range(1, 500):
        stream.send(seq, 0.0)
    assert len(stream.session._pending) == 2
    rig.run()
    assert stream.messages[-1] == Credit(seq=499, skipped=499, dropped=0)
    assert settled(stream)


# -- refusals ---------------------------------------------------------------------------------------------------------
def test_refused_frames_are_told_counted_and_change_nothing(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    stream.send(0, 0.0)
    rig.run()
    plain.step(body(0), 0)
    stream.send(1, STEP_S, {1: body(1, joints=12)})
    stream.send(2, -1.0)
    stream.send(3, float("nan"))
    stream.send(4, 0.5, {track: body(track) for track in range(5)})
    error = BadPose("undecodable")
    error.seq = 5
    stream.session.refuse(error)
    assert [(m.code, m.seq) for m in stream.of(ErrorMessage)] == [
        ("bad_pose", 1), ("bad_time", 2), ("bad_time", 3), ("too_many_people", 4), ("bad_pose", 5),
    ]  # fmt: skip
    stream.send(6, STEP_S)
    rig.run()
    assert stream.predictions[-1].probabilities == pytest.approx(plain.step(body(6), 0), abs=ERROR)
    assert stream.session.counts.refused == 5
    assert stream.session.counts.errors == {"bad_pose": 2, "bad_time": 2, "too_many_people": 1}
    assert settled(stream)


def test_a_person_without_a_slot_is_told_once_and_the_others_go_on(bundle: Bundle) -> None:
    rig = Rig(bundle, Limits(slots=2, max_people=4, inbox=4, max_batch=4))
    stream, other = Stream(rig), Stream(rig)
    other.send(0, 0.0)
    rig.run()
    for seq in range(4):
        stream.send(seq, seq * STEP_S, {1: body(seq), 2: body(seq)})
        rig.run()
    assert [m.code for m in stream.of(ErrorMessage)] == ["no_slot"]
    assert [(p.seq, p.track) for p in stream.predictions] == [(seq, 1) for seq in range(4)]
    other.receive(End())
    stream.send(4, 4 * STEP_S, {1: body(4), 2: body(4)})
    rig.run()
    assert [(p.track, p.epoch) for p in stream.predictions[-2:]] == [(1, 0), (2, 0)]
    expected = PlainTrack(TinyReference()).step(body(4), 0)
    assert stream.predictions[-1].probabilities == pytest.approx(expected, abs=ERROR)


def test_a_frame_of_nobody_who_has_a_slot_is_dropped_for_that(bundle: Bundle) -> None:
    rig = Rig(bundle, Limits(slots=1, inbox=4, max_batch=4))
    other, stream = Stream(rig), Stream(rig)
    other.send(0, 0.0)
    for seq in range(3):
        stream.send(seq, seq * STEP_S)
    assert stream.session.counts.dropped["no_slot"] == 3
    assert stream.of(Credit) == [Credit(seq=1, skipped=0, dropped=2)]
    assert settled(stream)


def test_a_failed_batch_loses_its_frames_with_an_error_and_the_stream_goes_on(rig: Rig) -> None:
    stream, plain = Stream(rig), PlainTrack(TinyReference())
    stream.send(0, 0.0)
    rig.run()
    plain.step(body(0), 0)
    stream.send(1, STEP_S, {1: body(1), 2: body(9)})
    rig.engine.failing = True
    rig.run()
    rig.engine.failing = False
    assert [(m.code, m.seq) for m in stream.of(ErrorMessage)] == [("step_failed", 1)]
    stream.send(2, 2 * STEP_S)
    rig.run()
    assert stream.predictions[-1].probabilities == pytest.approx(plain.step(body(2), 0), abs=ERROR)
    assert stream.predictions[-1].dropped == 1
    assert stream.session.counts.dropped["failed"] == 1
    assert settled(stream)


def test_a_person_whose_numbers_fail_does_not_take_the_others_along(rig: Rig) -> None:
    stream = Stream(rig)
    rig.engine.poisoned = 0
    stream.send(0, 0.0, {1: body(1), 2: body(2)})
    rig.run()
    assert [p.track for p in stream.predictions] == [2]
    assert [(m.code, m.seq) for m in stream.of(ErrorMessage)] == [("step_failed", 0)]
    assert stream.session.counts.stepped == 1
    assert settled(stream)


# -- answers ----------------------------------------------------------------------------------------------------------
def test_top_k_gives_the_best_and_their_places(rig: Rig) -> None:
    everything, best = Stream(rig), Stream(rig, top_k=2)
    all_of_them = Stream(rig, top_k=99)
    for stream in (everything, best, all_of_them):
        stream.send(0, 0.0)
    rig.run()
    full = everything.predictions[0]
    order = sorted(range(3), key=lambda k: -full.probabilities[k])[:2]
    assert best.predictions[0].classes == order
    assert best.predictions[0].probabilities == [full.probabilities[k] for k in order]
    assert best.predictions[0].label == full.label
    assert all_of_them.predictions[0].classes is None


def test_every_event_that_begins_ends_at_resets_and_at_the_end(rig: Rig) -> None:
    stream = Stream(rig)
    for seq, pts_s in enumerate([0.0, STEP_S, 10.0]):
        stream.send(seq, pts_s, {1: body(0)})
        rig.run()
    stream.receive(End())
    events = [(e.seq, e.phase) for e in stream.of(Event)]
    assert events[0] == (0, "begin")
    assert events[-3:] == [(2, "end"), (2, "begin"), (2, "end")]
    assert [phase for _, phase in events] == ["begin", "end"] * (len(events) // 2)
    assert stream.kinds()[-2:] == ["event", "summary"]


def test_an_event_ends_when_its_person_has_been_gone_for_the_timeout(rig: Rig) -> None:
    stream = Stream(rig)
    stream.send(0, 0.0, {1: body(0)})
    rig.run()
    stream.send(1, 20.0, {})
    assert [(e.seq, e.track, e.phase) for e in stream.of(Event)] == [(0, 1, "begin"), (1, 1, "end")]
    assert rig.pool.used == 0
    stream.send(2, 20.1, {1: body(1)})
    rig.run()
    assert (stream.predictions[-1].epoch, stream.predictions[-1].reset) == (1, "gap")


def test_people_beyond_the_limit_of_a_stream_take_the_place_of_those_who_left(rig: Rig) -> None:
    stream = Stream(rig)
    for seq in range(40):
        stream.send(seq, seq * STEP_S, {seq: body(seq)})
        rig.run()
    assert rig.pool.used == 4
    assert len(stream.predictions) == 40
    stream.send(40, 40 * STEP_S, {35: body(0)})
    rig.run()
    assert (stream.predictions[-1].track, stream.predictions[-1].reset) == (35, "evicted")
    for track in range(30):  # each begins with its first result and ends when the place is taken
        assert [(e.seq, e.phase) for e in stream.of(Event) if e.track == track] == [
            (track, "begin"),
            (track + 4, "end"),
        ]


def test_a_person_whose_frames_were_dropped_or_failed_can_still_time_out(rig: Rig) -> None:
    stream = Stream(rig)
    for seq in range(9):
        stream.send(seq, seq * STEP_S)
    rig.engine.failing = True
    rig.run()
    rig.engine.failing = False
    assert rig.pool.used == 1
    stream.send(9, 30.0, {})
    assert rig.pool.used == 0


def test_a_packed_frame_without_people_settles_silently(rig: Rig) -> None:
    stream = Stream(rig)
    for seq in range(2):
        stream.receive(PackedPose(seq, seq * STEP_S, [], np.zeros((0, 0, 0), np.float32)))
    assert stream.messages[-1] == Credit(seq=1, skipped=2, dropped=0)
