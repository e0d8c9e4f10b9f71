from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from inkling.models.skeletons import BODY13, SKELETONS
from inkling.training.augment.poses import Augmentation, body_height, filled, mirrored
from tests.models.networks.test_pose_features import walk


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from(["body13", "coco17", "kinect20"]))
def test_an_augmented_clip_is_finite_and_its_missing_joints_are_zero(seed: int, steps: int, name: str) -> None:
    skeleton = SKELETONS[name]
    clip = walk(steps, 1, len(skeleton.joints), skeleton.dimensions, seed)[0]
    found = Augmentation()([clip], skeleton, generator(seed))[0].pose
    assert found.shape[1:] == clip.shape[1:]
    assert min(steps, 2) <= len(found) <= 1.25 * steps + 1
    assert torch.isfinite(found).all()
    d = skeleton.dimensions
    assert (found[..., :d][found[..., d] == 0] == 0).all()


def changed(wish: Augmentation, clip: Tensor, seed: int) -> Tensor:
    return wish([clip], BODY13, generator(seed))[0].pose


def test_the_same_randomness_gives_the_same_clip_and_other_randomness_another() -> None:
    clip = walk(30)[0]
    first = changed(Augmentation(), clip, 1)
    assert torch.equal(first, changed(Augmentation(), clip, 1))
    second = changed(Augmentation(), clip, 2)
    assert first.shape != second.shape or not torch.equal(first, second)


def test_each_clip_of_many_is_changed_in_its_own_way_and_keeps_its_place_among_them() -> None:
    clips = [walk(steps, 1, seed=0)[0, :steps] for steps in (30, 5, 18, 5)]
    wish = Augmentation.none().model_copy(update={"stretch": 0.1})
    found = [view.pose for view in wish(clips, BODY13, generator(0))]
    assert [len(clip) for clip in found] == [30, 5, 18, 5]
    stretches = [(after[..., :2] / before[..., :2]).flatten(0, 1) for before, after in zip(clips, found, strict=True)]
    for stretch in stretches:
        torch.testing.assert_close(stretch, stretch[:1].expand_as(stretch), rtol=1e-4, atol=1e-4)
    assert len({tuple(stretch[0].tolist()) for stretch in stretches}) == 4
    for kind in (
        {"short": 0.5},
        {"mirror": 0.5},
        {"crop": 0.5},
        {"noisy": 0.5, "noise": 0.03},
        {"losing": 0.5, "lost": 0.3},
        {"hiding": 0.5},
        {"swapping": 0.5},
    ):
        some = Augmentation.none().model_copy(update=kind)(clips * 8, BODY13, generator(0))
        pairs = [(view.pose, clip) for view, clip in zip(some, clips * 8, strict=True)]
        kept = [a.shape == b.shape and bool(torch.isclose(a, b).all()) for a, b in pairs]
        assert any(kept)
        assert not all(kept)


def test_none_changes_nothing() -> None:
    clip = walk(30)[0]
    torch.testing.assert_close(changed(Augmentation.none(), clip, 0), clip)


def test_a_mirror_image_exchanges_left_and_right_and_mirrors_back() -> None:
    clip = walk(3)[0]
    other = mirrored(clip, BODY13)
    left, right = BODY13.joints.index("left_wrist"), BODY13.joints.index("right_wrist")
    torch.testing.assert_close(other[:, left, 0], -clip[:, right, 0])
    torch.testing.assert_close(other[:, left, 1:], clip[:, right, 1:])
    assert torch.equal(mirrored(other, BODY13), clip)


def test_a_missing_joint_is_filled_in_near_its_other_side_and_nothing_else_changes() -> None:
    clip = walk(12)[0]
    left, right = BODY13.joints.index("left_knee"), BODY13.joints.index("right_knee")
    head = BODY13.joints.index("head")
    clip[:, left] = clip[:, head] = 0.0
    found = filled(clip, BODY13, generator(0))
    off = found[:, left, :2] - clip[:, right, :2]
    assert 0 < float(off[0].norm()) < 0.2 * float(body_height(clip))
    torch.testing.assert_close(off, off[:1].expand_as(off))
    assert (found[:, left, 2] == 1).all()
    assert (found[:, head] == 0).all()  # it has no other side
    kept = [j for j in range(13) if j != left]
    assert torch.equal(found[:, kept], clip[:, kept])


def test_as_many_joints_are_lost_as_asked_for_at_most() -> None:
    clip = walk(40)[0]
    wish = Augmentation.none().model_copy(update={"lost": 0.4, "losing": 1.0})
    shares = [float((changed(wish, clip, seed)[..., 2] == 0).float().mean()) for seed in range(60)]
    assert 0.02 < sum(shares) / len(shares) < 0.3
    assert max(shares) < 0.6


def test_a_clip_may_end_at_any_time_but_not_in_its_first_tenth() -> None:
    clip = walk(50)[0]
    wish = Augmentation.none().model_copy(update={"short": 1.0})
    found = [changed(wish, clip, seed) for seed in range(60)]
    lengths = [len(each) for each in found]
    assert 5 < min(lengths) < 15
    assert 40 < max(lengths) <= 50
    for each in found:
        torch.testing.assert_close(each, clip[: len(each)])
    assert [len(changed(wish, clip[:steps], 0)) for steps in (1, 2)] == [1, 2]


def test_what_is_off_draws_nothing_so_that_older_recipes_see_what_they_saw() -> None:
    wish = Augmentation()
    assert (wish.short, wish.hiding, wish.swapping) == (0, 0, 0)
    random = generator(0)
    wish([walk(30, seed=seed)[0] for seed in range(4)], BODY13, random)
    assert float(torch.rand((), generator=random)) == pytest.approx(0.4511484, abs=1e-6), (
        "as before there were such keys"
    )


def test_views_know_which_steps_they_show() -> None:
    clips = [walk(steps, seed=steps)[0] for steps in (30, 5, 18)]
    wish = Augmentation.none().model_copy(update={"speed": 2.0, "crop": 0.5, "short": 0.5})
    for seed in range(20):
        for clip, view in zip(clips, wish(clips, BODY13, generator(seed)), strict=True):
            torch.testing.assert_close(view.pose, clip[view.steps])


def test_height_ignores_missing_joints_and_is_zero_without_any() -> None:
    clip = torch.tensor([[[0.0, 0.0, 1.0], [10.0, 200.0, 1.0], [900.0, 900.0, 0.0]]])
    assert float(body_height(clip)) == 200.0
    assert float(body_height(torch.zeros(4, 3, 3))) == 0.0


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(ValidationError):
        Augmentation(lost=1.0)
    with pytest.raises(ValidationError):
        Augmentation(speed=0.5)
