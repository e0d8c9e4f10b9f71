from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import pytest
import torch
from torch import Tensor, nn

from inkling.models.networks import FrameConfig, FrameFeatures
from inkling.models.networks.mobilenet import MobileNetV2
from inkling.models.networks.resnet import resnet18, resnet50
from inkling.models.resize import fit_image
from inkling.training.networks.weights import WeightsError, begin_with, extractor_id, fill, read_state, remapped


def random_state(network: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of the network's keys with other numbers, without the counters."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.rand(value.shape, generator=generator)
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def tsm_resnet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As TSM's own files have it: wrapped in DataParallel, base_model, the shifted convolutions in `net`."""
    found = {}
    for key, value in state.items():
        if key.startswith("layer") and ".conv1." in key:
            key = key.replace(".conv1.", ".conv1.net.")
        found["module.base_model." + key] = value
    return found | {"module.new_fc.weight": torch.zeros(3, 3), "module.new_fc.bias": torch.zeros(3)}


def mmaction_resnet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As mmaction2 has it: convolution and norm in one module."""
    found = {}
    for key, value in state.items():
        for i in "123":
            key = key.replace(f"conv{i}.", f"conv{i}.conv.").replace(f"bn{i}.", f"conv{i}.bn.")
        key = key.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.bn.")
        if key.startswith("layer") and ".conv1.conv." in key:
            key = key.replace(".conv1.conv.", ".conv1.conv.net.")
        found["backbone." + key] = value
    return found | {"cls_head.fc_cls.weight": torch.zeros(3, 3)}


def _mobile(key: str) -> tuple[int, int, str] | None:
    """(block, place counted over convolutions and norms, what) of a key inside an inverted residual."""
    parts = key.split(".")
    if len(parts) < 5 or parts[0] != "features" or parts[2] != "conv":
        return None
    block, units = int(parts[1]), 1 if parts[1] == "1" else 2
    if len(parts) == 6:
        return block, 2 * int(parts[3]) + int(parts[4]), parts[5]
    return block, 2 * units + int(parts[3]) - units, parts[4]


def tsm_mobile(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """TSM's MobileNetV2: one flat sequence of convolution, norm, activation in each block."""
    found = {}
    for key, value in state.items():
        inner = _mobile(key)
        if inner is not None:
            block, place, what = inner
            net = "net." if place == 0 and block in (3, 5, 6) else ""
            key = f"features.{block}.conv.{place // 2 * 3 + place % 2}.{net}{what}"
        found["module.base_model." + key] = value
    return found


def mmaction_mobile(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """mmaction2's MobileNetV2: blocks counted by stage, convolution and norm in one module."""
    counts, found = (1, 2, 3, 4, 3, 3, 1), {}
    for key, value in state.items():
        inner = _mobile(key)
        if inner is not None:
            block, place, what = inner
            stage, left = 1, block - 1
            while left >= counts[stage - 1]:
                left -= counts[stage - 1]
                stage += 1
            kind = "bn" if place % 2 else "conv.net" if place == 0 and block in (3, 5) else "conv"
            key = f"layer{stage}.{left}.conv.{place // 2}.{kind}.{what}"
        else:
            key = key.replace("features.0.0", "conv1.conv").replace("features.0.1", "conv1.bn")
            key = key.replace("features.18.0", "conv2.conv").replace("features.18.1", "conv2.bn")
        found["backbone." + key] = value
    return found


def test_torchvision_keys_fill_the_whole_network(tmp_path: Path) -> None:
    state = random_state(resnet18(10))
    network = resnet18()
    found = fill(network, saved(tmp_path / "w.pth", state))
    assert (found.layout, found.missing, found.mismatched) == ("torchvision", (), ())
    assert set(found.unused) == {"fc.weight", "fc.bias"}
    assert torch.equal(network.state_dict()["layer3.1.conv2.weight"], state["layer3.1.conv2.weight"])


@pytest.mark.parametrize("layout", ["TSM", "mmaction2"])
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
def test_other_layouts_give_the_same_network(tmp_path: Path, layout: str, backbone: str) -> None:
    build = resnet50 if backbone == "resnet50" else MobileNetV2
    state = random_state(build())
    rewrite = {
        ("TSM", "resnet50"): tsm_resnet,
        ("TSM", "mobilenet_v2"): tsm_mobile,
        ("mmaction2", "resnet50"): mmaction_resnet,
        ("mmaction2", "mobilenet_v2"): mmaction_mobile,
    }[layout, backbone]
    network = build()
    found = fill(network, saved(tmp_path / "w.pth", {"state_dict": rewrite(state), "epoch": 3}))
    assert (found.layout, found.missing, found.mismatched, found.two_way) == (layout, (), (), True)
    after = network.state_dict()
    for key, value in state.items():
        assert torch.equal(after[key], value), key


def test_missing_and_mismatched_keys_are_reported_and_the_rest_is_filled(tmp_path: Path) -> None:
    state = random_state(resnet18())
    del state["layer1.0.conv1.weight"]
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    found = fill(resnet18(), saved(tmp_path / "w.pth", state))
    assert found.missing == ("layer1.0.conv1.weight",)
    assert found.mismatched == (("conv1.weight", (64, 1, 7, 7), (64, 3, 7, 7)),)
    assert "missing: layer1.0.conv1.weight" in str(found)


def extractor(config: FrameConfig) -> FrameFeatures:
    return FrameFeatures(config, 10.0)


def test_two_way_weights_are_refused_unless_they_are_fine_tuned(tmp_path: Path) -> None:
    path = str(saved(tmp_path / "w.pth", tsm_resnet(random_state(resnet18()))))
    config = FrameConfig(height=32, width=32, backbone="resnet18", weights=path)
    with pytest.raises(WeightsError, match="two-way"):
        begin_with(extractor(config), config)
    willing = config.model_copy(update={"fine_tune_two_way": True})
    assert begin_with(extractor(willing), willing).two_way


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    path = str(saved(tmp_path / "w.pth", random_state(resnet50())))
    config = FrameConfig(height=32, width=32, backbone="resnet18", weights=path)
    with pytest.raises(WeightsError, match="does not fit resnet18"):
        begin_with(extractor(config), config)


def test_a_file_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Nasty:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (ran,)

    with pytest.raises(WeightsError, match="weights alone"):
        read_state(saved(tmp_path / "w.pth", {"state_dict": Nasty()}))
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"", b"random bytes, no archive"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError):
        read_state(tmp_path / "w.pth")


def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no tensors"):
        read_state(saved(tmp_path / "w.pth", {"epoch": 3}))


def test_a_digest_in_the_name_must_be_the_files(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", random_state(nn.Linear(2, 2)))
    right = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    good, bad = tmp_path / f"net-{right}.pth", tmp_path / "net-00000000.pth"
    good.write_bytes(path.read_bytes())
    bad.write_bytes(path.read_bytes())
    assert set(read_state(good)) == {"weight", "bias"}
    with pytest.raises(WeightsError, match="does not begin with 00000000"):
        read_state(bad)


def test_a_name_that_nobody_published_is_refused() -> None:
    config = FrameConfig(height=32, width=32, backbone="resnet18", weights="no-such-weights")
    with pytest.raises(WeightsError, match="none of the published"):
        begin_with(extractor(config), config)


def test_other_weights_make_another_extractor(tmp_path: Path) -> None:
    config = FrameConfig(backbone="resnet18", shift=False, frozen=True)
    names = {extractor_id(config)}
    for seed in (0, 1):
        path = saved(tmp_path / f"{seed}.pth", random_state(nn.Linear(2, 2), seed))
        names.add(extractor_id(config.model_copy(update={"weights": str(path)})))
    assert len(names) == 3


def test_plain_keys_stay_as_they_are() -> None:
    state, layout, shifted = remapped({"features.2.conv.0.0.weight": torch.zeros(1)})
    assert (list(state), layout, shifted) == (["features.2.conv.0.0.weight"], "torchvision", False)


def test_the_shared_imagenet_weights_see_a_cat_and_a_bird(shared_data: Path) -> None:
    network = MobileNetV2(classes=1000)
    found = fill(network, shared_data / "weights" / "mobilenet_v2_imagenet.pth")
    assert (found.missing, found.mismatched, found.unused) == ((), (), ())
    features = extractor(FrameConfig(height=224, width=224, backbone="mobilenet_v2", shift=False))
    network.eval()
    for name, wanted in (("cat", range(281, 286)), ("bird", range(8, 25))):
        image = cv2.imread(str(shared_data / "weights" / "test_images" / f"{name}.png"))
        assert image is not None
        rgb = fit_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), 224, 224, "stretch")
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = network.classify((x - features.mean) / features.std)
        assert int(logits.argmax()) in wanted
