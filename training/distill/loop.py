"""The training loop: epochs of batches, averaged weights, validation, and the choice of the epoch that is kept.

Every batch and its dropout are drawn from the seed, the epoch and the batch's number alone. So a fit that was killed
continues from its last checkpoint to the weights of an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, Literal, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from inkling.training.distill.checkpoint import FitState
from inkling.training.distill.curves import Curves
from inkling.training.distill.devices import make_fabric, resolve_device
from inkling.training.distill.epoch import Epoch, EpochSeen, FitProgress
from inkling.training.distill.learner import Learner
from inkling.training.distill.processes import train_in_processes
from inkling.training.scores import RATIOS, at_ratios
from inkling.training.seeds import mixed_seed


def train(
    learner: Learner,
    checkpoints: Path | None = None,
    curves: Path | None = None,
    *,
    device: str = "auto",
    devices: int = 1,
    stage: str = "",
    progress: FitProgress | None = None,
    report: Callable[[str], None] | None = None,
) -> float:
    """Train to the last epoch; returns the validation AUC of what is kept, NaN where there are no validation clips.

    Afterwards `learner.network` is on the CPU, in evaluation mode, and has the averaged weights of the epoch that the
    recipe keeps.

    Args:
        checkpoints: a folder for `last.ckpt`, written after every epoch. Training continues from it where it exists.
        curves: a folder for TensorBoard's curves.
        device: `auto`, `cpu` or `cuda`.
        devices: how many processes train together, each on a device of its own (`processes`).
        stage: what `progress` is to call this training.
        report: receives a line about every epoch.

    Raises:
        DeviceError: the device is not there.
        ConfigError: the checkpoint is of another release or of another network.
    """
    kind = resolve_device(device, devices)

    def seen(epoch: Epoch) -> None:
        if progress is not None:
            progress.epoch(stage, epoch.done, epoch.total, epoch.loss, epoch.auc)
        if report is not None:
            report(str(epoch))

    watched = seen if progress is not None or report is not None else None
    fabric = make_fabric(kind, devices)
    if devices == 1:
        return optimise(fabric, learner, checkpoints, curves, watched)
    FitState.begin(learner, checkpoints)  # refuses a checkpoint before any process is started
    return train_in_processes(fabric, optimise, learner, checkpoints, curves, watched)


def optimise(
    fabric: Fabric, learner: Learner, checkpoints: Path | None, curves: Path | None, seen: EpochSeen | None
) -> float:
    """As `train`, in this process alone or together with the other processes of `fabric`."""
    fit = learner.fit_config
    learner.to(fabric.device)
    state = FitState.begin(learner, checkpoints)
    steps = _Steps(fabric, state)
    measured = seen is not None or curves is not None
    with ExitStack() as stack:
        drawn = stack.enter_context(Curves(curves)) if curves is not None and fabric.is_global_zero else None
        for number in range(state.epochs_done, fit.epochs):
            losses = steps.epoch(number, measured)
            last = number + 1 == fit.epochs
            wanted = learner.validation and (measured or last or learner.select == "best")
            accuracies, auc = _validate(fabric, learner) if wanted else ((), math.nan)
            epoch = Epoch(number + 1, fit.epochs, losses, accuracies, auc)
            if wanted:
                state.keep_best(auc)
            state.epochs_done = number + 1
            if drawn is not None:
                drawn.add(epoch)
            if checkpoints is not None and fabric.is_global_zero:
                state.save(checkpoints)
            if seen is not None and fabric.is_global_zero:
                seen(epoch)
    weights, auc = state.chosen()
    learner.network.load_state_dict(weights)
    learner.to(torch.device("cpu"))
    learner.network.eval()
    return auc


class _Objective(nn.Module):
    """The parts of a learner's loss for a batch, as the one call that Fabric wraps."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.network = learner.network
        self.learner = learner

    def forward(self, batch: Any) -> dict[str, Tensor]:
        with self._precision(batch.x.device.type):
            return self.learner.losses(batch)

    def _precision(self, device: str) -> AbstractContextManager[Any]:
        """Of matrix products. Everything else, and all measuring, is in float32."""
        if self.learner.fit_config.precision == "bfloat16":
            return torch.autocast(device, torch.bfloat16)
        return nullcontext()


class _Steps:
    """The optimiser's steps through the batches of an epoch."""

    def __init__(self, fabric: Fabric, state: FitState) -> None:
        self.fabric, self.state, self.learner = fabric, state, state.learner
        self.objective, self.optimiser = fabric.setup(_Objective(state.learner), state.optimiser)

    def epoch(self, number: int, measured: bool) -> dict[str, float]:
        """Train on the batches of an epoch; returns the mean of each part of the loss where it is `measured`."""
        fabric, learner, seed = self.fabric, self.learner, self.learner.drawing.seed
        self.objective.train()
        rank = (fabric.global_rank,) if fabric.global_rank else ()
        sums: dict[str, Tensor] = {}
        clips = 0
        for index, batch in enumerate(learner.batches(number, fabric.global_rank, fabric.world_size)):
            torch.manual_seed(mixed_seed(seed, number, index, 3, *rank))  # for dropout
            parts = self.objective(batch.to(fabric.device))
            self._step(torch.stack(list(parts.values())).sum())
            if measured:
                count = len(batch.lengths)
                clips += count
                sums = {name: sums.get(name, 0.0) + count * value.detach() for name, value in parts.items()}
        if fabric.world_size > 1:
            self._agree()
        return {name: float(_reduced(fabric, total / clips, "mean")) for name, total in sums.items()}

    def _step(self, loss: Tensor) -> None:
        fit, fabric = self.learner.fit_config, self.fabric
        self.optimiser.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(self.objective, self.optimiser, max_norm=fit.clip_norm, error_if_nonfinite=False)
        self.optimiser.step()
        self.state.schedule.step()
        self.learner.average.update_parameters(self.learner.network)

    def _agree(self) -> None:
        """Give all processes the mean of their running statistics, each of which has seen other clips."""
        networks = (self.learner.network, self.state.averaged)
        for network in networks:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(_reduced(self.fabric, buffer.clone(), "mean"))


def _reduced(fabric: Fabric, value: Tensor, how: Literal["mean", "sum"]) -> Tensor:
    """The mean or the sum of a tensor over all processes."""
    return cast(Tensor, fabric.all_reduce(value, reduce_op=how))


@torch.no_grad()
def _validate(fabric: Fabric, learner: Learner) -> tuple[tuple[float, ...], float]:
    """Accuracy of the averaged weights on the validation clips at each observation ratio, and its mean, the AUC."""
    network = learner.average.module.eval()
    right = torch.zeros(len(RATIOS), dtype=torch.int64, device=fabric.device)
    for batch in learner.validation[fabric.global_rank :: fabric.world_size]:
        batch = batch.to(fabric.device)
        logits = at_ratios(learner.answer(network, batch), batch.lengths, batch.leads)
        right += (logits.argmax(-1) == batch.targets[:, None]).sum(0)
    counts: list[int] = _reduced(fabric, right, "sum").tolist()
    clips = sum(len(batch.targets) for batch in learner.validation)
    # From whole numbers: equal epochs have equal AUCs, and the first of them is kept.
    return tuple(count / clips for count in counts), sum(counts) / (clips * len(RATIOS))
