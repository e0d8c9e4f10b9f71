"""The heads of a centre-net estimator: against people drawn into maps, a plain form of the same, and real maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import load_people, zoo_directory
from inkling.models.bundle.people import MultiposeHeads
from inkling.models.people.multipose import BELL, COUNTED, Heads, decode

Maps = dict[str, NDArray[np.float32]]
JOINTS, STRIDE = 17, 4


def nobody(rows: int = 24, columns: int = 32) -> Maps:
    """Maps in which nobody is."""
    channels = {"center": 1, "heatmap": JOINTS, "regress": 2 * JOINTS, "offset": 2 * JOINTS}
    channels |= {"box_scale": 2, "box_offset": 2}
    maps = {name: np.zeros((count, rows, columns), np.float32) for name, count in channels.items()}
    maps["center"] -= 9
    maps["heatmap"] -= 9
    return maps


def put(maps: Maps, row: int, column: int, joints: NDArray[np.float64], *, logit: float = 4.0) -> None:
    """Add a person whose centre is in that cell. joints: (17, 2) x and y in pixels of the input."""
    maps["center"][0, row, column] = logit
    cells = joints[:, ::-1] / STRIDE  # (17, 2) y x
    whole = np.floor(cells).astype(int)
    for j, (y, x) in enumerate(whole):
        maps["heatmap"][j, y, x] = 5.0
        maps["offset"][2 * j : 2 * j + 2, y, x] = cells[j] - whole[j]
        maps["regress"][2 * j : 2 * j + 2, row, column] = cells[j] - (row, column) + 0.3
    low, high = cells.min(0) - 1, cells.max(0) + 1
    maps["box_scale"][:, row, column] = high - low
    maps["box_offset"][:, row, column] = (low + high) / 2 - (row, column)


def body(left: float, top: float, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform((left, top), (left + 30, top + 30), (JOINTS, 2))


def test_nobody_is_found_where_nobody_is() -> None:
    assert len(decode(Heads(**nobody()), STRIDE, 8, 0.08)) == 0


def test_people_are_found_where_they_are_the_surest_first() -> None:
    maps = nobody()
    one, other = body(8, 10), body(70, 50, seed=1)
    put(maps, 6, 6, one, logit=2.0)
    put(maps, 16, 21, other, logit=4.0)
    found = decode(Heads(**maps), STRIDE, 8, 0.08)
    np.testing.assert_allclose(found.keypoints[0, :, :2], other, atol=1e-3)
    np.testing.assert_allclose(found.keypoints[1, :, :2], one, atol=1e-3)
    np.testing.assert_allclose(found.boxes[0], [*(other.min(0) - STRIDE), *(other.max(0) + STRIDE)], atol=1e-3)
    assert found.scores[0] > found.scores[1] > 0.7


def test_weak_peaks_and_those_beyond_the_most_are_left_out() -> None:
    maps = nobody()
    for number, logit in enumerate((3.0, 2.0, -1.0, -3.0)):
        put(maps, 12, 4 + 8 * number, body(8 + 20 * number, 30, seed=number), logit=logit)
    assert len(decode(Heads(**maps), STRIDE, 8, 0.08)) == 3
    assert len(decode(Heads(**maps), STRIDE, 2, 0.08)) == 2


def test_a_neighbour_of_a_peak_is_no_peak() -> None:
    maps = nobody()
    put(maps, 10, 10, body(20, 20))
    maps["center"][0, 10, 12] = 3.9
    assert len(decode(Heads(**maps), STRIDE, 8, 0.08)) == 1
    maps["center"][0, 10, 13] = 3.9
    assert len(decode(Heads(**maps), STRIDE, 8, 0.08)) == 2


def test_a_person_without_a_box_has_no_joints_and_no_score() -> None:
    maps = nobody()
    maps["center"][0, 5, 5] = 4.0
    maps["box_scale"][:] = -1
    (score,) = decode(Heads(**maps), STRIDE, 8, 0.08).scores
    assert score == 0


def plain(heads: Heads, least: float) -> list[tuple[float, list[list[float]]]]:
    """(score, joints) of each person, by loops over cells as the docstring of the module says."""

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    joints, rows, columns = heads.heatmap.shape
    width = BELL * min(rows, columns)
    people = []
    for row in range(rows):
        for column in range(columns):
            around = heads.center[0, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            peak = sigmoid(float(heads.center[0, row, column]))
            if heads.center[0, row, column] < around.max() or peak < least:
                continue
            sides = [max(0.0, float(side)) for side in heads.box_scale[:, row, column]]
            middle = [float(heads.box_offset[0, row, column]) + row, float(heads.box_offset[1, row, column]) + column]
            person = []
            for j in range(joints):
                gy = float(heads.regress[2 * j, row, column]) + row
                gx = float(heads.regress[2 * j + 1, row, column]) + column
                best = (0.0, 0, 0)
                for y in range(rows):
                    for x in range(columns):
                        if not (middle[0] - sides[0] / 2 <= y < middle[0] + sides[0] / 2):
                            continue
                        if not (middle[1] - sides[1] / 2 <= x < middle[1] + sides[1] / 2):
                            continue
                        bell = math.exp(-((y - gy) ** 2 + (x - gx) ** 2) / width)
                        best = max(best, (sigmoid(float(heads.heatmap[j, y, x])) * bell, -y, -x))
                claim, y, x = best[0], -best[1], -best[2]
                person.append(
                    [
                        (x + float(heads.offset[2 * j + 1, y, x])) * STRIDE,
                        (y + float(heads.offset[2 * j, y, x])) * STRIDE,
                        claim,
                    ]
                )
            counted = [joint[2] for joint in person if joint[2] > COUNTED]
            people.append((peak * sum(counted) / max(1, len(counted)), person))
    return people


@pytest.mark.parametrize("seed", range(3))
def test_random_maps_decode_as_the_plain_form_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = {name: rng.normal(0, 2, array.shape).astype(np.float32) for name, array in nobody(8, 10).items()}
    maps["box_scale"] = np.abs(maps["box_scale"]) * 2 + 1
    heads = Heads(**maps)
    found = decode(heads, STRIDE, 99, 0.3)
    expected = plain(heads, 0.3)
    assert len(found) == len(expected) >= 2
    for score, joints in expected:
        nearest = int(np.abs(found.scores - score).argmin())
        assert found.scores[nearest] == pytest.approx(score, abs=1e-5)
        seen = np.array(joints)[:, 2] > 0
        np.testing.assert_allclose(found.keypoints[nearest][seen], np.array(joints)[seen], atol=1e-3)


def test_the_embedded_bundles_own_maps_decode_as_the_plain_form_does() -> None:
    bundle = load_people(zoo_directory() / "people" / "1")
    assert isinstance(bundle.spec.decoder, MultiposeHeads)
    heads = Heads(*(bundle.vector.outputs[name][0] for name in bundle.spec.decoder.names))
    least = float(1 / (1 + np.exp(-np.partition(heads.center.ravel(), -3)[-3])))
    found = decode(heads, bundle.spec.decoder.stride, 99, least)
    expected = sorted(plain(heads, least), key=lambda person: -person[0])
    np.testing.assert_allclose(sorted(found.scores, reverse=True), [score for score, _ in expected], atol=1e-6)
