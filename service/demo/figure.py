"""A kinematic body that exercises: `pose("jumping_jacks", t_s)` gives COCO-17 keypoints as an estimator would.

Nothing here is recorded. A body of average proportions stands in a metric space whose unit is the length of its trunk;
each action is a few smooth functions of its phase that place hips, trunk, hands and feet; elbows and knees follow by
two-bone inverse kinematics; a camera turned by `yaw` projects the joints to pixels. Left and right are the body's own.

Axes: side (to the body's left), up, front. A body that faces the camera has its left at larger x; image y points down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SHOULDER, HIP = 0.29, 0.20
"""Half widths, in trunk lengths, as are the following."""
UPPER_ARM, FOREARM = 0.54, 0.47
THIGH, SHANK = 0.78, 0.70
NECK = 0.42
HEIGHT = 3.15
"""From the soles to the top of the head of the standing body."""
STANDING = 1.46
"""Height of the hips above the ankles when standing at ease."""

PAIR = np.array([1.0, -1.0])
JITTER_HZ = np.array([3.1, 5.3, 7.9, 11.7])


@dataclass(frozen=True)
class Body:
    """Joints of T moments in trunk lengths: `head` (T, 5, 3) nose, eyes, ears; the others (T, 2, 3), left first."""

    head: Array
    shoulders: Array
    elbows: Array
    wrists: Array
    hips: Array
    knees: Array
    ankles: Array

    def joints(self) -> Array:
        """(T, 17, 3) in COCO order."""
        limbs = (self.shoulders, self.elbows, self.wrists, self.hips, self.knees, self.ankles)
        return np.concatenate((self.head, *limbs), axis=1)


@dataclass(frozen=True)
class Action:
    """One thing the figure can do. `move` maps phases (T,) in [0, 1) to a `Body`; a cycle lasts `period_s`."""

    move: Callable[[Array], Body]
    period_s: float
    yaw: float
    """Degrees the body is turned from facing the camera towards the right edge of the image."""


# -- geometry -----------------------------------------------------------------------------------------------------
def vector(side: ArrayLike, up: ArrayLike, front: ArrayLike) -> Array:
    """(..., 3) from three broadcastable coordinates."""
    return np.stack(np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (side, up, front))), axis=-1)


def both(side: ArrayLike, up: ArrayLike, front: ArrayLike) -> Array:
    """(T, 2, 3): a point of the left side and its mirror image on the right, from coordinates (T,) or scalars."""
    left, up, front = (np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (side, up, front))
    return vector(left[:, None] * PAIR, up[:, None], front[:, None])


def bend(start: Array, target: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Two bones from `start` towards `target`: their joint, on the side of `pole`, and the reached end (..., 3)."""
    reach = target - start
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = reach / np.maximum(distance, 1e-9)
    distance = np.clip(distance, abs(first - second) + 1e-3, first + second - 1e-3)
    across = pole - along * (pole * along).sum(axis=-1, keepdims=True)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    cosine = (first**2 + distance**2 - second**2) / (2 * first * distance)
    middle = start + first * (along * cosine + across * np.sqrt(np.maximum(1 - cosine**2, 0)))
    return middle, start + along * distance


def frame(lean: ArrayLike, turn: ArrayLike, tilt: ArrayLike = 0.0) -> Array:
    """(T, 3, 3): rows are the trunk's own side, up and front after turning left, leaning forward, tilting left."""
    lean, turn, tilt = np.broadcast_arrays(*(np.radians(np.atleast_1d(a)) for a in (lean, turn, tilt)))
    zero = np.zeros_like(lean)
    up = vector(np.sin(tilt), np.cos(tilt) * np.cos(lean), np.cos(tilt) * np.sin(lean))
    level = vector(np.cos(tilt), -np.sin(tilt) * np.cos(lean), -np.sin(tilt) * np.sin(lean))
    ahead = vector(zero, -np.sin(lean), np.cos(lean))
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    return np.stack((level * cos - ahead * sin, up, ahead * cos + level * sin), axis=1)


class Trunk:
    """Hips, trunk and head; hands and feet are put somewhere afterwards.

    hips: (T, 3) their centre. Degrees: `lean` forward, `tilt` to the left, `turn` of hips and `twist` of shoulders to
    the left, `nod` of the head forward against the trunk.
    """

    def __init__(
        self,
        hips: Array,
        lean: ArrayLike = 0.0,
        turn: ArrayLike = 0.0,
        twist: ArrayLike = 0.0,
        tilt: ArrayLike = 0.0,
        nod: ArrayLike = 0.0,
    ) -> None:
        count = len(hips)
        self.chest = np.broadcast_to(frame(lean, twist, tilt), (count, 3, 3))
        pelvis = np.broadcast_to(frame(np.asarray(lean) * 0.5, turn), (count, 3, 3))
        self.neck = hips + self.chest[:, 1]
        self.hips = hips[:, None] + HIP * PAIR[:, None] * pelvis[:, None, 0]
        self.shoulders = self.neck[:, None] + SHOULDER * PAIR[:, None] * self.chest[:, None, 0]
        skull = frame(np.asarray(lean) + np.asarray(nod), np.asarray(twist) * 0.3, tilt)
        self.skull = np.broadcast_to(skull, (count, 3, 3))
        self.crown = self.neck + NECK * self.skull[:, 1]
        face = np.array([(0, -0.02, 0.17), (0.07, 0.06, 0.13), (-0.07, 0.06, 0.13), (0.14, 0, 0), (-0.14, 0, 0)])
        self.head = self.crown[:, None] + face @ self.skull

    def near(self, anchor: Array, offset: Array) -> Array:
        """Points (T, 2, 3) at `offset` (T or 1, 2, 3), in the chest's own axes, from `anchor`."""
        return anchor + np.broadcast_to(offset, (len(self.chest), 2, 3)) @ self.chest

    def place(self, hands: Array, feet: Array, elbow_pole: Array, knee_pole: Array) -> Body:
        """Finish the body: wrists at `hands`, ankles at `feet` where they can be reached (all (T or 1, 2, 3))."""
        elbows, wrists = bend(self.shoulders, hands, UPPER_ARM, FOREARM, elbow_pole)
        knees, ankles = bend(self.hips, feet, THIGH, SHANK, knee_pole)
        return Body(self.head, self.shoulders, elbows, wrists, self.hips, knees, ankles)


def swing(phase: Array) -> Array:
    """0 at phase 0, 1 at 0.5, back to 0: smooth."""
    return (1 - np.cos(2 * np.pi * phase)) / 2


def through(phase: Array, *keys: tuple[float, float]) -> Array:
    """Ease from key to key (phase, value): at rest at each of them."""
    at, value = np.array(keys).T
    i = np.clip(np.searchsorted(at, phase, side="right") - 1, 0, len(at) - 2)
    share = np.clip((phase - at[i]) / (at[i + 1] - at[i]), 0, 1)
    return np.asarray(value[i] + (value[i + 1] - value[i]) * share**2 * (3 - 2 * share))


# -- actions ------------------------------------------------------------------------------------------------------
def jumping_jacks(phase: Array) -> Body:
    raised = swing(phase)
    airborne = np.sin(2 * np.pi * phase) ** 2
    angle = np.radians(8 + 156 * raised)
    reach = 0.90 - 0.34 * raised + 0.10 * raised**2
    body = Trunk(vector(0, 1.38 + 0.21 * airborne, 0), lean=4)
    hands = body.near(body.shoulders, both(reach * np.sin(angle), -reach * np.cos(angle), 0.12))
    feet = both(0.11 + 0.47 * raised, 0.08 * airborne + 0.03 * raised, 0)
    return body.place(hands, feet, both(1, -0.5 * (1 - raised), 0.1), both(0.35, 0, 1))


def squat(phase: Array) -> Body:
    depth = through(phase, (0, 0), (0.46, 1), (0.54, 1), (0.95, 0), (1, 0))
    body = Trunk(vector(0, STANDING - 0.80 * depth, -0.32 * depth), lean=6 + 34 * depth, nod=-14 * depth)
    hands = body.near(body.shoulders, both(0.14, 0.08, 0.05))
    return body.place(hands, both(0.34, 0, 0), both(0.4, -1, -0.3), both(0.45, 0, 1))


def pushup(phase: Array) -> Body:
    slope = np.radians(20 - 15 * swing(phase))  # of the straight line from ankles to shoulders
    hips = vector(0, 0.1 + 1.475 * np.sin(slope), 1.475 * np.cos(slope))
    body = Trunk(hips, lean=90 - np.degrees(slope), nod=-25)
    hands = both(0.36, 0, 2.40)
    return body.place(hands, both(0.1, 0.1, 0), both(0.6, 0.2, -1), both(0, -1, 0.2))


def situp(phase: Array) -> Body:
    up = through(phase, (0, 0), (0.45, 1), (0.55, 1), (1, 0))
    body = Trunk(vector(0, 0.1 + 0 * phase, 0.02 * up), lean=-84 + 98 * up, nod=8 + 14 * up)
    hands = body.near(body.crown[:, None], both(0.20, -0.04, 0.02))
    return body.place(hands, both(0.16, 0, 0.95), both(0.55, 0, 1), both(0.1, 1, 0.3))


def pullup(phase: Array) -> Body:
    up = through(phase, (0, 0), (0.48, 1), (0.54, 1), (1, 0))
    body = Trunk(vector(0, 1.6 + 0.78 * up, -0.08 * up), lean=2 - 10 * up, nod=-12 * up)
    feet = body.hips + both(-0.06, -1.05, -0.55)
    return body.place(both(0.50, 3.52, 0.04), feet, both(0.7, -1, -0.4), both(0.1, 0, 1))


def jump_rope(phase: Array) -> Body:
    air = swing(phase)
    around = 2 * np.pi * phase
    body = Trunk(vector(0, 1.40 + 0.20 * air, 0), lean=5)
    hands = body.near(body.hips, both(0.40 + 0.05 * np.cos(around), 0.36 + 0.06 * np.sin(around) - 0.12 * air, 0.28))
    return body.place(hands, both(0.11, 0.11 * air, 0), both(0.1, -0.3, -1), both(0.1, 0, 1))


def golf_swing(phase: Array) -> Body:
    # address, top of the backswing (to the right), impact, finish (to the left), back to address
    keys = ((0, 0), (0.08, 0), (0.32, -1), (0.44, 0.1), (0.56, 1), (0.70, 1), (0.92, 0), (1, 0))
    wound = through(phase, *keys)
    through_ball = np.maximum(wound, 0)
    high = np.abs(wound)
    body = Trunk(
        vector(0.22 * through_ball - 0.05 * (high - through_ball), STANDING - 0.10 + 0.06 * through_ball, -0.1),
        lean=34 - 22 * through_ball,
        turn=45 * wound + 20 * through_ball,
        twist=80 * wound,
        nod=10 - 12 * through_ball,
    )
    club = vector(0.05 + 0.10 * wound, -0.82 + 1.02 * high**1.5, 0.52 - 0.06 * high)
    hands = (body.neck + (club[:, None] @ body.chest)[:, 0])[:, None] + vector(0, 0.05 * PAIR, 0)
    feet = vector(0.38 * PAIR, np.stack((0 * wound, 0.14 * through_ball), -1), 0)
    return body.place(hands, feet, both(0.5, -1, -0.2), both(0.15, 0, 1))


def wave(phase: Array) -> Body:
    away = np.sin(4 * np.pi * phase)  # two strokes a cycle
    lift = through(phase, (0, 0.3), (0.25, 0.45), (0.75, 0.45), (1, 0.3))
    body = Trunk(vector(0.02 * away, STANDING - 0.02 + 0 * phase, 0), tilt=3 + 1.5 * away)
    hands = body.near(body.shoulders, both(0.12, -0.88, 0.10))
    hands[:, 1] = body.shoulders[:, 1] + vector(-0.42 - 0.26 * away, lift - 0.06 * away**2, 0.25)
    return body.place(hands, both(0.24, 0, 0), both(0.4, -1, -0.2), both(0.1, 0, 1))


def idle(phase: Array) -> Body:
    sway, breath = np.sin(2 * np.pi * phase), np.sin(4 * np.pi * phase)
    body = Trunk(vector(0.02 * sway, STANDING + 0.004 * breath, 0.01 * sway), lean=1, tilt=0.5 * sway, twist=1.5 * sway)
    hands = body.near(body.shoulders, both(0.10, -0.96, 0.06 + 0.01 * breath))
    return body.place(hands, both(0.18, 0, 0), both(0.3, 0, -1), both(0.1, 0, 1))


ACTIONS: dict[str, Action] = {
    "jumping_jacks": Action(jumping_jacks, 1.0, 0),
    "squat": Action(squat, 2.8, 30),
    "pushup": Action(pushup, 1.5, 75),
    "situp": Action(situp, 2.6, 80),
    "pullup": Action(pullup, 1.9, 5),
    "jump_rope": Action(jump_rope, 0.45, 5),
    "golf_swing": Action(golf_swing, 3.0, 0),
    "wave": Action(wave, 1.4, 0),
    "idle": Action(idle, 6.0, 5),
}
"""By the names of the labels of the embedded bundle."""


def pose(
    action: str,
    t_s: ArrayLike,
    *,
    height: float = 240.0,
    centre: tuple[float, float] = (320.0, 240.0),
    noise: float = 0.004,
    yaw: float | None = None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """COCO-17 keypoints `(..., 17, 3)` (x and y in pixels, confidence) of a body doing `action` at `t_s` (...) seconds.

    The same arguments give the same pose. height: of the standing body, in pixels. centre: the image point half that
    height above the ground. noise: jitter of an estimator as a share of the height. yaw: degrees turned towards the
    right edge of the image (None: the action's own). Raises KeyError for an unknown action (see `ACTIONS`).
    """
    doing = ACTIONS[action]
    times = np.asarray(t_s, dtype=np.float64)
    moments = times.reshape(-1)
    joints = doing.move(np.mod(moments / doing.period_s, 1.0)).joints()
    turned = np.radians(doing.yaw if yaw is None else yaw)
    side, up, front = joints[..., 0], joints[..., 1] - HEIGHT / 2 + 0.1, joints[..., 2] - joints[:1, 11:13, 2].mean()
    x = side * np.cos(turned) + front * np.sin(turned)
    nearness = front * np.cos(turned) - side * np.sin(turned)
    y = -up + 0.05 * nearness  # the camera looks slightly down
    jitter = _jitter(moments, seed) * noise * height
    scale = height / HEIGHT
    visible = 0.93 + 0.05 * np.tanh(2 * nearness) + 0.02 * np.sin(7 * moments[:, None] + np.arange(17))
    image = np.stack((centre[0] + scale * x + jitter[..., 0], centre[1] + scale * y + jitter[..., 1], visible), axis=-1)
    return image.reshape(*times.shape, 17, 3).astype(np.float32)


def _jitter(moments: Array, seed: int) -> Array:
    """(T, 17, 2) of about unit deviation: sums of sines, so that noise, too, is a function of time alone."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, (17, 2, len(JITTER_HZ)))
    waves = np.sin(2 * np.pi * JITTER_HZ * moments[:, None, None, None] + phases)
    return np.asarray(waves.sum(axis=-1) * np.sqrt(2 / len(JITTER_HZ)))
