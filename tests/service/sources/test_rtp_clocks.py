"""Cameras whose RTP clock is wrong, over real RTSP: they are watched all the same, and a fall is seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from inkling.models.bundle import Registry, load, zoo_directory
from inkling.service.demo.falling import SECONDS, picture
from inkling.service.memory_account import MemoryAccount
from inkling.service.protocol.codec import Outgoing, Prediction, Start
from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.lifecycle import SourceTiming
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.source import Source
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.hub import Hub
from tests.service.sources.cameras import until
from tests.service.sources.rtp_camera import RtpCamera, encode

RATE = 21
CLOCKS: dict[str, Callable[[float], float]] = {
    "right": lambda at_s: at_s,
    "stands still": lambda at_s: 5.0,
    "half": lambda at_s: at_s / 2,
    "double": lambda at_s: at_s * 2,
    "25 on 21": lambda at_s: at_s * 21 / 25,
}
TIMING = SourceTiming(open_s=30.0, stall_s=20.0, read_s=30.0)


def test_a_fall_is_seen_whatever_the_cameras_clock_says() -> None:
    """All at once: they play in real time."""
    film = encode([picture(k / RATE) for k in range(round(SECONDS * RATE))], RATE, key_every=RATE)
    bundle = load(Registry([zoo_directory()]).get("fall-watch"))
    fall, due = bundle.spec.labels.index("fall"), SECONDS * bundle.spec.rate_hz
    heard: dict[str, list[Outgoing]] = {name: [] for name in CLOCKS}

    def source(hub: Hub, name: str, url: str) -> Source:
        wanted = SourceDefinition(url=url, bundle="fall-watch", transport="udp")
        policy = SourcePolicy(hosts=("127.0.0.1",))

        def opened(start: Start, id: str, definition: SourceDefinition) -> AdmittedStream:
            return hub.open(start, heard[name].append, id)

        return Source(
            name, wanted, policy, TIMING, opened, max_pixels=10**6, spool=Spool(), memory=hub.memory.share("sources")
        )

    def predictions(name: str) -> list[Prediction]:
        return [message for message in heard[name] if isinstance(message, Prediction)]

    async def body() -> None:
        hub = Hub(threads=1, decode_threads=1, memory=MemoryAccount(2**30))
        hub.load(bundle)
        hub.start(asyncio.get_running_loop())
        with contextlib.ExitStack() as stack:
            cameras = {name: stack.enter_context(RtpCamera(film, RATE, clock=clock)) for name, clock in CLOCKS.items()}
            sources = [source(hub, name, camera.url) for name, camera in cameras.items()]
            for one in sources:
                one.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECONDS + 20):
                    await until(lambda: all(one.tally.frames >= 0.9 * SECONDS * RATE for one in sources))
            for one in sources:
                await one.remove()
        await hub.stop()

    asyncio.run(body())
    for name in CLOCKS:
        given = predictions(name)
        assert len(given) >= 0.7 * due, name  # 0.9 were sent; a slow clock may lag 0.6 s until it has proved wrong
        assert max(message.probabilities[fall] for message in given) > 0.5, name
        assert not [message.reset for message in given if message.reset], name
