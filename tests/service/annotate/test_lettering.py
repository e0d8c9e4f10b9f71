from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.annotate.lettering import drawable, lettering, write


@pytest.mark.parametrize("height", [7, 12, 48])
def test_a_text_is_as_high_as_asked_for(height: int) -> None:
    inked = np.flatnonzero(lettering("H", height).max(axis=1) > 0.5)
    assert abs(int(np.ptp(inked)) + 1 - height) <= max(2, height * 0.2)


def test_a_longer_text_is_wider_and_edges_are_smooth() -> None:
    short, long = lettering("run", 12), lettering("jumping jacks", 12)
    assert long.shape[1] > 2 * short.shape[1]
    assert ((long > 0.1) & (long < 0.9)).any()


def test_letters_that_the_font_lacks_are_replaced() -> None:
    assert drawable("Stürzen_für 3 €") == "Sturzen fur 3 ?"
    assert drawable("Fußball") == "Fussball"


@given(st.text(max_size=12), st.integers(-60, 60), st.integers(-60, 60))
def test_any_text_may_be_written_anywhere(text: str, left: int, top: int) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    write(image, text, (left, top), 9, (255, 0, 0), bold=False)
    assert not image[..., 1:].any()


def test_a_text_is_written_where_it_should_be() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    write(image, "HHH", (50, 10), 12, (0, 200, 0), bold=True)
    rows, columns = np.nonzero(image[..., 1])
    assert rows.min() >= 10
    assert rows.max() < 28
    assert columns.min() >= 50
    assert image[..., 1].max() > 190
