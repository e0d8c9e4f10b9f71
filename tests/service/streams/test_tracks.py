from __future__ import annotations

from collections.abc import Callable

import pytest

from inkling.models.bundle.schema import BundleSpec
from inkling.service.access.quotas import PeopleOfToken
from inkling.service.engine.scheduler import Lane
from inkling.service.engine.state_pool import StatePool
from inkling.service.protocol.errors import NoSlot, PeopleOverQuota, TooManyPeople
from inkling.service.streams.tracks import PeopleQuota, Track, Tracks
from tests.service.rig import tiny

Make = Callable[..., Tracks]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> BundleSpec:
    return tiny(tmp_path_factory.mktemp("bundles"), gaps={"max_gap_s": 2.0}).spec


class Stage:
    def __init__(
        self,
        spec: BundleSpec,
        max_people: int = 3,
        slots: int = 8,
        timeout_s: float = 10.0,
        quota: PeopleQuota | None = None,
    ) -> None:
        self.pool = StatePool(slots)
        self.closed: list[Lane] = []
        self.tracks = Tracks(spec, self.pool, lambda rows: rows, self.closed.append, max_people, timeout_s, None, quota)

    def see(self, track_id: int, pts_s: float = 0.0, present: tuple[int, ...] = ()) -> Track:
        """A person in the frame at `pts_s`, seated."""
        track = self.tracks.find(track_id, pts_s)
        if track.lane is None:
            self.tracks.give_slot(track, (track_id, *present))
        return track


def test_a_person_keeps_track_and_slot(spec: BundleSpec) -> None:
    stage = Stage(spec)
    first = stage.see(7)
    assert stage.see(7, 0.1) is first
    assert (stage.pool.used, len(stage.tracks), stage.tracks.seen) == (1, 1, 1)


def test_when_one_more_person_comes_the_one_unseen_for_longest_gives_way(spec: BundleSpec) -> None:
    stage = Stage(spec, max_people=2)
    old, kept = stage.see(1, 0.0), stage.see(2, 0.0)
    stage.see(1, 0.1)
    lane = kept.lane
    new = stage.tracks.find(3, 0.2)
    _, evicted = stage.tracks.give_slot(new, [3])
    assert evicted is kept
    assert kept.lane is None
    assert old.lane is not None
    assert stage.closed == [lane]
    assert stage.pool.used == 2


def test_who_lost_their_state_with_the_slot_is_reset_on_return(spec: BundleSpec) -> None:
    stage = Stage(spec, max_people=1)
    first = stage.see(1)
    stage.see(2, 0.1)
    assert stage.see(1, 0.2) is first
    assert (first.epoch, first.reason) == (1, "evicted")


def test_a_reset_meanwhile_is_reason_enough(spec: BundleSpec) -> None:
    stage = Stage(spec, max_people=1)
    first = stage.see(1)
    stage.see(2, 0.1)
    first.reset("gap")
    stage.see(1, 9.0)
    assert (first.epoch, first.reason) == (1, "gap")


def test_those_present_and_those_with_steps_waiting_do_not_give_way(spec: BundleSpec) -> None:
    stage = Stage(spec, max_people=2)
    busy, present = stage.see(1), stage.see(2)
    busy.waiting = 1
    new = stage.tracks.find(3, 0.1)
    with pytest.raises(TooManyPeople, match="track 3 is not watched: 2 people"):
        stage.tracks.give_slot(new, [2, 3])
    assert busy.lane is not None
    assert present.lane is not None
    assert stage.tracks.give_slot(new, [3])[1] is present


def test_without_a_free_slot_nobody_is_seated(spec: BundleSpec) -> None:
    stage = Stage(spec, slots=1)
    stage.see(1)
    new = stage.tracks.find(2, 0.0)
    with pytest.raises(NoSlot):
        stage.tracks.give_slot(new, [1, 2])
    stage.tracks.close()
    assert stage.pool.used == 0


def test_a_person_unseen_for_the_timeout_gives_the_slot_back(spec: BundleSpec) -> None:
    stage = Stage(spec, timeout_s=5.0)
    gone, stays = stage.see(1, 0.0), stage.see(2, 4.0)
    assert stage.tracks.expire(5.0) == []
    assert stage.tracks.expire(5.1) == [gone]
    assert stays.lane is not None
    assert stage.pool.used == 1
    assert stage.see(1, 6.0) is gone


def test_the_timeout_is_never_shorter_than_the_bundles_gap(spec: BundleSpec) -> None:
    stage = Stage(spec, timeout_s=0.5)
    stage.see(1, 0.0)
    assert stage.tracks.expire(1.9) == []
    assert len(stage.tracks.expire(2.1)) == 1


def test_after_a_jump_backward_the_others_time_out_too(spec: BundleSpec) -> None:
    stage = Stage(spec, timeout_s=5.0)
    gone = stage.see(1, 100.0)
    stage.see(2, 3.0)
    assert stage.tracks.expire(3.0) == [gone]


def test_a_person_with_steps_waiting_does_not_time_out(spec: BundleSpec) -> None:
    stage = Stage(spec, timeout_s=5.0)
    stage.see(1, 0.0).waiting = 1
    assert stage.tracks.expire(100.0) == []


def test_only_so_many_people_are_remembered(spec: BundleSpec) -> None:
    stage = Stage(spec, max_people=2)
    for track_id in range(1000):
        stage.see(track_id, track_id * 0.1)
    assert len(list(stage.tracks)) <= 2 + 4 * 2
    assert stage.tracks.seen == 1000
    assert stage.pool.used == 2


def test_closing_gives_every_slot_back(spec: BundleSpec) -> None:
    stage = Stage(spec)
    for track_id in range(3):
        stage.see(track_id)
    stage.tracks.close()
    assert stage.pool.used == 0
    assert len(stage.closed) == 3
    assert list(stage.tracks) == []
    assert stage.tracks.seen == 3


def test_people_count_over_two_streams_and_a_known_one_is_not_counted_again(spec: BundleSpec) -> None:
    quota = PeopleOfToken(2)
    one, other = Stage(spec, quota=quota), Stage(spec, quota=quota)
    one.see(1)
    other.see(1)
    for number in range(5):
        one.see(1, number / 10)
    assert quota.watched == 2
    with pytest.raises(PeopleOverQuota):
        one.see(2, 0.5, present=(1,))
    assert one.pool.used == 1
    other.tracks.close()
    one.see(2, 0.5, present=(1,))
    assert quota.watched == 2


def test_within_the_quota_the_streams_own_one_unseen_gives_way(spec: BundleSpec) -> None:
    quota = PeopleOfToken(1)
    stage = Stage(spec, quota=quota)
    first = stage.see(1)
    stage.see(2, 0.1)
    assert first.lane is None
    assert (quota.watched, stage.pool.used) == (1, 1)
    stage.tracks.expire(100.0)
    assert quota.watched == 0


def test_a_full_pool_takes_nothing_of_the_quota(spec: BundleSpec) -> None:
    quota = PeopleOfToken(3)
    stage = Stage(spec, slots=1, quota=quota)
    stage.see(1)
    with pytest.raises(NoSlot):
        stage.see(2)
    assert quota.watched == 1
