"""The pixels that a model is served are those that training makes of the same picture."""

from __future__ import annotations

import zlib
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.models.resize import FitPolicy, fit_image, inner_size
from inkling.service.inputs.frame_mapper import fitted, reduction, upright
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import ImageFrame, pack_image, unpack_image
from tests.support import picture

FITS: tuple[FitPolicy, ...] = ("letterbox", "stretch", "crop")


def encoded(image: NDArray[Any], kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), list(options))
    assert good
    return data.tobytes()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(480, 640), (64, 64), (700, 200)])
def test_pixels_that_lose_nothing_on_the_way_are_training_s_pixels(fit: FitPolicy, shape: tuple[int, int]) -> None:
    image = picture(*shape)
    wanted = fit_image(image, 112, 96, fit)
    for frame in (
        ImageFrame(0, 0.0, image),
        ImageFrame(0, 0.0, lambda: image),
        unpack_image(pack_image(0, image)),
        unpack_image(pack_image(0, encoded(image, ".png"))),
        unpack_image(pack_image(0, encoded(image, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101))),
    ):
        np.testing.assert_array_equal(fitted(frame, 112, 96, fit), wanted)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920), (1280, 720), (250, 230)])
@pytest.mark.parametrize("size", [(112, 112), (160, 90)])
def test_a_jpeg_decoded_small_differs_by_less_than_a_grey_level(
    fit: FitPolicy, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    data = encoded(picture(*shape, seed=5), ".jpg")
    full = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
    wanted = fit_image(full, *size, fit).astype(int)
    difference = np.abs(fitted(unpack_image(pack_image(0, data)), *size, fit) - wanted)
    assert difference.mean() < 0.5
    assert (difference <= 1).mean() > 0.95


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 512), st.integers(1, 512), st.sampled_from(FITS))
def test_a_reduced_jpeg_is_at_least_twice_what_is_needed(
    image_height: int, image_width: int, height: int, width: int, fit: FitPolicy
) -> None:
    factor = reduction(image_height, image_width, height, width, fit)
    assert factor in (1, 2, 4, 8)
    if factor > 1:
        # Whichever way its orientation turns it.
        for tall, wide in ((image_height, image_width), (image_width, image_height)):
            needed_height, needed_width = inner_size(tall, wide, height, width, fit)
            assert tall / factor >= 2 * needed_height - factor
            assert wide / factor >= 2 * needed_width - factor


def test_a_large_jpeg_for_a_small_model_is_reduced() -> None:
    assert reduction(480, 640, 112, 112, "letterbox") == 2
    assert reduction(1080, 1920, 112, 112, "letterbox") == 8
    assert reduction(1080, 1920, 112, 112, "crop") == 4
    assert reduction(200, 200, 112, 112, "letterbox") == 1


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_that_a_file_says_is_undone_as_opencv_does(
    orientation: int, order: Literal["little", "big"]
) -> None:
    jpeg, png = encoded(picture(40, 60, seed=2), ".jpg"), encoded(picture(40, 60, seed=2), ".png")
    numbers = [(0x0112, 2), (3, 2), (1, 4), (orientation, 2), (0, 2), (0, 4)]
    entry = b"".join(number.to_bytes(size, order) for number, size in numbers)
    exif = (b"II*\0" if order == "little" else b"MM\0*") + (8).to_bytes(4, order) + (1).to_bytes(2, order) + entry
    jpeg = jpeg[:2] + b"\xff\xe1" + (len(exif) + 8).to_bytes(2, "big") + b"Exif\0\0" + exif + jpeg[2:]
    chunk = len(exif).to_bytes(4, "big") + b"eXIf" + exif + zlib.crc32(b"eXIf" + exif).to_bytes(4, "big")
    png = png[:33] + chunk + png[33:]
    for data in (jpeg, png):
        wanted = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
        shown = fitted(unpack_image(pack_image(0, data)), wanted.shape[0], wanted.shape[1], "stretch")
        np.testing.assert_array_equal(shown, wanted)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_undone_as_opencv_does(orientation: int) -> None:
    stored = picture(40, 60, seed=2)
    jpeg = encoded(stored, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 100)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + b"\0\0\0\0\0\0\0"
    tagged = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    by_opencv = np.asarray(cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    as_stored = np.asarray(cv2.imdecode(np.frombuffer(tagged, np.uint8), flags), np.uint8)
    np.testing.assert_array_equal(upright(as_stored, orientation), by_opencv)


def test_grey_deep_and_transparent_images_become_rgb() -> None:
    grey = (picture(30, 40)[..., 0].astype(np.uint16) << 8) | 7
    for image in (grey, np.dstack([picture(30, 40), np.full((30, 40), 9, np.uint8)])):
        good, data = cv2.imencode(".png", image)
        assert good
        assert fitted(unpack_image(pack_image(0, data.tobytes())), 24, 32, "letterbox").shape == (24, 32, 3)


@given(st.data())
def test_a_damaged_file_is_pixels_or_a_typed_error(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        frame = unpack_image(pack_image(0, bytes(whole)))
        if frame.width * frame.height < 10**6:
            assert fitted(frame, 24, 32, "letterbox").shape == (24, 32, 3)
    except BadImage:
        pass


FILES = [encoded(picture(30, 40), kind) for kind in (".jpg", ".png", ".webp")]
