from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.models.bundle import Bundle, load
from inkling.models.bundle.schema import DecisionRule
from inkling.models.resize import fit_image
from inkling.models.skeletons import BODY13, get, mapping
from inkling.service.protocol.codec import (
    End,
    ErrorMessage,
    Event,
    Flush,
    Flushed,
    PeopleMessage,
    Prediction,
    Reset,
    Summary,
)
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.streams.limits import Limits
from tests.coloured_people import BLUE, GREEN, RED, joints_of, moved, room
from tests.joints_and_picture import TinyBothReference, make_both_bundle
from tests.people_bundle import CONFIDENCE, SCORE, Box
from tests.service.camera_rig import CameraRig, Watched
from tests.service.rig import Floats, PlainTrack, probabilities_of, tiny
from tests.support import HIDDEN, HIDDEN_AT_START, TinyReference

ERROR = 1e-4
STEP_S = 1 / 15
LEFT, RIGHT = (8, 10, 40, 90), (80, 12, 118, 88)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    # A rule that one result fulfils, so that events can be counted: some label of three always has a third.
    rule = DecisionRule(on=0.3, off=0.0, min_steps=1)
    return tiny(tmp_path_factory.mktemp("bundles"), decision=rule)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(make_both_bundle(tmp_path_factory.mktemp("bundles")))


@pytest.fixture
def rig(bundle: Bundle) -> CameraRig:
    return CameraRig(bundle)


def pose_of(box: Box) -> Floats:
    """(13, 3) what the model is given of somebody in that box."""
    joints = np.concatenate([joints_of(box), np.full((17, 1), CONFIDENCE, np.float32)], -1)
    return np.asarray(mapping(get("coco17"), BODY13).apply(joints[np.newaxis])[0])


def test_people_in_pictures_are_stepped_as_if_they_had_come_as_poses(rig: CameraRig) -> None:
    camera = Watched(rig)
    plain = {1: PlainTrack(TinyReference()), 2: PlainTrack(TinyReference())}
    for seq in range(12):
        boxes = {1: moved(LEFT, seq), 2: moved(RIGHT, -seq)}
        camera.show(seq, seq * STEP_S, room({RED: boxes[1], BLUE: boxes[2]}))
        rig.work()
        last = camera.predictions[-2:]
        assert [(p.seq, p.track) for p in last] == [(seq, 1), (seq, 2)]
        for prediction in last:
            assert isinstance(prediction.track, int)
            wanted = plain[prediction.track].step(pose_of(boxes[prediction.track]), 0)
            assert prediction.probabilities == pytest.approx(wanted, abs=ERROR)
    assert camera.session.counts.perceived == 12
    assert camera.session.counts.found == 24
    assert camera.settled


def test_joints_are_stepped_beside_the_picture_that_they_were_found_in(both: Bundle) -> None:
    rig = CameraRig(both)
    camera, tiny_both = Watched(rig), TinyBothReference()
    states = {
        1: np.full((1, HIDDEN), HIDDEN_AT_START, np.float32),
        2: np.full((1, HIDDEN), HIDDEN_AT_START, np.float32),
    }
    for seq in range(8):
        boxes = {1: moved(LEFT, seq), 2: moved(RIGHT, -seq)}
        picture = room({RED: boxes[1], BLUE: boxes[2]})
        camera.show(seq, seq * STEP_S, picture)
        while not rig.batcher._arrived:
            rig.perceive(1)
        one, two = (step.x for step in rig.batcher._arrived)
        assert one[1] is two[1], "one array, for everybody in the picture"
        rig.work()
        fitted = fit_image(picture, 24, 32)[np.newaxis]
        for prediction in camera.predictions[-2:]:
            track = prediction.track
            assert isinstance(track, int)
            logits, states[track] = tiny_both.step(pose_of(boxes[track])[np.newaxis], fitted, states[track])
            assert prediction.probabilities == pytest.approx(probabilities_of(logits[0]), abs=ERROR)
    assert [p.track for p in camera.predictions] == [1, 2] * 8
    assert sum(rig.graph.batches) == 8, "each picture is looked at once"
    assert camera.settled


def test_a_hold_repeats_the_joints_and_their_picture(both: Bundle) -> None:
    rig = CameraRig(both)
    camera, tiny_both = Watched(rig), TinyBothReference()
    state, shown = np.full((1, HIDDEN), HIDDEN_AT_START, np.float32), []
    for seq, ticks in enumerate((0, 1, 4)):  # the third picture comes three ticks after the second
        picture = room({RED: moved(LEFT, 5 * seq)})
        camera.show(seq, ticks * STEP_S, picture)
        rig.work()
        shown.append((pose_of(moved(LEFT, 5 * seq))[np.newaxis], fit_image(picture, 24, 32)[np.newaxis]))
    for which in (0, 1, 1, 1, 2):
        logits, state = tiny_both.step(*shown[which], state)
    assert camera.predictions[-1].probabilities == pytest.approx(probabilities_of(logits[0]), abs=ERROR)
    assert len(camera.predictions) == 3


def test_frames_are_chosen_by_the_clock_before_anybody_looks(rig: CameraRig) -> None:
    camera = Watched(rig)
    decoded = []
    for seq in range(30):  # 30 Hz for a model of 15

        def decode(seq: int = seq) -> np.ndarray:
            decoded.append(seq)
            return room({RED: moved(LEFT, seq // 2)})

        camera.show(seq, seq / 30, decode)
        rig.work()
    assert decoded == list(range(0, 30, 2))
    assert sum(rig.graph.batches) == 15
    assert [p.seq for p in camera.predictions] == decoded, "nothing is looked at that no model steps"
    assert camera.session.counts.skipped == 15
    assert camera.settled


@pytest.mark.parametrize("first", range(6))
def test_whoever_comes_at_any_frame_is_stepped_at_each_look(rig: CameraRig, first: int) -> None:
    camera = Watched(rig)
    for seq in range(50):  # 25 Hz: some ticks are 40 ms apart, some 80
        camera.show(seq, seq / 25, room({RED: moved(LEFT, seq)} if seq >= first else {}))
        rig.work()
    pictures = camera.session.counts.perceived
    unseen = pictures - len(camera.predictions)
    assert 29 <= pictures <= 31
    assert unseen <= 4, "only the looks before they came gave nothing"
    assert all(p.epoch == 0 for p in camera.predictions)


def test_frames_are_answered_in_order_though_looking_is_slow(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(4):
        camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, seq)}))
    camera.receive(Flush(id=5))
    assert camera.predictions == []
    assert camera.of(Flushed) == []
    rig.perceive(1)  # of one camera one picture at a time
    rig.run()
    assert [p.seq for p in camera.predictions] == [0]
    rig.perceive()  # the other three, before a step is run
    assert [p.seq for p in camera.predictions] == [0]
    rig.work()
    assert [p.seq for p in camera.predictions] == [0, 1, 2, 3]
    assert camera.messages[-1] == Flushed(id=5)


def test_when_looking_is_slow_whole_frames_are_dropped_and_people_keep_their_state(rig: CameraRig) -> None:
    camera = Watched(rig)
    plain = PlainTrack(TinyReference())
    for seq in range(12):  # an inbox of four; two are decoded ahead
        camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, seq)}))
        while rig.decoders.run_once():
            pass
    rig.work()
    counts = camera.session.counts
    answered = [p.seq for p in camera.predictions]
    assert counts.dropped["overflow"] == 12 - len(answered) == 8
    assert answered[:2] == [0, 1]
    assert answered[-1] == 11
    before = -1
    for prediction in camera.predictions:
        plain.fill(0, prediction.seq - before - 1)  # what was dropped is held, as any tick without a frame
        before = prediction.seq
        wanted = plain.step(pose_of(moved(LEFT, prediction.seq)), 0)
        assert prediction.probabilities == pytest.approx(wanted, abs=ERROR)
    assert camera.predictions[-1].dropped == 8
    assert {p.epoch for p in camera.predictions} == {0}
    assert camera.settled


def test_of_ten_cameras_that_are_too_many_each_is_looked_at_as_often_and_every_frame_is_accounted_for(
    bundle: Bundle,
) -> None:
    rig = CameraRig(bundle, Limits(slots=10, max_people=1, inbox=4, max_batch=16), max_batch=3)
    cameras = [Watched(rig) for _ in range(10)]
    for seq in range(60):
        for camera in cameras:
            camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, seq // 2)}))
        rig.perceive(1)  # three of ten
        rig.run()
        assert max(camera.session.waiting for camera in cameras) <= 4
    looked = [camera.session.counts.perceived for camera in cameras]
    assert sum(looked) == 60 * 3
    assert max(looked) - min(looked) <= 1, "none starves"
    ages = [60 - camera.predictions[-1].seq for camera in cameras]
    assert max(ages) <= 4 + 2 * 4, "an inbox, and two rounds for what is decoded ahead"
    rig.work()
    for camera in cameras:
        counts = camera.session.counts
        assert camera.settled
        assert counts.dropped == {**dict.fromkeys(counts.dropped, 0), "overflow": 60 - counts.stepped}
        assert camera.predictions[-1].seq == 59
        assert camera.predictions[-1].dropped == 60 - counts.stepped, "and is told so"
        assert {p.track for p in camera.predictions} == {1}


def test_a_stream_that_blocks_drops_nothing(rig: CameraRig) -> None:
    camera = Watched(rig, policy="block")
    seq = 0
    while seq < 20:
        while not camera.session.full and seq < 20:
            camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, seq)}))
            seq += 1
        rig.perceive(1)
        rig.run(1)
    rig.work()
    assert [p.seq for p in camera.predictions] == list(range(20))
    assert camera.settled


def test_a_failed_batch_fails_its_own_frames_and_nobody_loses_anything(rig: CameraRig) -> None:
    camera, plain = Watched(rig), PlainTrack(TinyReference())
    for seq in range(10):
        rig.graph.failing = seq in (4, 5)
        box = moved(LEFT, seq)
        camera.show(seq, seq * STEP_S, room({RED: box}))
        rig.work()
        if rig.graph.failing:
            error = camera.of(ErrorMessage)[-1]
            assert (error.code, error.seq, error.retryable) == ("perception_failed", seq, True)
            continue
        if seq == 6:
            plain.fill(0, 2)
        wanted = plain.step(pose_of(box), 0)
        assert (camera.predictions[-1].seq, camera.predictions[-1].track) == (seq, 1)
        assert camera.predictions[-1].probabilities == pytest.approx(wanted, abs=ERROR)
    assert camera.session.counts.dropped["failed"] == 2
    assert camera.settled


def test_a_picture_that_cannot_be_decoded_is_refused_in_its_turn(rig: CameraRig) -> None:
    def broken() -> np.ndarray:
        raise BadImage("a broken picture")

    camera = Watched(rig)
    camera.show(0, 0.0, room({RED: LEFT}))
    camera.show(1, STEP_S, broken)
    camera.show(2, 2 * STEP_S, room({RED: moved(LEFT, 1)}))
    camera.show(3, 3 * STEP_S, room({RED: LEFT}, height=200, width=200))  # more pixels than are taken
    assert [e.seq for e in camera.of(ErrorMessage)] == [3], "this one is refused at once"
    rig.work()
    assert [(m.type, getattr(m, "seq", None)) for m in camera.messages[2:] if m.type != "event"] == [
        *(("prediction", 0), ("error", 1), ("prediction", 2))
    ]
    assert camera.session.counts.refused == 2
    assert camera.settled


def test_two_cameras_get_what_each_gets_alone(bundle: Bundle) -> None:
    rooms = [
        [room({RED: moved(LEFT, seq), GREEN: moved(RIGHT, -seq)}) for seq in range(15)],
        [room({BLUE: moved(RIGHT, -2 * seq)} if seq < 9 else {}) for seq in range(15)],
    ]

    def watch(which: list[int]) -> list[list[tuple[int, int, list[float]]]]:
        rig = CameraRig(bundle)
        cameras = [Watched(rig) for _ in which]
        for seq in range(15):
            for camera, number in zip(cameras, which, strict=True):
                camera.show(seq, seq * STEP_S, rooms[number][seq])
            rig.work()
        assert max(rig.graph.batches) == len(which), "they are looked at together"
        return [[(p.seq, int(p.track), p.probabilities) for p in camera.predictions] for camera in cameras]

    together = watch([0, 1])
    for number in (0, 1):
        (alone,) = watch([number])
        assert [row[:2] for row in together[number]] == [row[:2] for row in alone]
        for ours, theirs in zip(together[number], alone, strict=True):
            assert ours[2] == pytest.approx(theirs[2], abs=1e-6)


def test_pictures_of_different_shapes_are_looked_at_in_runs_of_their_own(bundle: Bundle) -> None:
    rig = CameraRig(bundle)
    cameras = [Watched(rig) for _ in range(3)]
    for camera, (height, width) in zip(cameras, ((96, 128), (48, 64), (80, 60)), strict=True):
        camera.show(0, 0.0, room({RED: (5, 5, 30, 40)}, height, width))
    rig.work()
    assert sorted(rig.graph.batches) == [1, 2], "a portrait one beside two landscapes"
    assert [len(camera.predictions) for camera in cameras] == [1, 1, 1]


def test_somebody_who_is_lost_for_less_than_the_gap_limit_keeps_their_state(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(30):
        camera.show(seq, seq * STEP_S, room({} if 10 <= seq < 20 else {RED: LEFT}))
        rig.work()
    assert {p.track for p in camera.predictions} == {1}
    assert {p.epoch for p in camera.predictions} == {0}
    assert [b - a for a, b in pairwise(p.seq for p in camera.predictions)].count(11) == 1


def test_who_comes_back_after_the_gap_limit_is_somebody_new_and_their_event_has_ended(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(60):
        camera.show(seq, seq * STEP_S, room({} if 10 <= seq < 40 else {RED: LEFT}))
        rig.work()
    assert {p.track for p in camera.predictions} == {1, 2}
    ends = [event for event in camera.of(Event) if event.track == 1 and event.phase == "end"]
    begins = [event for event in camera.of(Event) if event.track == 1 and event.phase == "begin"]
    assert len(ends) == len(begins) > 0
    assert 24 <= ends[-1].seq <= 27, "a second after they were seen last"
    counts = camera.session.counts
    assert (counts.tracks_begun, counts.tracks_lost, counts.tracks_renewed) == (2, 1, 1)
    assert len(camera.session.tracks) == 1
    camera.receive(End())
    assert rig.pool.used == 0


def test_when_the_camera_is_gone_everybody_leaves_as_soon_as_what_waits_is_answered(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(6):
        camera.show(seq, seq * STEP_S, room({RED: LEFT}))
        rig.work()
    assert camera.of(Event)[-1].phase == "begin"
    camera.show(6, 6 * STEP_S, room({RED: LEFT}))
    camera.session.absent()
    assert rig.pool.used == 1, "a frame is on its way"
    rig.work()
    assert rig.pool.used == 0
    assert (camera.of(Event)[-1].phase, camera.of(Event)[-1].seq) == ("end", 6)
    told = len(camera.messages)
    camera.session.absent()
    assert len(camera.messages) == told, "nobody is left"
    camera.show(7, 60.0, room({RED: LEFT}))
    rig.work()
    assert (camera.predictions[-1].seq, camera.predictions[-1].track) == (7, 2)


def test_a_frame_that_comes_after_all_keeps_everybody(rig: CameraRig) -> None:
    camera = Watched(rig)
    camera.show(0, 0.0, room({RED: LEFT}))
    camera.session.absent()
    camera.show(1, STEP_S, room({RED: LEFT}))
    rig.work()
    assert [(p.seq, p.track, p.epoch) for p in camera.predictions] == [(0, 1, 0), (1, 1, 0)]
    assert rig.pool.used == 1


def test_a_reset_makes_everybody_new_after_the_frames_before_it(rig: CameraRig) -> None:
    camera = Watched(rig)
    camera.show(0, 0.0, room({RED: LEFT}))
    rig.work()
    camera.show(1, STEP_S, room({RED: LEFT}))  # not looked at yet
    camera.receive(Reset())
    camera.show(2, 2 * STEP_S, room({RED: LEFT}))
    rig.work()
    assert [(p.seq, p.track, p.epoch) for p in camera.predictions] == [(0, 1, 0), (1, 1, 0), (2, 2, 0)]
    assert camera.session.counts.resets["requested"] == 1
    first, again = camera.predictions[0], camera.predictions[2]
    assert again.probabilities == pytest.approx(first.probabilities, abs=1e-6), "from the initial state"
    camera.show(3, 3 * STEP_S, room({}))
    rig.work()
    assert len(camera.session.tracks) == 1, "whoever was there before the reset gave their slot back"


def test_a_reset_survives_when_the_frame_after_it_is_dropped(bundle: Bundle) -> None:
    rig = CameraRig(bundle, Limits(slots=8, max_people=4, inbox=2, max_batch=8))
    camera = Watched(rig)
    camera.show(0, 0.0, room({RED: LEFT}))
    rig.work()
    camera.receive(Reset())
    for seq in range(1, 6):
        camera.show(seq, seq * STEP_S, room({RED: LEFT}))
    rig.work()
    assert camera.session.counts.dropped["overflow"] == 3
    assert [(p.seq, p.track) for p in camera.predictions] == [(0, 1), (4, 2), (5, 2)]


def test_one_person_is_reset_by_their_track(rig: CameraRig) -> None:
    camera = Watched(rig)
    both = room({RED: LEFT, BLUE: RIGHT})
    camera.show(0, 0.0, both)
    rig.work()
    camera.show(1, STEP_S, both)
    camera.receive(Reset(track=2))
    camera.receive(Reset(track=9))  # whom nobody knows
    camera.show(2, 2 * STEP_S, both)
    rig.work()
    assert [(p.seq, p.track, p.epoch, p.reset) for p in camera.predictions[2:]] == [
        *((1, 1, 0, None), (1, 2, 0, None)),
        *((2, 1, 0, None), (2, 2, 1, "requested")),
    ]


def test_a_clock_that_jumps_back_is_another_recording(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(4):
        camera.show(seq, 100 + seq * STEP_S, room({RED: LEFT}))
        rig.perceive(seq // 2)  # the last of them are not looked at when the clock jumps
        rig.run()
    for seq in range(4, 8):
        camera.show(seq, (seq - 4) * STEP_S, room({RED: LEFT}))
        rig.work()
    assert [(p.seq, p.track) for p in camera.predictions] == [(s, 1 if s < 4 else 2) for s in range(8)]
    assert camera.session.counts.resets["backward"] == 1


def test_a_long_gap_makes_everybody_new(rig: CameraRig) -> None:
    camera = Watched(rig)
    for seq in range(8):
        camera.show(seq, seq * STEP_S + (30 if seq >= 4 else 0), room({RED: LEFT}))
        rig.work()
    assert [(p.seq, p.track) for p in camera.predictions] == [(s, 1 if s < 4 else 2) for s in range(8)]


def test_a_still_room_is_not_looked_at_until_something_moves(bundle: Bundle) -> None:
    rig = CameraRig(bundle, motion_gate=True)
    camera = Watched(rig)
    empty = room({})
    for seq in range(60):
        camera.show(seq, seq * STEP_S, empty)
        rig.work()
    counts = camera.session.counts
    assert counts.gated > 40
    assert counts.perceived == 60 - counts.gated == sum(rig.graph.batches)
    assert counts.skipped == 60, "frames without anybody are skipped, looked at or not"
    for seq in range(60, 90):
        camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, seq - 60)}))
        rig.work()
    assert camera.predictions[0].seq == 60, "the very first frame in which somebody is"
    still = counts.gated
    for seq in range(90, 110):
        camera.show(seq, seq * STEP_S, room({RED: moved(LEFT, 29)}))  # stands still, and is tracked
        rig.work()
    assert counts.gated == still
    assert [p.seq for p in camera.predictions] == list(range(60, 110))
    assert camera.settled


def test_people_are_told_before_the_predictions_of_their_frame_and_settle_nothing(rig: CameraRig) -> None:
    camera = Watched(rig, people=True)
    camera.show(0, 0.0, room({RED: LEFT, BLUE: RIGHT}))
    camera.show(1, STEP_S, room({}))
    camera.show(2, 2 * STEP_S, room({RED: LEFT}))
    rig.work()
    told = [(m.type, m.seq) for m in camera.messages if m.type in ("people", "prediction")]
    assert told == [
        *(("people", 0), ("prediction", 0), ("prediction", 0), ("people", 1), ("people", 2), ("prediction", 2))
    ]
    first = {person.track: person for person in camera.people[0].people}
    assert list(first[1].box) == list(LEFT)
    assert np.allclose(np.array(first[2].keypoints)[:, :2], joints_of(RIGHT), atol=0.06)
    nobody = camera.people[1].people
    assert first[1].score == pytest.approx(SCORE, abs=1e-3)
    assert len(nobody) == 0
    quiet = Watched(rig)
    quiet.show(0, 0.0, room({RED: LEFT}))
    rig.work()
    assert quiet.people == []


def test_places_are_in_pixels_of_the_cameras_own_picture(rig: CameraRig) -> None:
    camera = Watched(rig, people=True)
    small = room({RED: LEFT})
    camera.receive(ImageFrame(0, 0.0, small, size=(1280, 960)))
    rig.work()
    assert camera.people[0].people[0].box == tuple(10 * side for side in LEFT)


def test_no_more_people_are_watched_than_the_server_allows(bundle: Bundle) -> None:
    rig = CameraRig(bundle, Limits(slots=8, max_people=2, inbox=4, max_batch=8))
    camera = Watched(rig)
    for seq in range(3):
        camera.show(seq, seq * STEP_S, room({RED: LEFT, GREEN: (50, 10, 70, 80), BLUE: RIGHT}))
        rig.work()
    assert {p.track for p in camera.predictions} == {1, 2}
    (warning,) = camera.of(ErrorMessage)
    assert (warning.code, warning.seq) == ("too_many_people", None), "said once, and nothing is refused"
    assert "3 people" in warning.message
    rig.now_s += 61
    camera.show(3, 3 * STEP_S, room({RED: LEFT, GREEN: (50, 10, 70, 80), BLUE: RIGHT}))
    rig.work()
    assert len(camera.of(ErrorMessage)) == 2, "and again after a minute"
    assert camera.settled


def test_end_waits_for_looks_and_closing_forgets_them(rig: CameraRig) -> None:
    camera, other = Watched(rig), Watched(rig)
    for each in (camera, other):
        each.show(0, 0.0, room({RED: LEFT}))
        each.show(1, STEP_S, room({RED: LEFT}))
    camera.receive(End())
    assert camera.of(Summary) == []
    other.session.close()
    rig.work()
    assert len(camera.predictions) == 2
    assert camera.messages[-1].type == "summary"
    assert camera.of(Summary)[0].stepped == 2
    assert other.predictions == []
    assert other.session.counts.dropped["closed"] == 2
    assert rig.pool.used == 0


def test_drain_answers_what_was_sent_before_it(rig: CameraRig) -> None:
    camera = Watched(rig)
    camera.show(0, 0.0, room({RED: LEFT}))
    camera.session.drain(rig.now_s)
    camera.show(1, STEP_S, room({RED: LEFT}))
    rig.work()
    assert [m.type for m in camera.messages if m.type != "event"] == ["ready", "error", "prediction", "summary"]


ACTS = st.lists(
    st.tuples(
        st.sampled_from(("show",) * 3 + ("empty", "broken", "perceive", "step", "fail", "reset", "one", "flush")),
        st.integers(0, 3),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(ACTS, st.sampled_from(("drop_oldest", "block")), st.booleans())
def test_whatever_comes_in_whatever_order_every_frame_is_settled_once_and_in_turn(
    bundle: Bundle, acts: list[tuple[str, int]], policy: str, gate: bool
) -> None:
    rig = CameraRig(bundle, motion_gate=gate)
    camera = Watched(rig, policy=policy, people=True)

    def broken() -> np.ndarray:
        raise BadImage("a broken picture")

    seq, flushes = 0, 0
    for act, number in acts:
        if act in ("show", "empty", "broken"):
            if policy == "block" and camera.session.full:
                continue
            picture = broken if act == "broken" else room({} if act == "empty" else {number % 3: moved(LEFT, seq)})
            camera.show(seq, seq * STEP_S * (1 + number), picture)
            seq += 1
        elif act == "perceive":
            rig.perceive(number)
        elif act == "step":
            rig.run(number)
        elif act == "fail":
            rig.graph.failing = True
            rig.perceive(1)
            rig.graph.failing = False
        elif act in ("reset", "one"):
            camera.receive(Reset(track=None if act == "reset" else number))
        else:
            camera.receive(Flush(id=flushes))
            flushes += 1
    camera.receive(End())
    rig.work()
    assert camera.session.closed
    assert camera.settled
    assert camera.session.counts.received == seq
    assert rig.pool.used == 0
    order = [m.seq for m in camera.messages if isinstance(m, Prediction | PeopleMessage | Event)]
    assert order == sorted(order)
    assert [flushed.id for flushed in camera.of(Flushed)] == list(range(flushes))
    begun = [(e.track, e.label) for e in camera.of(Event) if e.phase == "begin"]
    ended = [(e.track, e.label) for e in camera.of(Event) if e.phase == "end"]
    assert sorted(begun) == sorted(ended), "every action that began has ended"
    if policy == "block":
        assert camera.session.counts.dropped["overflow"] == 0
