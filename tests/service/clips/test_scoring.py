"""Clips through the hub, where a stream ends before its clip. What they are scored as: test_clips and test_videos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import numpy as np
import pytest

from inkling.models.bundle import Bundle
from inkling.service.clips.scoring import score_frames
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import Draining, Internal
from inkling.service.protocol.pose_binary import PackedPose
from inkling.service.streams.hub import Hub
from inkling.service.streams.in_flight import PersonStep
from inkling.service.streams.session import Session
from tests.service.rig import body, tiny
from tests.service.streams.test_hub import with_hub

MANY = 2000
START = Start(bundle="tiny", policy="block")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


class Clip:
    """A long clip; `at` its tenth frame something happens. read: frames that were asked for."""

    def __init__(self, at: Callable[[], None] = lambda: None) -> None:
        self.read = 0
        self._at = at

    async def frames(self) -> AsyncGenerator[PackedPose, None]:
        for seq in range(MANY):
            self.read += 1
            if seq == 10:
                self._at()
            yield PackedPose(seq, seq / 15, [1], np.stack([body(seq)]))
            await asyncio.sleep(0)


def test_a_clip_whose_stream_a_defect_ends_fails_and_is_read_no_further(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_done = Session.step_done

    def defect(session: Session, step: PersonStep, now_s: float) -> None:
        if step.frame.seq == 5:
            raise RuntimeError("secret")
        step_done(session, step, now_s)

    monkeypatch.setattr(Session, "step_done", defect)

    async def use(hub: Hub) -> None:
        clip = Clip()
        with pytest.raises(Internal, match="operator"):
            await score_frames(hub, START, clip.frames(), hub.memory.share("clips"))
        assert clip.read < MANY
        assert not hub.streams()

    with_hub([bundle], use)


def test_a_clip_is_not_called_scored_when_the_hub_stops_first(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        stopping: list[asyncio.Task[None]] = []
        clip = Clip(lambda: stopping.append(asyncio.create_task(hub.stop())))
        with pytest.raises(Draining):
            await score_frames(hub, START, clip.frames(), hub.memory.share("clips"))
        assert clip.read < MANY
        await stopping[0]

    with_hub([bundle], use)


def test_a_drain_ends_a_clip_at_once(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        clip = Clip(lambda: hub.drain())
        with pytest.raises(Draining):
            await score_frames(hub, START, clip.frames(), hub.memory.share("clips"))
        assert clip.read < MANY
        assert not hub.streams()

    with_hub([bundle], use)
