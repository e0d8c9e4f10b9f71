"""The one preprocessing of images: sizes, padding, and what it must never do to pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.models.resize import FitPolicy, fit_image, inner_size, turned

SIZES = st.integers(1, 90)
POLICIES: st.SearchStrategy[FitPolicy] = st.sampled_from(["letterbox", "stretch", "crop"])


def test_an_image_of_the_right_size_comes_back_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    assert np.array_equal(fit_image(image, 24, 32), image)


def test_letterbox_puts_black_bars_on_both_sides_of_a_wide_image() -> None:
    fitted = fit_image(np.full((50, 100, 3), 200, np.uint8), 40, 40)
    assert (fitted[:10] == 0).all()
    assert (fitted[10:30] == 200).all()
    assert (fitted[30:] == 0).all()


def test_crop_keeps_the_middle_of_a_wide_image() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 255
    assert (fit_image(image, 10, 10, "crop") == 255).all()


def test_stretch_fills_the_input_with_the_whole_image() -> None:
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, 20:] = 255
    fitted = fit_image(image, 20, 20, "stretch")
    assert (fitted[:, :10] == 0).all()
    assert (fitted[:, 10:] == 255).all()


def test_shrinking_averages_areas_instead_of_picking_pixels() -> None:
    checks = np.indices((64, 64)).sum(0) % 2 * np.uint8(254)
    fitted = fit_image(np.repeat(checks[..., None], 3, 2).astype(np.uint8), 16, 16)
    assert np.abs(fitted.astype(int) - 127).max() <= 1


def test_channels_keep_their_order() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[..., 0] = 250
    fitted = fit_image(image, 15, 20)
    assert (fitted[..., 0] == 250).all()
    assert (fitted[..., 1:] == 0).all()


def test_a_view_with_strides_gives_the_pixels_of_its_copy() -> None:
    image = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    flipped = image[:, ::-1]
    assert np.array_equal(fit_image(flipped, 30, 50), fit_image(flipped.copy(), 30, 50))


@given(SIZES, SIZES, SIZES, SIZES, POLICIES)
def test_any_image_fits_any_input_and_a_plain_one_keeps_its_grey(
    image_height: int, image_width: int, height: int, width: int, fit: FitPolicy
) -> None:
    fitted = fit_image(np.full((image_height, image_width, 3), 90, np.uint8), height, width, fit)
    assert fitted.shape == (height, width, 3)
    assert fitted.dtype == np.uint8
    assert fitted.flags.c_contiguous
    inner = inner_size(image_height, image_width, height, width, fit)
    assert (fitted == 90).all(2).sum() == inner[0] * inner[1]


@given(SIZES, SIZES, SIZES, SIZES)
def test_letterbox_fills_the_input_in_one_direction(
    image_height: int, image_width: int, height: int, width: int
) -> None:
    inner = inner_size(image_height, image_width, height, width)
    assert inner[0] == height or inner[1] == width
    assert inner[0] <= height
    assert inner[1] <= width


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(image: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="an image is uint8"):
        fit_image(image, 8, 8)


def test_a_picture_is_turned_clockwise() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert turned(image, 0) is image
    np.testing.assert_array_equal(turned(image, 90)[0, -1], image[0, 0])
    np.testing.assert_array_equal(turned(image, 180), image[::-1, ::-1])
    np.testing.assert_array_equal(turned(turned(image, 90), 270), image)
    assert turned(image, 270).shape == (3, 2, 3)
