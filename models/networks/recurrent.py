"""The causal student and the bidirectional teacher of progressive distillation (Tran, Balasubramanian, Hoai, 2020).

Student: one-layer GRU or LSTM over per-step features, the future unseen. Teacher: one-layer BiGRU or BiLSTM over the
whole clip, so each of its steps knows past and future (paper, section 2.1).
"""

from __future__ import annotations

import copy
import math
from typing import Annotated, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from inkling.models.bundle.schema import StateTensor
from inkling.models.networks.dropout import Dropout
from inkling.models.networks.network import Answers, CausalNetwork, Extractor, Inputs, WholeClipNetwork

Size = Annotated[int, Field(ge=1, le=8192)]


class NetworkConfig(BaseModel):
    """Shape of a network."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cell: Literal["gru", "lstm"] = "gru"
    """Kind of the recurrent layer."""
    hidden: Size = 128
    """Units of the recurrent layer; in a teacher, of each direction."""
    widths: tuple[Size, ...] = (256, 128)
    """Sizes of the layers between the features and the recurrent layer; empty: none."""
    standardised: bool = True
    """Features are standardised before all layers, in training by the batch they are in."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of units that are dropped in training."""


class StudentConfig(NetworkConfig):
    """The causal student."""

    memories_s: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = (0.5, 2.0)
    """Time constants, in seconds, of leaking means of the hidden state that the classifier sees beside the state
    itself: what has been gathered outlasts what is seen just now, such as how people leave an action."""
    prototypes: bool = False
    """Classes are answered by how nearly what is known points the way of a learned prototype of each."""


class TeacherConfig(NetworkConfig):
    """The teacher that sees the future."""

    hidden: Size = 256
    """Units of the recurrent layer, of each direction."""


class Standardised(nn.BatchNorm1d):
    """Each feature less its mean, in units of its deviation: (..., F) -> (..., F).

    Lengths, speeds and flags are numbers of very different size, and what moves least often says most. In training mean
    and deviation are those of the batch (Ioffe and Szegedy, 'Batch Normalization', 2015), padding included: that they
    are a little off each time regularises, and small batches gain most by it.
    """

    def __init__(self, features: int) -> None:
        # eps: what hardly ever changes in training must not become huge where it does
        super().__init__(features, eps=1e-4, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        if self.training and len(rows) == 1:  # a single row has no deviation
            return F.batch_norm(rows, self.running_mean, self.running_var, eps=self.eps).view_as(x)
        return super().forward(rows).view_as(x)


def _perceptron(inputs: int, config: NetworkConfig) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = [Standardised(inputs)] if config.standardised else []
    for width in config.widths:
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU(), Dropout(config.dropout)]
        inputs = width
    return nn.Sequential(*layers), inputs


def _leaking(leak: float, steps: int, like: Tensor) -> Tensor:
    """(T, T): row t averages the steps up to t, each weighing `leak` times the one after it."""
    age = torch.arange(steps, device=like.device)
    weight = (leak ** (age[:, None] - age).clamp(min=0)).tril().to(like.dtype)
    return weight / weight.sum(1, keepdim=True)


def _recurrence(config: NetworkConfig, inputs: int, *, bidirectional: bool) -> nn.GRU | nn.LSTM:
    kind = nn.GRU if config.cell == "gru" else nn.LSTM
    return kind(inputs, config.hidden, batch_first=True, bidirectional=bidirectional)


def cell_step(
    recurrence: nn.GRU | nn.LSTM, z: Tensor, hidden: Tensor, cell: Tensor | None = None
) -> tuple[Tensor, ...]:
    """One step of a one-layer GRU, or of an LSTM, which has a `cell` too: z (B, F), hidden (B, H) -> the next of each.

    Spelled out in matrix products and pointwise operations: exporters have written the fused GRU with the wrong
    `linear_before_reset`, and for a single step the plain form is as fast.
    """
    w_input, w_hidden, b_input, b_hidden = cast(list[Tensor], recurrence.all_weights[0])
    from_input, from_hidden = F.linear(z, w_input, b_input), F.linear(hidden, w_hidden, b_hidden)
    n = recurrence.hidden_size
    if cell is None:
        # torch's order of gates: reset, update, new
        gates = torch.sigmoid(from_input[:, : 2 * n] + from_hidden[:, : 2 * n])
        reset, update = gates[:, :n], gates[:, n:]
        new = torch.tanh(from_input[:, 2 * n :] + reset * from_hidden[:, 2 * n :])
        return (new + update * (hidden - new),)
    # input, forget, cell, output
    total = from_input + from_hidden
    keep = torch.sigmoid(total[:, n : 2 * n]) * cell
    cell = keep + torch.sigmoid(total[:, :n]) * torch.tanh(total[:, 2 * n : 3 * n])
    return torch.sigmoid(total[:, 3 * n :]) * torch.tanh(cell), cell


def both_ways(recurrence: nn.GRU | nn.LSTM, z: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, F), lengths (B,) -> (B, T, 2 H) of a bidirectional layer over whole clips."""
    # Packed, because the backward direction must start at each clip's own end, not in its padding.
    packed = pack_padded_sequence(z, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(recurrence(packed)[0], batch_first=True, total_length=z.shape[1])[0]


class Prototypes(nn.Module):
    """Logits of K classes: cosines between the input and a prototype of each class, times a learned scale.

    The cosine classifier of Gidaris and Komodakis ('Dynamic Few-Shot Visual Learning without Forgetting', 2018). With a
    loss at every step, partial observations are drawn to one vector of the action, which Early-ViT (arXiv 2312.06598)
    asks of them beside a classifier, as a regulariser.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, inputs))
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


class Student(CausalNetwork):
    """Causal network: extractor -> layers -> GRU or LSTM, joined with leaking means of its state and a skip from the
    layers -> classes."""

    def __init__(self, extractor: nn.Module, classes: int, config: StudentConfig, rate_hz: float) -> None:
        super().__init__()
        self.extractor = extractor
        self.config = config
        self.layers, width = _perceptron(self._extract.dim, config)
        self.recurrence = _recurrence(config, width, bidirectional=False)
        self.leaks = [math.exp(-1.0 / (seconds * rate_hz)) for seconds in config.memories_s]
        self.dropout = Dropout(config.dropout)
        head = Prototypes if config.prototypes else nn.Linear
        self.classify: nn.Linear | Prototypes = head((1 + len(self.leaks)) * config.hidden + width, classes)

    def detailed(self, features: Tensor) -> Answers:
        z = self.layers(features)
        hidden, _ = self.recurrence(z)
        means = [_leaking(leak, hidden.shape[1], hidden) @ hidden for leak in self.leaks]
        logits = self.classify(self.dropout(torch.cat([hidden, *means, z], dim=-1)))
        return Answers({"answer": logits}, {"answer": hidden})

    def state_tensors(self) -> tuple[StateTensor, ...]:
        names = ("hidden",) if self.config.cell == "gru" else ("hidden", "cell")
        own = [StateTensor(input=name, output=f"next_{name}", shape=(self.config.hidden,)) for name in names]
        if self.leaks:
            # of each memory the leaking sum of the states, and last that of their weights: 1, 1 + leak, ...
            shape = (len(self.leaks), self.config.hidden + 1)
            own.append(StateTensor(input="sums", output="next_sums", shape=shape))
        return (*self._extract.state_tensors(), *own)

    def step(self, x: Inputs, *state: Tensor) -> tuple[Tensor, ...]:
        count = len(self._extract.state_tensors())
        features, *remembered = self._extract.step(x, *state[:count])
        z = self.layers(features)
        cell_states = 1 if self.config.cell == "gru" else 2
        own = cell_step(self.recurrence, z, *state[count : count + cell_states])
        known = [own[0]]
        if self.leaks:
            sums = self._remember(own[0], state[-1])
            known.append((sums[:, :, :-1] / sums[:, :, -1:]).flatten(1))
            own = (*own, sums)
        logits = self.classify(self.dropout(torch.cat([*known, z], dim=-1)))
        return (logits, *remembered, *own)

    def merged(self) -> Student:
        """A copy for `step` that answers the same with less work: what standardises is part of its first layer."""
        found = copy.deepcopy(self).eval()
        if self.config.standardised and self.config.widths:
            standard, first = cast(tuple[Standardised, nn.Linear], found.layers[:2])
            with torch.no_grad():
                first.bias.copy_(first(standard(torch.zeros(1, first.in_features))).squeeze(0))
                first.weight.div_((cast(Tensor, standard.running_var) + standard.eps).sqrt())
            found.layers = nn.Sequential(*list(found.layers)[1:])
        return found

    def _remember(self, hidden: Tensor, sums: Tensor) -> Tensor:
        """The leaking sums (B, leaks, H + 1) with one more state (B, H)."""
        return sums * torch.tensor(self.leaks).view(1, -1, 1) + F.pad(hidden, (0, 1), value=1.0).unsqueeze(1)


class Teacher(WholeClipNetwork):
    """Sees the whole clip at every step: extractor -> layers -> BiGRU or BiLSTM -> classes."""

    def __init__(self, extractor: nn.Module, classes: int, config: TeacherConfig) -> None:
        super().__init__()
        self.extractor = extractor
        self.layers, width = _perceptron(cast(Extractor, extractor).dim, config)
        self.recurrence = _recurrence(config, width, bidirectional=True)
        self.dropout = Dropout(config.dropout)
        self.classify = nn.Linear(2 * config.hidden + width, classes)

    def detailed(self, features: Tensor, lengths: Tensor) -> Answers:
        z = self.layers(features)
        hidden = both_ways(self.recurrence, z, lengths)
        logits = self.classify(self.dropout(torch.cat([hidden, z], dim=-1)))
        return Answers({"answer": logits}, {"answer": hidden})
