from __future__ import annotations

import pytest
import torch

from inkling.models.errors import SkeletonError
from inkling.models.skeletons import SKELETONS, Skeleton
from inkling.training.augment.poses import body_height
from inkling.training.data.synthetic_idle import idle_clips


@pytest.mark.parametrize("name", ["body13", "coco17"])
def test_idle_people_hardly_move_and_are_all_different(name: str) -> None:
    clips = idle_clips(30, SKELETONS[name], 15.0, torch.Generator().manual_seed(0))
    assert len({tuple(clip[0].flatten().tolist()) for clip in clips}) == 30
    for clip in clips:
        assert 30 <= len(clip) <= 120
        seen = clip[..., 2] > 0
        assert seen.any(1).all()
        # half a second apart, averaged over jitter: no joint has gone further than a tenth of the body
        smooth = clip[..., :2].unfold(0, 5, 1).mean(-1)
        moved = (smooth[7:] - smooth[:-7]).norm(dim=-1).median(0).values
        assert float(moved.max()) < 0.1 * float(body_height(clip))


def test_the_same_randomness_gives_the_same_people() -> None:
    first, second = (idle_clips(3, SKELETONS["body13"], 15.0, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_body_unlike_ours_is_refused() -> None:
    hand = Skeleton(name="hand", joints=("wrist", "thumb"), root=(0,))
    with pytest.raises(SkeletonError):
        idle_clips(1, hand, 15.0, torch.Generator())
