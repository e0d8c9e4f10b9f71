"""Dropout whose coins are a byte each: drawing a random float for every value costs more than the layers around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """As `nn.Dropout`, with the chance rounded to a 256th."""

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.threshold = round(256 * chance)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.threshold == 0:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device)
        coins = words.random_(-(1 << 63), None).view(torch.uint8)[: x.numel()].view(x.shape)
        # as floats: products with bools are many times slower
        return x * (coins >= self.threshold).to(x.dtype).mul_(256 / (256 - self.threshold))
