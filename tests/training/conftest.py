from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inkling.training.fit import fit
from inkling.training.run import Run
from tests.training.support import tiny_recipe, write_stick_set

torch.set_num_threads(1)  # the networks here are tiny: threads would only wait for each other


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A finished run of `tiny_recipe` on `sticks`, and the directory its data set paths start at. Read only."""
    data = tmp_path_factory.mktemp("data")
    write_stick_set(data / "sticks")
    return fit(tiny_recipe(), tmp_path_factory.mktemp("runs") / "run", data, device="cpu"), data
