"""MobileNetV2 (Sandler et al., CVPR 2018) with torchvision's key names, so that its published weights load."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from inkling.models.networks.resnet import begun
from inkling.models.networks.temporal_shift import Shift, no_shift

# expansion, channels, blocks, stride of the first: table 2 of the paper
PLAN = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
LAST = 1280


def scaled(channels: int, width: float) -> int:
    """Channels times width, to the nearest multiple of 8 that is not more than a tenth too small."""
    wanted = channels * width
    found = max(8, int(wanted + 4) // 8 * 8)
    return found + 8 if found < 0.9 * wanted else found


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Expand, depthwise, project. Blocks with a shortcut are the shift sites (TSM shifts those that expand)."""

    def __init__(self, site: str, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.site = site
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([_unit(inputs, hidden, 1)] if expansion != 1 else []),
            _unit(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shifts = self.shortcut and expansion != 1

    def forward(self, x: Tensor, shift: Shift = no_shift) -> Tensor:
        y = cast(Tensor, self.conv(shift(self.site, x) if self.shifts else x))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W), normalised -> features (N, dim): 1280, the mean over the last feature map.

    width: multiplier of all channels. classes: with the published classifier (then `classify` gives logits).
    """

    def __init__(self, *, width: float = 1.0, classes: int | None = None) -> None:
        super().__init__()
        inputs = scaled(32, width)
        layers: list[nn.Module] = [_unit(3, inputs, 3, 2)]
        for expansion, channels, count, stride in PLAN:
            outputs = scaled(channels, width)
            for i in range(count):
                site = f"features_{len(layers)}"
                layers.append(InvertedResidual(site, inputs, outputs, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.dim = scaled(LAST, max(1.0, width))
        layers.append(_unit(inputs, self.dim, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.dim, classes)) if classes is not None else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor | None, shift: Shift = no_shift, stem: Tensor | None = None) -> Tensor:
        """x (N, 3, H, W) -> (N, dim). stem: something to add to what the first convolution gives, or instead of it."""
        first, *layers = self.features
        convolution, norm, activation = cast(nn.Sequential, first)
        y = activation(norm(begun(convolution, x, stem)))
        for layer in layers:
            y = layer(y, shift) if isinstance(layer, InvertedResidual) else layer(y)
        return torch.mean(y, (2, 3))

    def classify(self, x: Tensor) -> Tensor:
        """x (N, 3, H, W) -> logits (N, classes). Raises ValueError without a classifier."""
        if self.classifier is None:
            raise ValueError("this network was built without classes")
        return cast(Tensor, self.classifier(self(x)))
