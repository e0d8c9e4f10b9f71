"""The curves of a fit, for TensorBoard."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from inkling.training.distill.epoch import Epoch
from inkling.training.scores import RATIOS

SHOWN_RATIOS = (1, 4, 9)
"""Indices of the observation ratios with a curve of their own: a fifth, half and all of a clip."""


class Curves(AbstractContextManager["Curves"]):
    """Writes the figures of epochs into a directory: `loss`, its parts, `auc`, and `accuracy` at some ratios."""

    def __init__(self, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

        self._writer: Any = SummaryWriter(directory)

    def add(self, epoch: Epoch) -> None:
        """Write the figures of an epoch, by its number."""
        figures = {"loss": epoch.loss} | {f"loss/{name}": value for name, value in epoch.losses.items()}
        if epoch.accuracies:
            figures["auc"] = epoch.auc
            figures |= {f"accuracy/{RATIOS[i]:.0%}": epoch.accuracies[i] for i in SHOWN_RATIOS}
        for name, value in figures.items():
            self._writer.add_scalar(name, value, epoch.done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
