"""Files written all or nothing: text, and the weights of a network."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights, all or nothing."""
    scratch = path.with_suffix(".partial")
    torch.save(network.state_dict(), scratch)
    scratch.replace(path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with `save_weights` weights, without unpickling anything but tensors."""
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def write_text(path: Path, text: str) -> None:
    """Write a file, all or nothing, also across a power cut."""
    scratch = path.with_suffix(path.suffix + ".partial")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
