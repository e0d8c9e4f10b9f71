"""Where a fit computes: the names that users give, as the server has them, and whether the device is there."""

from __future__ import annotations

import torch

from inkling.training.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda")


def checked_device(device: str, devices: int = 1) -> str:
    """`cpu` or `cuda` for what a user asked for, of which there are at least `devices`. Raises DeviceError.

    device: auto (a GPU where there is one), cpu or cuda; `gpu` is cuda's old name.
    """
    if device not in (*DEVICES, "gpu"):
        raise DeviceError(f"device {device!r} is not known; there are {', '.join(DEVICES)}")
    if devices < 1:
        raise DeviceError(f"a fit needs at least one device, not {devices}")
    there = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not there):
        return "cpu"
    if not there:
        raise DeviceError("torch finds no NVIDIA GPU here; leave --device out, or say --device cpu")
    if devices > there:
        raise DeviceError(f"there are {there} GPUs here, not {devices}; say --devices {there}, or --device cpu")
    return "cuda"
