"""Two stages: what the scene says, then what the body does in it (paper C: Wang, 'Action Prediction Research Based on
Knowledge Distillation').

The first stage is an LSTM over features of the whole picture; the second an LSTM over the first one's hidden state
beside action features of the joints. Each stage has a classifier, and a teacher that is bidirectional at the same
place; their hidden states have the same width, so that the one can be drawn to the other (equation 3). Two options mend
what the paper's network suffers from on few clips, where the first stage knows the training clips by heart and the
second trusts it: `stop_gradient` and `drop_context`.
"""

from __future__ import annotations

import copy
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from inkling.models.bundle.schema import StateTensor
from inkling.models.networks.dropout import Dropout
from inkling.models.networks.joint_encoder import JointEncoder
from inkling.models.networks.joints_and_picture import JointsAndPicture
from inkling.models.networks.network import Answers, CausalNetwork, Inputs, WholeClipNetwork
from inkling.models.networks.recurrent import Size, Standardised, both_ways, cell_step

CONTEXT, ACTION = "context", "action"
"""Names of the stages; the second one's answer is the network's."""


class TwoStageConfig(BaseModel):
    """The network `two_stage`: a recurrent layer over the picture, and one over its state beside the joints."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cell: Literal["gru", "lstm"] = "lstm"
    """Kind of the recurrent layers."""
    context: Size = 256
    """Units of the first stage. The teacher has half as many in each direction."""
    hidden: Size = 256
    """Units of the second stage. The teacher has half as many in each direction."""
    joints: Literal["encoder", "features"] = "encoder"
    """Action features: `encoder`, convolutions over each joint and then over all (`models.networks.joint_encoder`);
    `features`, a layer over everything that is known of the pose."""
    action: Size = 256
    """Number of action features."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of units that are dropped in training, before the second stage and before each classifier."""
    stop_gradient: bool = False
    """The second stage does not train the first one. False: as in the paper."""
    drop_context: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of training clips in which the second stage does not see the first one's state; a trained network sees it
    scaled by the share in which it did. 0: as in the paper."""

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.context % 2 or self.hidden % 2:
            raise ValueError("context and hidden must be even: a teacher has half of each in either direction")
        return self


class _Parts(nn.Module):
    """What student and teacher have in common: both stages, of which each runs the recurrent layers in its own way."""

    def __init__(self, extractor: JointsAndPicture, classes: int, config: TwoStageConfig, *, both: bool) -> None:
        super().__init__()
        self.config, self.pose_dim = config, extractor.pose_dim
        picture = extractor.dim - extractor.pose_dim
        self.see = Standardised(picture)
        kind = nn.GRU if config.cell == "gru" else nn.LSTM
        share = 2 if both else 1
        self.context = kind(picture, config.context // share, batch_first=True, bidirectional=both)
        self.action = kind(config.context + config.action, config.hidden // share, batch_first=True, bidirectional=both)
        self.joints: nn.Module
        if config.joints == "encoder":
            self.joints = JointEncoder(extractor.pose.joints, extractor.pose.dimensions, config.action)
        else:
            self.joints = nn.Sequential(
                Standardised(extractor.pose_dim),
                nn.Linear(extractor.pose_dim, config.action),
                nn.LayerNorm(config.action),
                nn.GELU(),
            )
        self.dropout = Dropout(config.dropout)
        self.classify_context = nn.Linear(config.context, classes)
        self.classify = nn.Linear(config.hidden, classes)

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, F) -> what the first stage is given (N, V), and the action features (N, A)."""
        return self.see(features[:, self.pose_dim :]), self.joints(features[:, : self.pose_dim])

    def carried(self, context: Tensor) -> Tensor:
        """The first stage's states (B, T, H) or (B, H) as the second stage sees them."""
        config = self.config
        if config.stop_gradient:
            context = context.detach()
        if not config.drop_context:
            return context
        if not self.training:
            return context * (1 - config.drop_context)
        kept = torch.rand(context.shape[0], device=context.device) >= config.drop_context
        return context * kept.to(context.dtype).view(-1, *[1] * (context.dim() - 1))

    def whole(self, features: Tensor, lengths: Tensor | None) -> Answers:
        """(B, T, F) -> all that is known. lengths: of each clip, for a teacher; None: causal."""
        rows, steps = features.shape[:2]
        seen, action = (part.reshape(rows, steps, -1) for part in self.split(features.flatten(0, 1)))
        context = self._ran(self.context, seen, lengths)
        hidden = self._ran(self.action, self.dropout(torch.cat([self.carried(context), action], -1)), lengths)
        heads = {CONTEXT: self.classify_context(self.dropout(context)), ACTION: self.classify(self.dropout(hidden))}
        return Answers(heads, {CONTEXT: context, ACTION: hidden})

    @staticmethod
    def _ran(layer: nn.GRU | nn.LSTM, x: Tensor, lengths: Tensor | None) -> Tensor:
        return layer(x)[0] if lengths is None else both_ways(layer, x, lengths)


class TwoStageStudent(CausalNetwork):
    """The causal network of both stages, on joints and picture."""

    def __init__(self, extractor: JointsAndPicture, classes: int, config: TwoStageConfig) -> None:
        super().__init__()
        self.extractor = extractor
        self.config = config
        self.parts = _Parts(extractor, classes, config, both=False)

    def detailed(self, features: Tensor) -> Answers:
        return self.parts.whole(features, None)

    def state_tensors(self) -> tuple[StateTensor, ...]:
        cells = ("hidden",) if self.config.cell == "gru" else ("hidden", "cell")
        sizes = {CONTEXT: self.config.context, ACTION: self.config.hidden}
        own = [
            StateTensor(input=f"{stage}_{cell}", output=f"next_{stage}_{cell}", shape=(size,))
            for stage, size in sizes.items()
            for cell in cells
        ]
        return (*self._extract.state_tensors(), *own)

    def step(self, x: Inputs, *state: Tensor) -> tuple[Tensor, ...]:
        parts, count = self.parts, len(self._extract.state_tensors())
        cells = 1 if self.config.cell == "gru" else 2
        features, *remembered = self._extract.step(x, *state[:count])
        seen, action = parts.split(features)
        context = cell_step(parts.context, seen, *state[count : count + cells])
        both = parts.dropout(torch.cat([parts.carried(context[0]), action], -1))
        hidden = cell_step(parts.action, both, *state[count + cells :])
        return (parts.classify(parts.dropout(hidden[0])), *remembered, *context, *hidden)

    def merged(self) -> TwoStageStudent:
        return copy.deepcopy(self).eval()


class TwoStageTeacher(WholeClipNetwork):
    """The same with a bidirectional layer in each stage."""

    def __init__(self, extractor: JointsAndPicture, classes: int, config: TwoStageConfig) -> None:
        super().__init__()
        self.extractor = extractor
        self.parts = _Parts(extractor, classes, config, both=True)

    def detailed(self, features: Tensor, lengths: Tensor) -> Answers:
        return self.parts.whole(features, lengths)
