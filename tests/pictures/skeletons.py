"""Every skeleton with the index of each joint: `docs/pictures/skeletons.svg`, from `models/skeletons.py`.

Joints lie where the demo's figure has them, or beside their neighbours where it lacks them.
"""

from __future__ import annotations

from inkling.models.skeletons import SKELETONS, Skeleton
from tests.pictures import svg

_HALF = {
    # name: place of the left one, in a body that faces the reader; x to its left, y down
    "eye_inner": (5, 6), "eye": (12, 6), "eye_outer": (19, 6), "ear": (29, 12), "mouth": (8, 26),
    "shoulder": (42, 66), "elbow": (64, 112), "wrist": (80, 156), "hand": (87, 176), "hand_tip": (93, 196),
    "pinky": (100, 180), "index": (88, 190), "thumb": (70, 180), "hip": (24, 170), "knee": (30, 232),
    "ankle": (33, 292), "heel": (26, 310), "foot": (44, 312), "toe": (48, 312), "small_toe": (64, 304),
}  # fmt: skip
_MIDDLE = {
    "head": (0, 2), "face": (0, 14), "nose": (0, 15), "neck": (0, 48), "spine_shoulder": (0, 68), "spine": (0, 118),
    "belly": (0, 118), "hip_center": (0, 168),
}  # fmt: skip
SHOWN = ("body13", "coco17", "blazepose33", "openpose18", "openpose25", "jhmdb15", "kinect20", "kinect25")
SAME = {"body13": "body13, penn13", "kinect20": "kinect20, kinect20-2d", "kinect25": "kinect25, kinect25-2d"}
"""Skeletons with the same joints in the same order share a drawing."""
WIDTH, HEIGHT = 250, 400
COLUMNS = 4


def place(joint: str) -> tuple[float, float]:
    if joint in _MIDDLE:
        return _MIDDLE[joint]
    side, _, name = joint.partition("_")
    x, y = _HALF[name]
    return (x if side == "left" else -x), y


def body(skeleton: Skeleton, x: float, y: float) -> list[str]:
    """One skeleton around the middle `x`, from `y` down."""
    at = [(x + 1.05 * px, y + py) for px, py in map(place, skeleton.joints)]
    parts = [svg.line([at[start], at[end]], "#bbb", 2) for start, end in skeleton.bones]
    small = len(skeleton.joints) > 20
    for number, (name, (px, py)) in enumerate(zip(skeleton.joints, at, strict=True)):
        side = 0 if name.startswith("left_") else 1 if name.startswith("right_") else 2
        crowded = small and py < y + 30 and name != "head"
        radius = 4.5 if crowded else 8
        parts.append(svg.dot(px, py, radius, svg.COLOURS[side]))
        parts.append(svg.text(px, py + (2 if crowded else 3.4), str(number), 5.5 if crowded else 9.5, "#fff", "middle"))
    return parts


def draw() -> str:
    missing = set(SKELETONS) - {name for shown in SHOWN for name in SAME.get(shown, shown).split(", ")}
    assert not missing, f"draw these skeletons too: {missing}"
    parts = []
    for number, name in enumerate(SHOWN):
        x, y = (number % COLUMNS + 0.5) * WIDTH, number // COLUMNS * HEIGHT
        parts.append(svg.text(x, y + 34, SAME.get(name, name), 16, anchor="middle", weight="bold"))
        parts += body(SKELETONS[name], x, y + 62)
    bottom = -(-len(SHOWN) // COLUMNS) * HEIGHT
    for side, words in enumerate(("the body's left", "the body's right", "middle")):
        parts.append(svg.dot(40 + 190 * side, bottom + 16, 7, svg.COLOURS[side]))
        parts.append(svg.text(54 + 190 * side, bottom + 21, words))
    return svg.document(COLUMNS * WIDTH, bottom + 40, "The joints of each skeleton with their indices", parts)
