from __future__ import annotations

import pytest
import torch

from inkling.training.distill.devices import make_fabric, resolve_device
from inkling.training.errors import ConfigError, DeviceError


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_in_a_sentence() -> None:
    with pytest.raises(DeviceError, match=r"no CUDA GPU here; use device cpu, or auto$"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("auto", 2) == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_more_gpus_than_there_are_are_refused() -> None:
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    with pytest.raises(DeviceError, match="or fewer"):
        resolve_device("cuda", torch.cuda.device_count() + 1)


@pytest.mark.parametrize(("device", "devices"), [("gpu", 1), ("", 1), ("cpu", 0)])
def test_other_words_and_counts_are_refused(device: str, devices: int) -> None:
    with pytest.raises(ConfigError):
        resolve_device(device, devices)


def test_the_variables_of_a_job_scheduler_are_no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "1"}.items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric("cpu")
    assert (fabric.world_size, fabric.global_rank, fabric.device.type) == (1, 0, "cpu")
