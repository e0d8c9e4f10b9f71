"""A real RTSP client, from which RTP packets are kept: nothing that differs from the film is given, and all is said."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from inkling.models.clean_decoding import Damage
from inkling.models.resize import fit_image
from inkling.service.sources.pipe import Damaged, Failed, WorkerMessage
from tests.films import quiet_scene
from tests.service.sources.rtp_camera import Film, RtpCamera, encode
from tests.service.sources.test_worker import fetch, job, pictures

RATE = 50


@pytest.fixture(scope="module")
def film() -> Film:
    return encode(quiet_scene(60, 120, 160), RATE, key_every=20)


def watch(film: Film, transport: str, share: float, packet_bytes: int, limit: int) -> tuple[list[WorkerMessage], int]:
    """What is said, and how many packets were lost. The first key frame arrives."""
    draws = np.random.default_rng(3).random(100_000)
    spared = 3 + len(film.pictures[0][-1]) // packet_bytes + 1
    with RtpCamera(
        film, RATE, lost=lambda n: n > spared and draws[n] < share, times=20, packet_bytes=packet_bytes
    ) as camera:
        request = job(camera.url, transport=transport, height=120, width=160, read_s=5.0)
        return fetch(request, limit), camera.lost


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("packet_bytes", "share"), [(1200, 0.06), (100, 0.02)])  # a frame is one packet, or several
def test_what_differs_from_the_film_is_left_out_and_counted(
    film: Film, transport: str, packet_bytes: int, share: float
) -> None:
    wanted = {fit_image(image, 120, 160).tobytes() for image in film.seen}
    messages, lost = watch(film, transport, share, packet_bytes, limit=80)
    assert lost >= 2
    given = pictures(messages)
    assert len(given) >= 40
    assert [number for number, picture in enumerate(given) if picture.image.tobytes() not in wanted] == []
    damage = Counter[Damage]()
    for message in messages:
        damage.update(message.counts if isinstance(message, Damaged) else {})
    assert damage[Damage.LOST] >= 1
    assert damage[Damage.DEPENDENT] >= 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_without_loss_every_frame_is_given_and_nothing_is_said(film: Film, transport: str) -> None:
    wanted = [fit_image(image, 120, 160).tobytes() for image in film.seen]
    messages, lost = watch(film, transport, 0.0, 1200, limit=70)
    assert lost == 0
    assert not [message for message in messages if isinstance(message, Damaged | Failed)]
    begin = wanted.index(pictures(messages)[0].image.tobytes())
    played = wanted * 3
    assert [picture.image.tobytes() for picture in pictures(messages)] == played[begin : begin + len(messages) - 1]
