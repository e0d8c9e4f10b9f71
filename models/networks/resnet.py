"""ResNet (He, Zhang, Ren, Sun, CVPR 2016) with torchvision's key names, so that its published weights load.

The bottleneck has its stride in the 3x3 convolution, as torchvision's has. `width` and `stem_stride` make the small
networks that are trained from scratch; both defaults are the published network.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkling.models.networks.temporal_shift import Shift, no_shift


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def begun(first: nn.Module, x: Tensor | None, stem: Tensor | None) -> Tensor:
    """What the first convolution gives, plus `stem`; without x that alone. Raises ValueError without both."""
    if x is None:
        if stem is None:
            raise ValueError("a backbone needs an image, or what to begin with instead")
        return stem
    y = cast(Tensor, first(x))
    return y if stem is None else y + stem


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut; only the residual branch is shifted (TSM, section 4.1)."""

    expansion = 1

    def __init__(self, site: str, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.site = site
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor, shift: Shift = no_shift) -> Tensor:
        y = F.relu(self.bn1(self.conv1(shift(self.site, x))))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and the shortcut; only the residual branch is shifted."""

    expansion = 4

    def __init__(self, site: str, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.site = site
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor, shift: Shift = no_shift) -> Tensor:
        y = F.relu(self.bn1(self.conv1(shift(self.site, x))))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Images (N, 3, H, W), normalised -> features (N, dim), the mean over the last feature map.

    classes: with the published classifier `fc` (then `classify` gives logits), else without it.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: tuple[int, ...],
        *,
        width: int = 64,
        stem_stride: Literal[2, 4] = 2,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stem_stride, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        # a stem of stride 4 is at the resolution that the published one reaches by pooling
        self.pools = stem_stride == 2
        inputs = width
        for number, count in enumerate(layers, 1):
            planes = width * 2 ** (number - 1)
            stage = []
            for i in range(count):
                stage.append(block(f"layer{number}_{i}", inputs, planes, 2 if i == 0 and number > 1 else 1))
                inputs = planes * block.expansion
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.stages = len(layers)
        self.dim = inputs
        self.fc = nn.Linear(inputs, classes) if classes is not None else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor | None, shift: Shift = no_shift, stem: Tensor | None = None) -> Tensor:
        """x (N, 3, H, W) -> (N, dim). stem: something to add to what the first convolution gives, or instead of it."""
        y = F.relu(self.bn1(begun(self.conv1, x, stem)))
        if self.pools:
            y = F.max_pool2d(y, 3, 2, 1)
        for number in range(1, self.stages + 1):
            for block in cast(nn.Sequential, self.get_submodule(f"layer{number}")):
                y = block(y, shift)
        return torch.mean(y, (2, 3))

    def classify(self, x: Tensor) -> Tensor:
        """x (N, 3, H, W) -> logits (N, classes). Raises ValueError without a classifier."""
        if self.fc is None:
            raise ValueError("this network was built without classes")
        return cast(Tensor, self.fc(self(x)))


def resnet18(classes: int | None = None) -> ResNet:
    """torchvision's `resnet18`: features of 512."""
    return ResNet(BasicBlock, (2, 2, 2, 2), classes=classes)


def resnet50(classes: int | None = None) -> ResNet:
    """torchvision's `resnet50`: features of 2048."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes=classes)
