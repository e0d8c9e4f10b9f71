from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest

from inkling.models.bundle.schema import FrameInput
from inkling.models.people.input_fit import InputSize, prepare
from inkling.models.resize import fit_image
from inkling.service.inputs.frame_mapper import ImageLimits, decoded, fitted
from inkling.service.perception.picture_mapper import GREY_SIDE, PictureMapper, small_grey
from inkling.service.perception.picture_step import CameraPicture, DecodedPicture
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import ImageFrame, pack_image, unpack_image
from tests.support import picture

SIZE = InputSize(96, 128, 32)


def mapper(*, gated: bool = True, max_pixels: int = 10**6, frames: tuple[FrameInput, ...] = ()) -> PictureMapper:
    limits = ImageLimits(max_pixels, 0.25)
    return PictureMapper(partial(prepare, size=SIZE), SIZE, limits, gated=gated, frames=frames)


def jpeg(height: int, width: int, orientation: int = 0) -> bytes:
    good, data = cv2.imencode(".jpg", picture(height, width))
    assert good
    return pack_image(4, data.tobytes(), 0.0, orientation=orientation)


def made(taken: CameraPicture) -> DecodedPicture:
    return taken.decoded() if callable(taken.decoded) else taken.decoded


def test_a_large_jpeg_is_reduced_and_its_people_are_still_in_its_own_pixels() -> None:
    seen = made(mapper().decode(unpack_image(jpeg(960, 1280))))
    assert seen.prepared.shape == (96, 128, 3)
    geometry = seen.prepared.geometry
    assert geometry.width < 1280, "reduced while it was decoded"
    assert (geometry.width * seen.scale[0], geometry.height * seen.scale[1]) == pytest.approx((1280, 960))


def test_a_picture_that_lies_on_its_side_is_seen_upright() -> None:
    seen = made(mapper().decode(unpack_image(jpeg(120, 160, orientation=6))))
    assert seen.prepared.shape == (128, 96, 3)
    geometry = seen.prepared.geometry
    assert (geometry.width * seen.scale[0], geometry.height * seen.scale[1]) == pytest.approx((120, 160))


def test_a_smaller_copy_says_how_large_the_cameras_picture_is() -> None:
    seen = made(mapper().decode(ImageFrame(0, 0.0, picture(96, 128), (1280, 960))))
    assert seen.scale == (10.0, 10.0)


def test_the_gates_picture_is_small_and_made_only_for_a_gate() -> None:
    seen = mapper().decode(ImageFrame(0, 0.0, picture(48, 200)))
    assert seen.grey is not None
    assert max(seen.grey.shape) == GREY_SIDE
    assert mapper(gated=False).decode(ImageFrame(0, 0.0, picture(48, 64))).grey is None
    assert small_grey(picture(10, 12)).shape == (10, 12)


@pytest.mark.parametrize("orientation", [0, 6])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (240, 320), (480, 640), (960, 1280), (720, 1280)])
def test_the_gate_sees_the_same_of_a_jpeg_that_it_would_see_of_its_pixels(
    height: int, width: int, orientation: int
) -> None:
    frame = unpack_image(jpeg(height, width, orientation))
    grey = mapper().decode(frame).grey
    assert grey is not None
    whole = small_grey(decoded(frame, (2000, 2000, "letterbox")))
    assert grey.shape == whole.shape
    assert np.abs(grey.astype(int) - whole).mean() <= 2, "cells of it are averages of a few that were averages before"


def test_what_is_likely_to_be_passed_over_is_decoded_only_when_it_is_asked_for_and_then_alike() -> None:
    frame = unpack_image(jpeg(480, 640))
    at_once, later = mapper().decode(frame), mapper().decode(frame, passed_over=True)
    assert not callable(at_once.decoded)
    assert callable(later.decoded)
    assert at_once.grey is not None
    assert later.grey is not None
    assert np.array_equal(at_once.grey, later.grey)
    assert np.array_equal(made(later).prepared.pixels, at_once.decoded.prepared.pixels)
    assert made(later).scale == at_once.decoded.scale


def test_without_a_gate_every_picture_is_decoded_at_once() -> None:
    frame = unpack_image(jpeg(480, 640))
    assert not callable(mapper(gated=False).decode(frame, passed_over=True).decoded)


def test_what_is_too_large_is_refused_before_it_is_decoded_and_what_is_broken_when() -> None:
    frame = unpack_image(jpeg(200, 200))
    with pytest.raises(BadImage) as too_large:
        mapper(max_pixels=30_000).accept(frame)
    assert too_large.value.seq == 4
    data = jpeg(200, 200)
    broken = unpack_image(data[: len(data) // 2] + data[-2:])
    for passed_over in (False, True):
        with pytest.raises(BadImage) as damaged:
            mapper().decode(mapper().accept(broken), passed_over)
        assert damaged.value.seq == 4


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 3000), (3000, 8), (1, 1)])
def test_pictures_of_every_shape_are_made_to_fit(height: int, width: int) -> None:
    seen = made(mapper().decode(ImageFrame(0, 0.0, np.zeros((height, width, 3), np.uint8))))
    assert all(side % 32 == 0 for side in seen.prepared.shape[:2])
    assert seen.scale == (1.0, 1.0)


def test_a_picture_is_fitted_for_each_bundle_from_the_same_decoded_pixels() -> None:
    large, small = (
        FrameInput(kind="frame", height=200, width=200, fit="crop"),
        FrameInput(kind="frame", height=8, width=9),
    )
    both = mapper(frames=(large, small))
    image = picture(300, 400)
    seen = made(both.decode(ImageFrame(0, 0.0, image)))
    assert np.array_equal(seen.fitted[large], fit_image(image, 200, 200, "crop"))
    assert np.array_equal(seen.fitted[small], fit_image(image, 8, 9))
    assert made(mapper().decode(ImageFrame(0, 0.0, image))).fitted == {}


def test_what_is_seen_of_a_picture_is_as_large_as_the_largest_that_is_made_of_it_needs() -> None:
    large = FrameInput(kind="frame", height=200, width=150)
    assert (mapper().side, mapper().within) == (128, (96, 128))
    both = mapper(frames=(large,))
    assert (both.side, both.within) == (400, (400, 400))
    reduced, whole = (made(m.decode(unpack_image(jpeg(480, 640)))) for m in (mapper(), both))
    assert (reduced.prepared.geometry.width, whole.prepared.geometry.width) == (320, 640)


@pytest.mark.parametrize("orientation", [0, 6])
def test_a_bundle_is_given_the_whole_picture_of_a_jpeg_of_which_the_gate_sees_a_small_one(orientation: int) -> None:
    large = FrameInput(kind="frame", height=200, width=150)
    frame, both = unpack_image(jpeg(480, 640, orientation)), mapper(frames=(large,))
    expected = fitted(frame, large.height, large.width, large.fit)
    for passed_over in (False, True):
        taken = both.decode(frame, passed_over)
        assert taken.grey is not None
        assert max(taken.grey.shape) == GREY_SIDE
        assert np.array_equal(made(taken).fitted[large], expected)
