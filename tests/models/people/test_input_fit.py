from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.people.detections import Detections
from inkling.models.people.input_fit import InputSize, prepare

SIZE = InputSize(192, 256, 32)


@pytest.mark.parametrize(
    ("picture", "fitted"),
    [
        ((480, 640), (192, 256)),
        ((640, 480), (256, 192)),
        ((1080, 1920), (160, 256)),
        ((1920, 1080), (256, 160)),
        ((500, 500), (192, 192)),
        ((16, 16), (192, 192)),
        ((64, 8192), (32, 256)),
        ((8192, 64), (256, 32)),
        ((1, 1), (192, 192)),
    ],
)
def test_the_input_has_the_format_of_the_picture(picture: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert prepare(np.zeros((*picture, 3), np.uint8), SIZE).shape == (*fitted, 3)


def test_a_longer_side_makes_both_sides_larger() -> None:
    assert SIZE.scaled(320).of_picture(480, 640) == (256, 320)
    assert SIZE.scaled(256) == SIZE
    assert SIZE.scaled(100).of_picture(480, 640) == (96, 128)


def test_a_graph_of_one_size_gets_that_size_alone() -> None:
    fixed = InputSize(64, 96, 32, fixed=True)
    assert fixed.scaled(320) == fixed
    for height, width in ((480, 640), (640, 480), (3, 900)):
        assert prepare(np.zeros((height, width, 3), np.uint8), fixed).shape == (64, 96, 3)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare(np.zeros(shape, np.uint8), SIZE)


def test_numbers_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare(np.zeros((4, 4, 3), np.float32), SIZE)


@given(
    st.integers(1, 900), st.integers(1, 900), st.booleans(),
    st.floats(0, 1), st.floats(0, 1), st.sampled_from([96, 256, 448]),
)  # fmt: skip
def test_a_point_of_the_picture_comes_back_to_its_place(
    height: int, width: int, fixed: bool, across: float, down: float, longer: int
) -> None:
    size = InputSize(64, 96, 32, fixed=True) if fixed else SIZE.scaled(longer)
    prepared = prepare(np.zeros((height, width, 3), np.uint8), size)
    rows, columns = prepared.shape[:2]
    assert rows % 32 == columns % 32 == 0
    g = prepared.geometry
    x, y = across * width * g.scale[0] + g.left, down * height * g.scale[1] + g.top
    assert -1e-6 <= x <= columns + 1e-6
    assert -1e-6 <= y <= rows + 1e-6
    found = Detections(
        np.array([[g.left, g.top, x, y]], np.float32), np.ones(1, np.float32), np.array([[[x, y, 0.5]]], np.float32)
    )
    back = g.in_picture(found, 4.0)
    slack = 1e-4 * max(height, width) + 1e-4
    np.testing.assert_allclose(back.keypoints[0, 0], [across * width, down * height, 0.5], atol=slack)
    np.testing.assert_allclose(back.boxes[0], [0, 0, across * width, down * height], atol=slack)


def test_what_is_drawn_lies_where_the_geometry_says() -> None:
    image = np.zeros((300, 100, 3), np.uint8)
    image[150:180, 50:60] = 255
    prepared = prepare(image, SIZE)
    ys, xs = np.nonzero(prepared.pixels[..., 0] > 128)
    box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], np.float32)
    back = prepared.geometry.in_picture(Detections(box, np.ones(1, np.float32), np.zeros((1, 1, 3), np.float32)), 4.0)
    np.testing.assert_allclose(back.boxes[0], [50, 150, 60, 180], atol=1.2)


def test_a_joint_beside_the_picture_is_missing_and_a_box_ends_at_the_border() -> None:
    prepared = prepare(np.zeros((200, 100, 3), np.uint8), InputSize(128, 128, 32, fixed=True))
    g = prepared.geometry
    assert (g.left, g.top) == (32, 0)
    points = np.array([[[g.left - 10, 5, 0.9], [g.left - 2, 5, 0.9], [g.left + 2, 5, 0.9]]], np.float32)
    found = Detections(np.array([[0, 0, 128, 128]], np.float32), np.ones(1, np.float32), points)
    back = g.in_picture(found, 4.0)
    assert back.keypoints[0, 0].tolist() == [0, 0, 0]
    assert (back.keypoints[0, 1:, 2] > 0).all()
    np.testing.assert_allclose(back.boxes[0], [0, 0, 100, 200])
