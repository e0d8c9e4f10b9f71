"""Backbones have torchvision's keys and shapes, and shift in time only where they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from inkling.models.networks.mobilenet import MobileNetV2, scaled
from inkling.models.networks.resnet import resnet18, resnet50
from inkling.models.networks.temporal_shift import SequenceShift, SiteRecorder, StepShift
from inkling.models.networks.vgg import VGG16

# of torchvision's files: parameters with 1000 classes, and keys that only they have
PUBLISHED = {
    "mobilenet_v2": (3_504_872, {"features.0.0.weight": (32, 3, 3, 3), "features.1.conv.1.weight": (16, 32, 1, 1),
                                 "features.17.conv.1.0.weight": (960, 1, 3, 3), "features.18.1.running_var": (1280,),
                                 "classifier.1.weight": (1000, 1280)}),
    "resnet18": (11_689_512, {"conv1.weight": (64, 3, 7, 7), "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                              "layer4.1.bn2.num_batches_tracked": (), "fc.bias": (1000,)}),
    "resnet50": (25_557_032, {"layer1.0.downsample.1.weight": (256,), "layer3.5.conv3.weight": (1024, 256, 1, 1),
                              "fc.weight": (1000, 2048)}),
    "vgg16": (138_357_544, {"features.28.weight": (512, 512, 3, 3), "classifier.0.weight": (4096, 25088),
                            "classifier.3.bias": (4096,), "classifier.6.weight": (1000, 4096)}),
}  # fmt: skip


def _build(name: str) -> nn.Module:
    with torch.device("meta"):  # sizes only: VGG-16 has half a gigabyte of weights
        if name == "vgg16":
            return VGG16(classes=1000)
        if name == "mobilenet_v2":
            return MobileNetV2(classes=1000)
        return resnet18(1000) if name == "resnet18" else resnet50(1000)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_keys_are_those_of_the_published_files(name: str) -> None:
    network = _build(name)
    parameters, keys = PUBLISHED[name]
    assert sum(p.numel() for p in network.parameters()) == parameters
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert keys.items() <= shapes.items()


def test_a_bottleneck_has_its_stride_in_the_middle_as_torchvision() -> None:
    network = resnet50().layer2
    assert isinstance(network, nn.Sequential)
    assert network[0].conv1.stride == (1, 1)
    assert network[0].conv2.stride == (2, 2)


@pytest.mark.parametrize(("name", "sites"), [("resnet18", 8), ("resnet50", 16), ("mobilenet_v2", 10)])
def test_shift_sites_are_those_of_the_paper(name: str, sites: int) -> None:
    builders: dict[str, Callable[[], nn.Module]] = {
        "resnet18": resnet18,
        "resnet50": resnet50,
        "mobilenet_v2": MobileNetV2,
    }
    network = builders[name]().eval()
    recorder = SiteRecorder()
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64), recorder)
    assert len(recorder.shapes) == sites


def test_a_sequence_shift_moves_an_eighth_of_the_channels_one_step_and_starts_at_zero() -> None:
    x = torch.arange(2 * 3 * 16, dtype=torch.float32).reshape(6, 16, 1, 1) + 1
    shifted = SequenceShift(2)("site", x).reshape(2, 3, 16)
    x = x.reshape(2, 3, 16)
    assert torch.equal(shifted[:, :, 2:], x[:, :, 2:])
    assert torch.equal(shifted[:, 1:, :2], x[:, :-1, :2])
    assert (shifted[:, 0, :2] == 0).all()


def test_a_step_shift_hands_over_what_it_moves() -> None:
    before, x = torch.full((2, 1, 1, 1), 7.0), torch.arange(16, dtype=torch.float32).reshape(2, 8, 1, 1)
    shift = StepShift({"site": before})
    shifted = shift("site", x)
    assert (shifted[:, 0] == 7).all()
    assert torch.equal(shifted[:, 1:], x[:, 1:])
    assert torch.equal(shift.after["site"], x[:, :1])


def test_two_sites_of_one_name_are_refused() -> None:
    recorder = SiteRecorder()
    recorder("a", torch.zeros(1, 8, 1, 1))
    with pytest.raises(ValueError, match="called 'a'"):
        recorder("a", torch.zeros(1, 8, 1, 1))


def test_a_network_without_classes_does_not_classify() -> None:
    with pytest.raises(ValueError, match="without classes"):
        resnet18().classify(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(("channels", "width", "wanted"), [(32, 1.0, 32), (32, 0.35, 16), (24, 0.5, 16), (16, 0.1, 8)])
def test_scaled_channels_are_multiples_of_eight(channels: int, width: float, wanted: int) -> None:
    assert scaled(channels, width) == wanted
