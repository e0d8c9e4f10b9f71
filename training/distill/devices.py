"""Where a fit computes: `auto`, `cpu` or `cuda`, the words that the server uses too."""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from inkling.training.errors import ConfigError, DeviceError

DEVICES = ("auto", "cpu", "cuda")

# At level INFO Fabric announces every process that it starts.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


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


def make_fabric(device: str, devices: int = 1) -> Fabric:
    """Lightning Fabric on `cpu` or `cuda`; several devices are processes of this machine that Fabric starts.

    Its precision stays float32: its mixed precision would round positions in pixels to bfloat16 before the network sees
    them. Running statistics are not broadcast at every step: the loop averages them once an epoch.
    """
    strategy = DDPStrategy(start_method="spawn", forward_sync_buffers=False) if devices > 1 else "auto"
    # Named here, or Fabric would take the variables of a cluster's job scheduler for orders.
    return Fabric(accelerator=device, devices=devices, strategy=strategy, plugins=[LightningEnvironment()])
