"""The state of an unfinished fit in a file, from which a killed one continues to the same weights."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from inkling.training.distill.learner import Learner
from inkling.training.distill.optimiser import make_optimiser
from inkling.training.errors import ConfigError

CHECKPOINT_FILE = "last.ckpt"
FORMAT = "inkling-fit-1"

Weights = dict[str, Tensor]


@dataclass(slots=True)
class FitState:
    """Everything that the next epoch depends on, and the best weights so far.

    auc: of the last validated epoch, NaN where none was. best_weights: of the averaged network, in the epoch with the
    highest AUC; None where no epoch was validated.
    """

    learner: Learner
    optimiser: torch.optim.Optimizer
    schedule: LambdaLR
    epochs_done: int = 0
    auc: float = math.nan
    best_auc: float = -math.inf
    best_weights: Weights | None = None

    @classmethod
    def begin(cls, learner: Learner, checkpoints: Path | None) -> Self:
        """Before the first epoch, or where `last.ckpt` of the folder was written. Raises ConfigError.

        The learner is on the device where it is trained.
        """
        optimiser, schedule = make_optimiser(learner.network.parameters(), learner.fit_config, len(learner.examples))
        state = cls(learner, optimiser, schedule)
        if checkpoints is not None and (checkpoints / CHECKPOINT_FILE).exists():
            state._continue(checkpoints)
        return state

    @property
    def averaged(self) -> nn.Module:
        """The network whose weights are averages over the steps."""
        network: nn.Module = self.learner.average.module
        return network

    def keep_best(self, auc: float) -> None:
        """Note the AUC of the averaged weights, and keep them where none were better."""
        self.auc = auc
        if auc > self.best_auc:
            self.best_auc = auc
            self.best_weights = {name: value.clone() for name, value in self.averaged.state_dict().items()}

    def chosen(self) -> tuple[Weights, float]:
        """The weights that the recipe keeps, and their AUC; NaN without validation clips."""
        if self.learner.select == "best" and self.best_weights is not None:
            return self.best_weights, self.best_auc
        return self.averaged.state_dict(), self.auc

    def save(self, directory: Path) -> None:
        """Write `last.ckpt`, all or nothing."""
        directory.mkdir(parents=True, exist_ok=True)
        scratch = directory / f"{CHECKPOINT_FILE}.partial"
        torch.save(self._fields(), scratch)
        scratch.replace(directory / CHECKPOINT_FILE)

    def _fields(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "network": self.learner.network.state_dict(),
            "average": self.learner.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epochs_done": self.epochs_done,
            "auc": self.auc,
            "best_auc": self.best_auc,
            "best_weights": self.best_weights,
        }

    def _continue(self, directory: Path) -> None:
        path = directory / CHECKPOINT_FILE
        try:
            fields = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(fields, dict) or fields.get("format") != FORMAT:
                raise ConfigError(f"{path} was written by another release. {_advice(directory)}")
            self.learner.network.load_state_dict(fields["network"])
            self.learner.average.load_state_dict(fields["average"])
            self.optimiser.load_state_dict(fields["optimiser"])
            self.schedule.load_state_dict(fields["schedule"])
        except (OSError, EOFError, LookupError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            raise ConfigError(f"{path} cannot be continued from. {_advice(directory)}") from error
        self.epochs_done, self.auc = fields["epochs_done"], fields["auc"]
        self.best_auc, self.best_weights = fields["best_auc"], fields["best_weights"]


def _advice(directory: Path) -> str:
    return f"Remove the folder {directory} to train this network from its beginning"
