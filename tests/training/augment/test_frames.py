from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inkling.training.augment.frames import PixelAugmentation


def clip(seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (5, 24, 32, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def only(**changes: float) -> PixelAugmentation:
    return PixelAugmentation.model_validate(PixelAugmentation.none().model_dump() | changes)


def test_none_changes_nothing() -> None:
    assert torch.equal(PixelAugmentation.none()(clip(), torch.Generator().manual_seed(3)), clip())


def test_the_same_draw_gives_the_same_clip_and_another_draw_another() -> None:
    found = [PixelAugmentation()(clip(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert found[0].dtype == torch.uint8
    assert found[0].shape == clip().shape


def test_mirror_swaps_left_and_right() -> None:
    found = only(mirror=1)(clip(), torch.Generator().manual_seed(0))
    assert (found.int() - clip().flip(2).int()).abs().max() <= 1


@pytest.mark.parametrize("kind", ["zoom", "move", "tilt_degrees", "stretch", "light", "tint", "offset"])
def test_a_still_picture_stays_still_because_one_draw_is_for_the_whole_clip(kind: str) -> None:
    still = clip()[:1].repeat(4, 1, 1, 1)
    found = only(**{kind: 2 if kind == "zoom" else 0.3})(still, torch.Generator().manual_seed(1))
    assert (found == found[:1]).all()


def test_light_scales_every_colour_alike_and_tint_does_not() -> None:
    plain = torch.full((2, 8, 8, 3), 100, dtype=torch.uint8)
    lit = only(light=0.4)(plain, torch.Generator().manual_seed(0))
    assert len(set(lit.flatten().tolist())) == 1
    assert lit[0, 0, 0, 0] != 100
    tinted = only(tint=0.3)(plain, torch.Generator().manual_seed(0))
    assert len(set(tinted.flatten().tolist())) == 3


def test_grey_takes_the_colour_away() -> None:
    found = only(grey=1)(clip(), torch.Generator().manual_seed(0))
    assert (found == found[..., :1]).all()


def test_noise_differs_from_frame_to_frame_and_has_the_size_that_was_asked_for() -> None:
    plain = torch.full((3, 40, 40, 3), 128, dtype=torch.uint8)
    found = only(noise=20, noisy=1)(plain, torch.Generator().manual_seed(4)).float() - 128
    assert 0 < found.std() <= 21
    assert not torch.equal(found[0], found[1])


def test_moving_continues_the_border_instead_of_showing_black() -> None:
    plain = torch.full((2, 20, 20, 3), 90, dtype=torch.uint8)
    assert (only(move=0.5, zoom=2)(plain, torch.Generator().manual_seed(0)) == 90).all()
