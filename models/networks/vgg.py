"""VGG-16 (Simonyan, Zisserman, 2015) with torchvision's key names, up to fc7: the context feature of paper C."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkling.models.networks.resnet import begun
from inkling.models.networks.temporal_shift import Shift, no_shift

PLAN = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Configuration D of the paper: convolutions and channels between the poolings."""


class VGG16(nn.Module):
    """Images (N, 3, H, W), normalised -> fc7 (N, 4096), after its ReLU. Sees single images: nothing is shifted.

    classes: with the published last layer (then `classify` gives logits).
    """

    dim = 4096

    def __init__(self, *, classes: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for count, outputs in PLAN:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        head: list[nn.Module] = [
            nn.Linear(512 * 7 * 7, self.dim), nn.ReLU(), nn.Dropout(), nn.Linear(self.dim, self.dim), nn.ReLU(),
            nn.Dropout(),
        ]  # fmt: skip
        if classes is not None:
            head.append(nn.Linear(self.dim, classes))
        self.classes = classes
        self.classifier = nn.Sequential(*head)

    def forward(self, x: Tensor | None, shift: Shift = no_shift, stem: Tensor | None = None) -> Tensor:
        """x (N, 3, H, W) -> fc7 (N, 4096). stem: added to what the first convolution gives, or in its place."""
        x = begun(self.features[0], x, stem)
        for layer in list(self.features)[1:]:
            x = layer(x)
        if x.shape[2:] != (7, 7):
            x = F.adaptive_avg_pool2d(x, (7, 7))
        x = torch.flatten(x, 1)
        for layer in list(self.classifier)[:6]:
            x = layer(x)
        return x

    def classify(self, x: Tensor) -> Tensor:
        """x (N, 3, H, W) -> logits (N, classes). Raises ValueError without a classifier."""
        if self.classes is None:
            raise ValueError("this network was built without classes")
        return cast(Tensor, self.classifier[6](self(x)))
