from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.service.annotate.figure import Figure
from inkling.service.annotate.film_record import Body, PersonNow
from inkling.service.annotate.overlay import COLOURS, Places, Style, Unit, blur_face, colour_of, draw
from inkling.service.demo.figure import pose
from tests.service.annotate.test_film_record import happened

LEADING = [("jumping_jacks", 0.8), ("wave", 0.15), ("idle", 0.05)]


def figure(height: int, width: int, track: int = 1, middle: float = 0.5) -> PersonNow:
    """The demo's figure, two thirds as high as the picture."""
    joints = pose("jumping_jacks", 0.4, height=height * 2 / 3, centre=(width * middle, height * 0.55))
    low, high = joints[:, :2].min(0), joints[:, :2].max(0)
    return PersonNow(track, Body(np.array([*low, *high], np.float32), joints), LEADING, None)


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def near(image: NDArray[np.uint8], colour: tuple[int, int, int], off: int = 40) -> NDArray[np.bool_]:
    return np.asarray((np.abs(image.astype(int) - colour) <= off).all(axis=-1))


@pytest.mark.parametrize(("height", "width"), [(240, 320), (1080, 1920), (2160, 3840), (640, 360)])
def test_a_body_a_box_and_a_panel_are_drawn_at_any_size(height: int, width: int) -> None:
    person = figure(height, width)
    picture = grey(height, width)
    image = draw(picture, [person], [], 1.0)
    assert (picture == 128).all(), "what is given is left alone"
    body = person.body
    assert body is not None
    for joint in body.keypoints[body.keypoints[:, 2] > 0.1]:
        x, y = joint[:2].astype(int)
        assert near(image[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3], COLOURS[0]).any()
    share = near(image, COLOURS[0]).mean()
    assert 0.005 < share < 0.12, "lines grow with the picture"


def test_a_joint_without_a_neighbour_is_not_drawn() -> None:
    """Of somebody half hidden, a lone ankle far below is a guess."""
    person = figure(240, 320)
    body = person.body
    assert body is not None
    joints = body.keypoints.copy()
    joints[13:, 2] = 0.01  # knees, ankles
    joints[16] = 300, 220, 0.5
    alone = replace(person, body=Body(body.box, joints))
    boneless = Style(figure=Figure("odd", (), ()))
    assert not near(draw(grey(240, 320), [alone], [], 1.0)[214:227, 294:307], COLOURS[0]).any()
    assert near(draw(grey(240, 320), [alone], [], 1.0, boneless)[214:227, 294:307], COLOURS[0]).any()


def test_letters_are_never_smaller_than_can_be_read_and_grow_with_the_picture() -> None:
    letters = [Unit.of(grey(*shape)).letter for shape in ((120, 160), (240, 320), (1080, 1920), (2160, 3840))]
    assert letters[0] == letters[1] == 7
    assert letters[3] == 2 * letters[2] == 48


def test_people_have_colours_of_their_own_that_stay() -> None:
    assert len({colour_of(track) for track in range(1, 8)}) == 7
    assert colour_of(3) == colour_of(10)
    assert colour_of("door") == colour_of("door")
    image = draw(grey(360, 640), [figure(360, 640, 1, 0.2), figure(360, 640, 2, 0.5), figure(360, 640, 3, 0.8)], [], 0)
    assert all(near(image, colour).sum() > 200 for colour in COLOURS[:3])


def test_skeletons_may_be_left_out() -> None:
    person = figure(360, 640)
    body = person.body
    assert body is not None
    centre = body.keypoints[[5, 11], :2].mean(0).astype(int)  # on the body, away from the box
    around = np.s_[centre[1] - 3 : centre[1] + 4, centre[0] - 6 : centre[0] + 7]
    assert near(draw(grey(360, 640), [person], [], 0)[around], COLOURS[0]).any()
    assert (draw(grey(360, 640), [person], [], 0, Style(skeletons=False))[around] == 128).all()


def test_on_black_nothing_of_the_picture_is_left() -> None:
    noise = np.random.default_rng(0).integers(1, 255, (240, 320, 3), np.uint8)
    person = figure(240, 320)
    np.testing.assert_array_equal(
        draw(noise, [person], [], 0, Style(black=True)), draw(grey(240, 320), [person], [], 0, Style(black=True))
    )


@pytest.mark.parametrize("joints", ["seen", "hidden"])
def test_a_blurred_face_cannot_be_told_from_another(joints: str) -> None:
    person = figure(480, 640)
    body = person.body
    assert body is not None
    if joints == "hidden":
        keypoints = body.keypoints.copy()
        keypoints[:5, 2] = 0
        body = replace(body, keypoints=keypoints)
    head = figure(480, 640).body
    assert head is not None
    x, y = head.keypoints[:5, :2].mean(0).astype(int)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    before = image.copy()
    blur_face(image, body)
    assert len(np.unique(image[y - 8 : y + 9, x - 8 : x + 9].reshape(-1, 3), axis=0)) <= 9
    assert (image[300:] == before[300:]).all()


def test_events_are_written_at_the_lower_left_the_latest_lowest() -> None:
    events = [happened(1.0, 1, "wave", "begin"), happened(2.0, 2, "fall", "begin")]
    image = draw(grey(480, 640), [], events, 2.5)
    low, high = (near(image, lighter) for lighter in ((142, 205, 240), (238, 191, 85)))
    assert low[:, :320].any()
    assert high[:, :320].any()
    assert not (low | high)[:, 320:].any()
    assert np.nonzero(low)[0].mean() > np.nonzero(high)[0].mean() > 400


def test_panels_of_people_who_stand_close_do_not_hide_each_other() -> None:
    people = [figure(720, 1280, track, 0.4 + track / 30) for track in (1, 2, 3)]
    image = draw(grey(720, 1280), people, [], 0, Style(skeletons=False))
    for track in (1, 2, 3):  # a panel's head is a filled bar of its colour
        rows = near(image, COLOURS[track - 1], 2).sum(axis=1)
        assert (rows > 60).sum() >= Unit.of(image).letter


def test_a_panel_stays_in_its_place_while_another_is_hardly_better() -> None:
    free, crowded = figure(360, 640, 1, 0.5), figure(360, 640, 2, 0.56)
    places: Places = {}
    draw(grey(360, 640), [free], [], 0, places=places)
    first = places[1]
    for shift in range(8):
        draw(grey(360, 640), [figure(360, 640, 1, 0.5 + shift / 900), crowded], [], 0, places=places)
        assert places[1] == first
    assert set(places) == {1, 2}


@settings(max_examples=30)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.lists(st.floats(-1e7, 1e7, width=32), min_size=4, max_size=4),
    st.text(max_size=9),
)
def test_anything_anywhere_can_be_drawn(height: int, width: int, box: list[float], label: str) -> None:
    joints = np.tile(np.array([[box[0], box[1], 0.9]], np.float32), (17, 1))
    person = PersonNow(5, Body(np.array(box, np.float32), joints), [(label, 1.0)], (label, 0.0))
    for style in (Style(), Style(blur=True), Style(black=True)):
        image = draw(grey(height, width), [person, replace(person, body=None)], [], 0.0, style)
        assert image.shape == (height, width, 3)


def test_a_panel_of_what_comes_has_room_for_when() -> None:
    person = figure(360, 640)
    now, later = (draw(grey(360, 640), [replace(person, ahead=ahead)], [], 0) for ahead in ("", "in 0.5 s: "))
    assert near(later, (32, 32, 32)).sum() > near(now, (32, 32, 32)).sum(), "the panel is wider"
