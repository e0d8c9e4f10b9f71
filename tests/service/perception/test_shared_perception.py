from __future__ import annotations

import numpy as np
import pytest

from inkling.models.bundle import Bundle
from inkling.service.perception.shared_perception import SharedPerception
from inkling.service.protocol.codec import End, ErrorMessage, Reset
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.streams.limits import Limits
from tests.coloured_people import RED, moved, room
from tests.service.camera_rig import CameraRig, Watched
from tests.service.rig import tiny

STEP_S = 1 / 15
LEFT = (8, 10, 40, 90)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


class Pair:
    """Two streams of one camera."""

    def __init__(self, bundle: Bundle, **start: str) -> None:
        self.rig = CameraRig(bundle, Limits(slots=8, max_people=4, inbox=3, max_batch=8))
        self.shared = SharedPerception(self.rig.perception.open(None, 4, 1.0))
        self.rig.next_perception = self.shared.member
        self.streams = [Watched(self.rig, **start) for _ in range(2)]

    def show(self, seq: int, to: tuple[int, ...] = (0, 1)) -> None:
        frame = ImageFrame(seq, seq * STEP_S, room({RED: moved(LEFT, seq)}))
        for number in to:
            self.streams[number].receive(frame)


def test_each_picture_is_looked_at_once_and_told_to_both(bundle: Bundle) -> None:
    pair = Pair(bundle)
    for seq in range(6):
        pair.show(seq)
        pair.rig.work()
    assert sum(pair.rig.graph.batches) == 6
    one, two = pair.streams
    assert [p.seq for p in one.predictions] == [p.seq for p in two.predictions] == list(range(6))
    for ours, theirs in zip(one.predictions, two.predictions, strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-6)
    assert one.settled
    assert two.settled


def test_a_picture_is_looked_at_as_long_as_one_of_them_wants_it(bundle: Bundle) -> None:
    pair = Pair(bundle)
    for seq in range(3):
        pair.show(seq)
    for seq in range(3, 6):
        pair.show(seq, to=(0,))  # drops three of the first stream's; the second's are all wanted
    pair.rig.work()
    one, two = pair.streams
    assert [p.seq for p in two.predictions] == [0, 1, 2]
    assert [p.seq for p in one.predictions] == [3, 4, 5]
    assert one.session.counts.dropped["overflow"] == 3
    assert sum(pair.rig.graph.batches) == 6


def test_what_nobody_wants_any_more_is_not_looked_at(bundle: Bundle) -> None:
    pair = Pair(bundle)
    for seq in range(6):
        pair.show(seq)
    pair.rig.work()
    assert sum(pair.rig.graph.batches) == 3
    for stream in pair.streams:
        assert [p.seq for p in stream.predictions] == [3, 4, 5]
        assert stream.settled


def test_failures_and_refusals_reach_both(bundle: Bundle) -> None:
    def broken() -> np.ndarray:
        raise BadImage("a broken picture")

    pair = Pair(bundle)
    frame = ImageFrame(0, 0.0, broken)
    for stream in pair.streams:
        stream.receive(frame)
    pair.rig.work()
    pair.rig.graph.failing = True
    pair.show(1)
    pair.rig.work()
    for stream in pair.streams:
        assert [(e.seq, e.code) for e in stream.of(ErrorMessage)] == [(0, "bad_image"), (1, "perception_failed")]
        assert stream.settled


def test_a_reset_makes_everybody_new_for_both(bundle: Bundle) -> None:
    pair = Pair(bundle)
    pair.show(0)
    for stream in pair.streams:
        stream.receive(Reset())
    pair.show(1)
    pair.rig.work()
    for stream in pair.streams:
        assert [(p.seq, p.track) for p in stream.predictions] == [(0, 1), (1, 2)]


def test_one_may_end_before_the_other(bundle: Bundle) -> None:
    pair = Pair(bundle)
    pair.show(0)
    pair.streams[0].session.close()
    pair.show(1, to=(1,))
    pair.rig.work()
    assert pair.streams[0].predictions == []
    assert [p.seq for p in pair.streams[1].predictions] == [0, 1]
    closed = [pair.shared.perception.lane.closed]
    pair.streams[1].receive(End())
    closed.append(pair.shared.perception.lane.closed)
    assert closed == [False, True], "the last of them closed it"
    assert pair.rig.pool.used == 0
