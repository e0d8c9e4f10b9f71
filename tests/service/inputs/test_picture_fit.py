from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inkling.models.people.input_fit import InputSize, prepare
from inkling.models.resize import fit_image
from inkling.service.inputs.picture_fit import kept
from tests.support import picture


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
def test_a_bundles_own_fit_is_that_of_training(fit: str) -> None:
    image = picture(50, 90)
    np.testing.assert_array_equal(kept(image, 24, 32, fit), fit_image(image, 24, 32, fit))  # type: ignore[arg-type]


def test_within_keeps_the_whole_picture_and_adds_nothing() -> None:
    assert kept(picture(1080 // 4, 1920 // 4), 192, 256, "within").shape == (144, 256, 3)
    assert kept(picture(1920 // 4, 1080 // 4), 192, 256, "within").shape == (256, 144, 3), "turned"
    small = picture(30, 40)
    assert kept(small, 192, 256, "within") is small


@given(st.integers(1, 700), st.integers(1, 700))
@example(115, 229)  # rounded twice, the width would lose a pixel
def test_an_estimator_sees_the_same_of_what_is_kept_as_of_the_whole(height: int, width: int) -> None:
    size = InputSize(96, 128, 32)
    image = picture(height, width)
    whole, smaller = prepare(image, size), prepare(kept(image, 96, 128, "within"), size)
    assert whole.shape == smaller.shape
    np.testing.assert_array_equal(whole.pixels, smaller.pixels)
