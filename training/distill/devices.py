"""Where a fit computes: `auto`, `cpu` or `cuda`, the words that the server uses too."""

from __future__ import annotations

import torch

from inkling.training.errors import ConfigError, DeviceError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(device: str, devices: int = 1) -> str:
    """`cpu` or `cuda`; `auto` is `cuda` where there is one.

    devices: how many are needed. Raises DeviceError where there are not so many, ConfigError for another word.
    """
    if device not in DEVICES:
        raise ConfigError(f"there is no device {device!r}: choose one of {', '.join(DEVICES)}")
    if devices < 1:
        raise ConfigError(f"a fit needs at least one device, not {devices}")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not there):
        return "cpu"
    if not there:
        raise DeviceError("device cuda: PyTorch finds no CUDA GPU here; use device cpu, or auto")
    if there < devices:
        raise DeviceError(f"{devices} devices are asked for, and there are {there} CUDA GPUs: ask for {there} or fewer")
    return "cuda"
