"""Published weights of backbones: one loader for the layouts they come in, which tells what it matched.

torchvision's keys are ours. TSM's own files and those of mmaction2 are unwrapped and their keys rewritten. Files are
opened with `weights_only`, so nothing in them is run, and a file whose name carries a digest must have it.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inkling.models.networks import FrameConfig, FrameFeatures
from inkling.models.networks.mobilenet import PLAN
from inkling.models.resize import PIXELS_VERSION
from inkling.training.errors import TrainingError
from inkling.training.networks.published import PUBLISHED, weights_folder

_NAMED_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[a-z.]+$")


class WeightsError(TrainingError):
    """Weights that cannot be read, are not what their name says, or do not belong to the network."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What a file filled. mismatched: (key, shape in the file, shape in the network). unused: keys of the file."""

    layout: str
    two_way: bool
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.layout}: {len(self.matched)} keys matched, {len(self.missing)} missing, "
                 f"{len(self.mismatched)} of another shape, {len(self.unused)} unused"]  # fmt: skip
        lines += [f"  missing: {key}" for key in self.missing]
        lines += [f"  {key}: {list(have)} in the file, {list(want)} here" for key, have, want in self.mismatched]
        return "\n".join(lines)


def begin_with(extractor: nn.Module, config: FrameConfig) -> Matched:
    """Fill an extractor's backbone with the weights that its configuration names. Raises WeightsError.

    Two-way TSM weights are refused unless the configuration says that they are fine-tuned.
    """
    if not isinstance(extractor, FrameFeatures) or config.weights is None:
        raise WeightsError("only backbones that see frames begin with published weights")
    found = fill(extractor.backbone, weights_file(config.weights), one_way=_is_one_way(config.weights))
    if found.two_way and not config.fine_tune_two_way:
        raise WeightsError(
            f"{config.weights}: two-way TSM weights expect channels of the next frame; in a one-way network they are "
            "only a beginning. Set fine_tune_two_way = true (and do not freeze them)"
        )
    if found.missing or found.mismatched:
        raise WeightsError(f"{config.weights} does not fit {config.backbone}: {found}")
    return found


def fill(network: nn.Module, path: Path, *, one_way: bool = False) -> Matched:
    """Copy what fits from a file into a network and report it; the network is unchanged where nothing fits.

    one_way: temporal shift in the file is known to be online. Raises WeightsError when the file cannot be read.
    """
    state, layout, shifted = remapped(read_state(path))
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    fitting = {key: value for key, value in state.items() if key in wanted and value.shape == wanted[key].shape}
    mismatched = tuple(
        (key, tuple(state[key].shape), tuple(value.shape))
        for key, value in wanted.items()
        if key in state and key not in fitting
    )
    if fitting:
        network.load_state_dict(fitting, strict=False)
    return Matched(
        layout,
        shifted and not one_way,
        tuple(fitting),
        tuple(key for key in wanted if key not in state),
        mismatched,
        tuple(k for k in state if k not in network.state_dict()),
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, taken out of whatever wraps them. Raises WeightsError."""
    check_named_digest(path)
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read as weights alone"
        raise WeightsError(f"{path}: {reason}") from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    state = {key: value for key, value in found.items() if isinstance(value, Tensor)} if hasattr(found, "items") else {}
    if not state:
        raise WeightsError(f"{path}: holds no tensors by name")
    while all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def remapped(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str, bool]:
    """Rewrite keys to torchvision's: (state, layout, whether its convolutions were shifted)."""
    shifted = any(".net." in key for key in state)
    plain = {key.replace(".net.", "."): value for key, value in state.items()}
    if any(key.startswith("backbone.") for key in plain):
        layout, rename = "mmaction2", _from_mmaction
    elif any(key.startswith("base_model.") for key in plain):
        layout, rename = "TSM", _from_tsm
    else:
        return plain, "torchvision", shifted
    mobile = any(key.endswith("conv.0.conv.weight") or ".conv.7." in key for key in plain)
    return {rename(key, mobile): value for key, value in plain.items()}, layout, shifted


def _from_tsm(key: str, mobile: bool) -> str:
    """MobileNetV2's blocks are flat there: convolution, norm, activation, one after the other."""
    key = key.removeprefix("base_model.").replace("new_fc.", "fc.")
    found = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", key) if mobile else None
    if found is None:
        return key
    block, place, what = int(found[1]), int(found[2]), found[3]
    units = 1 if block == 1 else 2  # the first block does not expand
    inner = f"{place // 3}.{place % 3}" if place < 3 * units else str(units + place - 3 * units)
    return f"features.{block}.conv.{inner}.{what}"


def _from_mmaction(key: str, mobile: bool) -> str:
    """Convolution and norm are one module there; MobileNetV2's blocks are counted by stage."""
    key = key.removeprefix("backbone.")
    if not mobile:
        key = re.sub(r"conv(\d)\.conv\.", r"conv\1.", key)
        key = re.sub(r"conv(\d)\.bn\.", r"bn\1.", key)
        return key.replace("downsample.conv.", "downsample.0.").replace("downsample.bn.", "downsample.1.")
    found = re.fullmatch(r"conv([12])\.(conv|bn)\.(\w+)", key)
    if found is not None:
        return f"features.{0 if found[1] == '1' else 18}.{0 if found[2] == 'conv' else 1}.{found[3]}"
    found = re.fullmatch(r"layer(\d)\.(\d)\.conv\.(\d)\.(conv|bn)\.(\w+)", key)
    if found is None:
        return key
    stage, unit, norm = int(found[1]), int(found[3]), found[4] == "bn"
    block = 1 + sum(count for _, _, count, _ in PLAN[: stage - 1]) + int(found[2])
    last = 1 if block == 1 else 2
    inner = f"{unit}.{int(norm)}" if unit < last else str(unit + norm)
    return f"features.{block}.conv.{inner}.{found[5]}"


def check_named_digest(path: Path, name: str | None = None) -> None:
    """Raise WeightsError when the file's name carries a digest that is not the file's."""
    found = _NAMED_DIGEST.search(name or path.name)
    if found is not None and path.exists() and not digest(path).startswith(found[1]):
        raise WeightsError(f"{path}: its sha256 does not begin with {found[1]}, as its name says; fetch it again")


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_file(name: str) -> Path:
    """The file of a published name, or of a path. Raises WeightsError when it is not there."""
    if name in PUBLISHED:
        path = weights_folder() / PUBLISHED[name].file
        if not path.exists():
            raise WeightsError(f"{name} has not been fetched yet: inkling train weights {name}")
        return path
    path = Path(name)
    if not path.exists():
        raise WeightsError(f"{name}: no such file, and none of the published weights ({', '.join(PUBLISHED)})")
    return path


def _is_one_way(name: str) -> bool:
    return name in PUBLISHED and PUBLISHED[name].one_way


def extractor_id(config: FrameConfig) -> str:
    """What decides a frozen backbone's features: backbone, weights (by content), and the preprocessing."""
    weights = digest(weights_file(config.weights))[:16] if config.weights is not None else "random"
    return f"{config.backbone}-{weights}-pixels{PIXELS_VERSION}"
