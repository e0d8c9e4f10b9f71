"""From raw frames to what a recurrent network wants to know: normalisation, motion, a backbone, its temporal shift.

Everything from uint8 RGB on is inside the step graph. `forward` runs a whole sequence at once and equals `step` after
`step` (tested), so what was trained is what is served.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from inkling.models.bundle.schema import StateTensor
from inkling.models.networks.mobilenet import MobileNetV2
from inkling.models.networks.resnet import BasicBlock, ResNet, resnet18, resnet50
from inkling.models.networks.temporal_shift import SequenceShift, Shift, SiteRecorder, StepShift, no_shift
from inkling.models.networks.vgg import VGG16
from inkling.models.resize import FitPolicy

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in [0, 1], as torchvision's published weights expect them."""

GREY = (0.299, 0.587, 0.114)
MOTION_SCALE = 4.0
"""Differences of grey are small numbers; so they become of order one."""

Backbone = MobileNetV2 | ResNet | VGG16
Side = Annotated[int, Field(ge=32, le=1024)]


class FrameConfig(BaseModel):
    """How frames become features."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    height: Side = 224
    """Height of the frames that the network sees, in pixels."""
    width: Side = 224
    """Width of these frames."""
    fit: FitPolicy = "letterbox"
    """How an image of another shape becomes such a frame: bars (`letterbox`), distorted (`stretch`), cut (`crop`)."""
    backbone: Literal["mobilenet_v2", "resnet18", "resnet50", "resnet_small", "vgg16"] = "resnet_small"
    """`resnet_small`: four basic blocks of `channels` and two, four and eight times as many, to train from scratch."""
    channels: Annotated[int, Field(ge=8, le=64)] = 16
    """First channels of resnet_small; the other backbones have their published size."""
    shift: bool = True
    """One-way temporal shift; without it (and always in vgg16) the backbone sees single frames."""
    colour: bool = True
    """False: the backbone sees only what moves (needs `motion`), and cannot learn what rooms look like."""
    motion: bool = False
    """Also show the backbone what changed since the last frame, and against a running mean of the frames."""
    motion_memory_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Time constant of that running mean."""
    frozen: bool = False
    """Keep the backbone's weights as loaded."""
    weights: str | None = None
    """Published weights to begin with: a name that `inkling train weights` knows, or a file."""
    fine_tune_two_way: bool = False
    """Begin with two-way TSM weights all the same: their shifted channels come from the wrong side until trained on."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.colour and not self.motion:
            raise ValueError("without colour and without motion there is nothing to see")
        if self.motion and self.frozen:
            raise ValueError("motion is always learned, so its backbone cannot be frozen")
        if self.frozen and self.shift:
            raise ValueError("a frozen backbone sees single frames: set shift = false")
        return self


def _backbone(config: FrameConfig) -> Backbone:
    if config.backbone == "mobilenet_v2":
        return MobileNetV2()
    if config.backbone == "resnet_small":
        return ResNet(BasicBlock, (1, 1, 1, 1), width=config.channels, stem_stride=4)
    if config.backbone == "vgg16":
        return VGG16()
    return resnet18() if config.backbone == "resnet18" else resnet50()


class FrameFeatures(nn.Module):
    """Features of one frame per step, an `Extractor`.

    Input x (B, T, H, W, 3) uint8 RGB; output (B, T, dim). State: `shift_SITE` (C / 8, h, w) for every shift site, and
    with motion `seen_grey` (2, H / 2, W / 2): the last frame and the running mean, in grey of [0, 1], negative before
    the first frame.
    """

    mean: Tensor
    std: Tensor
    grey: Tensor

    def __init__(self, config: FrameConfig, rate_hz: float) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config)
        self.dim: int = self.backbone.dim
        self.leak = math.exp(-1.0 / (config.motion_memory_s * rate_hz))
        # not persistent: they are constants, and weights keep torchvision's keys
        self.register_buffer("mean", 255.0 * torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", 255.0 * torch.tensor(STD)[:, None, None], persistent=False)
        self.register_buffer("grey", torch.tensor(GREY)[:, None, None] / 255.0, persistent=False)
        stride = self._stem_stride()
        self.motion = (
            # at half the resolution, where noise and compression are averaged out and the memory is a quarter
            nn.Conv2d(2, self._stem_width(), 5, stride // 2, 2, bias=False) if config.motion else None
        )
        self.sites = self._find_sites()
        if config.frozen:
            self.backbone.requires_grad_(False)

    def _stem_stride(self) -> int:
        stride = self._first().stride[0]
        if self.config.motion and stride % 2:
            raise ValueError(f"motion needs a backbone that begins with an even stride, not {self.config.backbone}")
        return stride

    def _stem_width(self) -> int:
        return self._first().out_channels

    def _first(self) -> nn.Conv2d:
        return next(module for module in self.backbone.modules() if isinstance(module, nn.Conv2d))

    def _find_sites(self) -> dict[str, tuple[int, int, int]]:
        if not self.config.shift or isinstance(self.backbone, VGG16):
            return {}
        found = SiteRecorder()
        training = self.backbone.training
        with torch.no_grad():
            self.backbone.eval()(torch.zeros(1, 3, self.config.height, self.config.width), found)
        self.backbone.train(training)
        return found.shapes

    def train(self, mode: bool = True) -> FrameFeatures:
        """A frozen backbone stays in evaluation mode: its running statistics are part of its weights."""
        super().train(mode)
        if self.config.frozen:
            self.backbone.eval()
        return self

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """Every tensor remembered between steps, in the order that `step` takes and returns them."""
        names = [(f"shift_{site}", shape, 0.0) for site, shape in self.sites.items()]
        if self.motion is not None:
            names.append(("seen_grey", (2, self.config.height // 2, self.config.width // 2), -1.0))
        return tuple(
            StateTensor(input=name, output=f"next_{name}", shape=shape, initial=initial)
            for name, shape, initial in names
        )

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One frame. x (B, H, W, 3) uint8 -> (features (B, dim), *next_state)."""
        pixels = x.permute(0, 3, 1, 2).to(torch.float32)
        shift = StepShift(dict(zip(self.sites, state, strict=False)))
        stem, kept = None, []
        if self.motion is not None:
            grey, seen = self._grey(pixels), state[len(self.sites)]
            before = torch.where(seen < 0, grey, seen)  # (B, 2, H / 2, W / 2): before the first frame, all was as now
            stem = self._moved(grey, before)
            kept = [torch.cat([grey, self._remember(before[:, 1:], grey)], dim=1)]
        features = self._features(pixels, shift if self.sites else no_shift, stem)
        return (features, *(shift.after[site] for site in self.sites), *kept)

    def images(self, x: Tensor) -> Tensor:
        """Single frames, without shift and motion. x (N, H, W, 3) uint8 -> (N, dim)."""
        return self._features(x.permute(0, 3, 1, 2).to(torch.float32), no_shift, None)

    def forward(self, x: Tensor) -> Tensor:
        """Sequences from their initial state. x (B, T, H, W, 3) uint8 -> (B, T, dim).

        A frozen backbone's features may have been computed before: x (B, T, dim) float32 comes back as it is.
        """
        if self.config.frozen and x.dim() == 3:
            return x
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            rows = x.shape[0]
            pixels = x.flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32)
            stem = self._sequence_moved(pixels, rows) if self.motion is not None else None
            features = self._features(pixels, SequenceShift(rows) if self.sites else no_shift, stem)
            return features.reshape(rows, -1, self.dim)

    def _features(self, pixels: Tensor, shift: Shift, stem: Tensor | None) -> Tensor:
        normal = (pixels - self.mean) / self.std if self.config.colour else None
        return cast(Tensor, self.backbone(normal, shift, stem))

    def _grey(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 255] -> (N, 1, H / 2, W / 2) in [0, 1]."""
        return F.avg_pool2d((pixels * self.grey).sum(1, keepdim=True), 2)

    def _moved(self, grey: Tensor, before: Tensor) -> Tensor:
        """Differences to the last frame and to the running mean, through their own first convolution."""
        assert self.motion is not None  # noqa: S101  # only called with motion
        return cast(Tensor, self.motion((grey - before) * MOTION_SCALE))

    def _remember(self, mean: Tensor, grey: Tensor) -> Tensor:
        return grey + self.leak * (mean - grey)

    def _sequence_moved(self, pixels: Tensor, rows: int) -> Tensor:
        grey = self._grey(pixels)
        grey = grey.reshape(rows, -1, *grey.shape[1:])  # (B, T, 1, h, w)
        last = torch.cat([grey[:, :1], grey[:, :-1]], dim=1)
        mean = grey[:, 0]
        means = []
        for t in range(grey.shape[1]):
            means.append(mean)
            mean = self._remember(mean, grey[:, t])
        before = torch.cat([last, torch.stack(means, dim=1)], dim=2)  # (B, T, 2, h, w)
        return self._moved(grey.flatten(0, 1), before.flatten(0, 1))
