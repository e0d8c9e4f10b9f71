"""One network being optimised, in Lightning: losses, averaged weights, validation, checkpoints.

The averaged weights are the ones validated and kept. Every epoch draws its batches and its dropout from the
seed and the epoch alone, which makes a resumed run equal to an uninterrupted one.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from inkling.models.networks import Student, Teacher
from inkling.training.data.corpus import Example
from inkling.training.data.folds import Fold
from inkling.training.data.loader import Batch, Drawing, plain_batches, training_batches
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.epoch import FitProgress
from inkling.training.distill.losses import classification_loss, self_distillation_loss, teacher_student_loss
from inkling.training.labels import UNLABELLED
from inkling.training.recipe.sections import Distillation, Fit
from inkling.training.scores import RATIOS, at_ratios
from inkling.training.seeds import mixed_seed

Select = Literal["best", "last"]


class Learner(lightning.LightningModule):
    """Optimises `network` on a fold. Subclasses say what is lost; `answer` runs a network over a batch."""

    def __init__(self, network: nn.Module, fold: Fold, fit: Fit, drawing: Drawing, select: Select) -> None:
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=_ramped(fit.ema)).requires_grad_(False)
        self.examples: Sequence[Example] = fold.train
        self.validation = [batch for _, batch in plain_batches(fold.val)]
        self.fit_config, self.drawing, self.select = fit, drawing, select
        self.register_buffer("score", torch.zeros((), dtype=torch.float64))  # in each checkpoint, its own AUC
        self._right: list[Tensor] = []

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits (B, T, K) of a network for a batch."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named parts of the loss, weighted; their sum is minimised."""
        raise NotImplementedError

    def classification(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss of logits (B, T, K) by labels."""
        fit = self.fit_config
        return classification_loss(logits, batch.step_targets, batch.weight, fit.label_smoothing, fit.late)

    @property
    def labelled_only(self) -> bool:
        """Whether unlabelled clips add nothing to the loss."""
        return True

    def batches(self, epoch: int) -> DataLoader[Example]:
        """The batches of an epoch."""
        size = self.fit_config.batch_size
        return training_batches(self.examples, self.drawing, size, epoch, self.labelled_only)

    # -- Lightning's hooks ------------------------------------------------------------------------------------
    def train_dataloader(self) -> DataLoader[Example]:
        return self.batches(self.trainer.current_epoch)

    def val_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.validation, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device)

    def on_train_batch_start(self, batch: Batch, index: int) -> None:
        # for dropout; by batch, since a resumed epoch begins with other draws of Lightning's and DataLoader's own
        torch.manual_seed(mixed_seed(self.drawing.seed, self.trainer.current_epoch, index, 3))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        parts = self.losses(batch)
        total = torch.stack(list(parts.values())).sum()
        shown = {f"loss/{name}": value.detach() for name, value in parts.items()} | {"loss": total.detach()}
        self.log_dict(shown, on_step=False, on_epoch=True, batch_size=len(batch.lengths))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        self.average.update_parameters(self.network)

    def validation_step(self, batch: Batch, index: int) -> None:
        logits = at_ratios(self.answer(self.average.module, batch), batch.lengths, batch.leads)
        self._right.append(logits.argmax(-1) == batch.targets[:, None])

    def on_validation_epoch_end(self) -> None:
        right = torch.cat(self._right).double().mean(0)
        self._right.clear()
        self.score = right.mean()
        self.log("auc", self.score, batch_size=1)
        picked = {f"accuracy/{RATIOS[i]:.0%}": right[i] for i in (1, 4, 9)}
        self.log_dict(picked, batch_size=1)

    def configure_optimizers(self) -> Any:
        fit, parameters = self.fit_config, self.network.parameters()
        optimiser: torch.optim.Optimizer
        if fit.optimiser == "adamw":
            optimiser = torch.optim.AdamW(parameters, fit.learning_rate, weight_decay=fit.weight_decay, fused=True)
        else:
            optimiser = torch.optim.SGD(parameters, fit.learning_rate, fit.momentum, weight_decay=fit.weight_decay)
        steps = fit.epochs * math.ceil(len(self.examples) / fit.batch_size)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, steps, fit))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class TeacherLearner(Learner):
    """The teacher: classification of labelled clips, at every step with the whole clip in view."""

    network: Teacher

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch.x, batch.lengths)
        return logits.float()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.answer(self.network, batch)
        return {"classification": self.classification(logits, batch)}


class StudentLearner(Learner):
    """The student: L = L_cls + alpha L_ts + beta L_self (paper A, equation 4). Unlabelled clips have the last two."""

    network: Student

    def __init__(
        self,
        network: Student,
        fold: Fold,
        fit: Fit,
        drawing: Drawing,
        select: Select,
        *,
        teacher: Teacher | Ensemble | None,
        distillation: Distillation,
        lead: int,
        answers: Tensor | None = None,
    ) -> None:
        """answers: (N, K) log-probabilities that `Example.answer` counts into, instead of a teacher's at each step."""
        super().__init__(network, fold, fit, drawing, select)
        # in a list, so that the frozen teacher is no part of this module's weights and checkpoints
        self._teacher = [teacher.eval().requires_grad_(False)] if teacher is not None else []
        # a parameter-free or frozen extractor gives teacher and student the same features, once computed
        self._same_features = not any(p.requires_grad for p in network.extractor.parameters())
        self.distillation = distillation
        self.answers = answers
        self.lead = lead

    @property
    def labelled_only(self) -> bool:
        return not self._teacher and self.answers is None and self.distillation.beta == 0

    def on_fit_start(self) -> None:
        for teacher in self._teacher:
            teacher.to(self.device)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch.x)
        return logits

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, weight = self.network.features(batch.x), batch.weight
        logits = self.network.forward_features(features).float()
        wish = self.distillation
        parts = {"classification": self.classification(logits, batch)}
        for teacher in self._teacher:
            with torch.no_grad():
                seen = features if self._same_features else teacher.features(batch.x)
                target = teacher.forward_features(seen, batch.lengths).float()
            parts["teacher"] = wish.alpha * teacher_student_loss(
                logits, target, weight, wish.temperature, self._share(batch)
            )
        if self.answers is not None and batch.step_answers is not None:
            target = self.answers.to(logits.device)[batch.step_answers.clamp(min=0)]
            known = weight * (batch.step_answers != UNLABELLED)
            parts["teacher"] = wish.alpha * teacher_student_loss(
                logits, target, known, wish.temperature, self._share(batch)
            )
        if wish.beta > 0:
            parts["self"] = wish.beta * self_distillation_loss(
                logits, weight, self.lead, wish.temperature, batch.step_targets
            )
        return parts

    def _share(self, batch: Batch) -> Tensor | None:
        """(B,) how much the teacher counts on each clip; None where it is the same for all."""
        if self.distillation.unlabelled == 1:
            return None
        labelled = (batch.step_targets != UNLABELLED).any(1)
        return torch.where(labelled, 1.0, self.distillation.unlabelled)


def rate_at(step: int, steps: int, fit: Fit) -> float:
    """Share of the learning rate at an optimiser step: linear warm-up, then as the schedule says."""
    warm = fit.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if fit.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))


def train(
    learner: Learner,
    checkpoints: Path,
    curves: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    stage: str = "",
    progress: FitProgress | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> float:
    """Train to the last epoch, from `checkpoints/last.ckpt` where there is one; returns the validation AUC, NaN where
    there are no validation clips.

    Afterwards `learner.network` has the averaged weights of the epoch that its recipe keeps.
    """
    # Two keepers, best first: Lightning's own `save_last` writes only when the best one does.
    keeper = partial(ModelCheckpoint, checkpoints, save_on_train_epoch_end=True, enable_version_counter=False)
    keepers = [keeper("best", monitor="auc", mode="max")] if learner.validation else []
    keepers.append(keeper("last"))
    last = checkpoints / "last.ckpt"
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=device,
            devices=devices,
            max_epochs=learner.fit_config.epochs,
            precision="bf16-mixed" if learner.fit_config.precision == "bfloat16" else "32-true",
            gradient_clip_val=learner.fit_config.clip_norm,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            limit_val_batches=None if learner.validation else 0,
            callbacks=[_Narrator(report, stage, progress), *keepers],
            logger=TensorBoardLogger(curves.parent, name=curves.name, version=""),
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=checkpoints,
        )
        trainer.fit(learner, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    kept = torch.load(last if learner.select == "last" else checkpoints / "best.ckpt", "cpu", weights_only=True)
    learner.load_state_dict(kept["state_dict"])
    learner.network.load_state_dict(learner.average.module.state_dict())
    learner.to("cpu")
    return float(learner.score) if learner.validation else math.nan


class _Narrator(Callback):
    """A line for every epoch."""

    def __init__(self, report: Callable[[str], None], stage: str, progress: FitProgress | None) -> None:
        self.report, self.stage, self.progress = report, stage, progress

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        metrics = trainer.callback_metrics
        validated = f"  validation AUC {100 * float(metrics['auc']):.1f}" if "auc" in metrics else ""
        loss = float(metrics["loss"])
        done, total = trainer.current_epoch + 1, trainer.max_epochs or 0
        if self.progress is not None:
            self.progress.epoch(self.stage, done, total, loss, float(metrics.get("auc", math.nan)))
        self.report(f"epoch {done}/{total}  loss {loss:.3f}{validated}")


def _ramped(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential averaging that forgets the first steps quickly: decay min(decay, (1 + n) / (10 + n)) at update n."""

    @torch.no_grad()
    def update(average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(list(average), list(current), 1 - min(decay, (1 + n) / (10 + n)))

    return update


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice about workers and logging is for other data than ours, which lies in memory."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
