"""What keypoints are, for whoever draws them: which are joined by bones, and which are of the head. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.skeletons import get
from inkling.service.protocol.codec import PeopleSkeleton

_OF_HEAD = ("nose", "eye", "ear", "mouth", "head")
"""Parts of the names of joints that are on the head."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A skeleton to be drawn. bones: pairs of joints. head: joints on it. Joints are places among the keypoints."""

    name: str
    bones: tuple[tuple[int, int], ...]
    head: tuple[int, ...]

    @classmethod
    def of(cls, skeleton: PeopleSkeleton | None) -> Figure:
        """As `ready` has it. None, of a server that does not say: `coco17`."""
        if skeleton is None:
            return COCO17
        return _figure(skeleton.name, skeleton.joints, skeleton.bones)


def _figure(name: str, joints: tuple[str, ...], bones: tuple[tuple[int, int], ...]) -> Figure:
    count = len(joints)
    head = tuple(i for i, joint in enumerate(joints) if set(joint.split("_")) & set(_OF_HEAD))
    return Figure(name, tuple((a, b) for a, b in bones if 0 <= a < count and 0 <= b < count), head)


_coco17 = get("coco17")
COCO17 = _figure(_coco17.name, _coco17.joints, _coco17.bones)
