"""What a clip of frames could also have looked like: mirrored, nearer, tilted, in other light, through a worse camera.

One draw changes all frames of a clip alike, for the camera stands still; noise alone differs from frame to frame.
"""

from __future__ import annotations

import math
from typing import Annotated, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Chance = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Draw(Protocol):
    """A number drawn evenly between two limits."""

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float: ...


class PixelAugmentation(BaseModel):
    """How far a clip of frames may be changed. `PixelAugmentation.none()` changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mirror: Chance = 0.5
    """Chance that left and right are swapped."""
    zoom: Annotated[float, Field(ge=1, le=4)] = 1.2
    """Enlarged or reduced by up to this factor; the border is continued."""
    move: Share = 0.08
    """Moved by up to this share of each side."""
    tilt_degrees: NotNegative = 4.0
    """Turned by up to this angle."""
    stretch: Share = 0.08
    """Each axis scaled by up to this share."""
    light: Share = 0.4
    """Brightness times 1 - light to 1 + light."""
    tint: Share = 0.15
    """Each colour besides times 1 - tint to 1 + tint."""
    offset: NotNegative = 20.0
    """Grey levels added or taken away."""
    grey: Chance = 0.2
    """Chance of a clip without colour."""
    noise: NotNegative = 5.0
    """Largest standard deviation of the camera's noise, grey levels."""
    noisy: Chance = 0.4
    """Chance that a clip gets noise."""

    @classmethod
    def none(cls) -> PixelAugmentation:
        return cls(
            mirror=0, zoom=1, move=0, tilt_degrees=0, stretch=0, light=0, tint=0, offset=0, grey=0, noise=0, noisy=0
        )

    def __call__(self, frames: Tensor, random: torch.Generator) -> Tensor:
        """Another clip that could have been. frames (T, H, W, 3) uint8 -> the same shape."""

        def draw(low: float = 0.0, high: float = 1.0) -> float:
            return low + (high - low) * float(torch.rand((), generator=random))

        height, width = frames.shape[1:3]
        matrix, levels = self._matrix(draw, height, width), self._levels(draw)
        grey = draw() < self.grey
        noise = draw(0, self.noise) if draw() < self.noisy else 0.0
        changed = np.empty(tuple(frames.shape), np.uint8)
        for t, frame in enumerate(frames.numpy()):
            warped = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            if grey:
                warped = cv2.cvtColor(cv2.cvtColor(warped, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            changed[t] = cv2.LUT(warped, levels)
        found = torch.from_numpy(changed)
        if noise:
            # each frame's noise is another window of one random plane, because drawing numbers costs more than all else
            size = height * width * 3
            plane = (torch.randn(2 * size, generator=random) * noise).to(torch.int16)
            starts = torch.randint(size, (len(frames),), generator=random).tolist()
            for t, start in enumerate(starts):
                noisy = found[t].to(torch.int16) + plane[start : start + size].view(height, width, 3)
                found[t] = noisy.clamp_(0, 255).to(torch.uint8)
        return found

    def _matrix(self, draw: _Draw, height: int, width: int) -> NDArray[np.float64]:
        """The affine map (2, 3) of pixel positions."""
        scale = math.exp(draw(-1, 1) * math.log(self.zoom))
        wide, high = scale * (1 + draw(-1, 1) * self.stretch), scale * (1 + draw(-1, 1) * self.stretch)
        if draw() < self.mirror:
            wide = -wide
        angle = math.radians(draw(-1, 1) * self.tilt_degrees)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        linear = turn @ np.diag([wide, high])
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        moved = centre + np.array([draw(-1, 1) * self.move * width, draw(-1, 1) * self.move * height])
        return np.asarray(np.column_stack([linear, moved - linear @ centre]), np.float64)

    def _levels(self, draw: _Draw) -> NDArray[np.uint8]:
        """What each grey level of each colour becomes, (256, 1, 3)."""
        light = 1 + draw(-1, 1) * self.light
        gains = np.array([light * (1 + draw(-1, 1) * self.tint) for _ in range(3)])
        levels = np.arange(256)[:, None, None] * gains + draw(-1, 1) * self.offset
        return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
