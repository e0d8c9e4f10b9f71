"""What is estimated of an image before it is decoded: enough to refuse what stopped other cameras."""

from __future__ import annotations

from inkling.service.inputs.decode_cost import decode_cost
from inkling.service.inputs.decode_queue import HEAVY_S
from inkling.service.protocol.image_facts import ImageFile
from inkling.service.streams.limits import Limits

MOST_S = Limits().max_decode_s


def test_what_cameras_send_is_light() -> None:
    for file in (
        ImageFile("jpeg", 640, 480, 3),
        ImageFile("jpeg", 1920, 1080, 3),
        ImageFile("png", 640, 480, 3),
        ImageFile("lossy webp", 1280, 720, 3),
    ):
        assert decode_cost(file).seconds <= HEAVY_S


def test_what_people_send_is_within_the_budget() -> None:
    for file in (
        ImageFile("jpeg", 4096, 4096, 3),
        ImageFile("png", 3840, 2160, 3),
        ImageFile("progressive jpeg", 3264, 2448, 3, scans=10),
    ):
        assert decode_cost(file).seconds <= MOST_S


def test_what_stopped_other_cameras_is_not() -> None:
    for file in (
        ImageFile("png", 4096, 4096, 3),
        ImageFile("lossless webp", 4096, 4096, 4),
        ImageFile("progressive jpeg", 4096, 4096, 3, scans=99),
    ):
        assert decode_cost(file).seconds > MOST_S


def test_nothing_within_the_budget_takes_much_memory() -> None:
    for bits in (3, 4, 6, 8):
        for side in range(64, 4097, 64):
            cost = decode_cost(ImageFile("png", side, side, bits))
            assert cost.seconds > MOST_S or cost.bytes < 120 * 10**6
