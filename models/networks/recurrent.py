"""The causal student and the bidirectional teacher of progressive distillation (Tran, Balasubramanian, Hoai, 2020).

Student: one-layer GRU or LSTM over per-step features, the future unseen. Teacher: one-layer BiGRU or BiLSTM over the
whole clip, so each of its steps knows past and future (paper, section 2.1).
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.bundle.schema import StateTensor
from models.networks.dropout import Dropout

Size = Annotated[int, Field(ge=1, le=8192)]


class NetworkConfig(BaseModel):
    """Shape of a network. `widths`: layers between the features and the recurrent layer (empty: none)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: Literal["gru", "lstm"] = "gru"
    hidden: Size = 128
    """Units of the recurrent layer; in a teacher, of each direction."""
    widths: tuple[Size, ...] = (256, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3


class StudentConfig(NetworkConfig):
    """The causal student."""


class TeacherConfig(NetworkConfig):
    """The teacher that sees the future."""

    hidden: Size = 256


class Extractor(Protocol):
    """What turns raw input into features of `dim`: over a sequence (`forward`) or a step at a time, with state."""

    dim: int

    def state_tensors(self) -> tuple[StateTensor, ...]: ...

    def __call__(self, x: Tensor) -> Tensor: ...

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]: ...


def _perceptron(inputs: int, config: NetworkConfig) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    for width in config.widths:
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU(), Dropout(config.dropout)]
        inputs = width
    return nn.Sequential(*layers), inputs


def _recurrence(config: NetworkConfig, inputs: int, *, bidirectional: bool) -> nn.GRU | nn.LSTM:
    kind = nn.GRU if config.cell == "gru" else nn.LSTM
    return kind(inputs, config.hidden, batch_first=True, bidirectional=bidirectional)


class Student(nn.Module):
    """Causal network: extractor -> layers -> GRU or LSTM, joined with a skip from the layers -> classes."""

    def __init__(self, extractor: nn.Module, classes: int, config: StudentConfig) -> None:
        super().__init__()
        self.extractor = extractor
        self.config = config
        self.layers, width = _perceptron(self._extract.dim, config)
        self.recurrence = _recurrence(config, width, bidirectional=False)
        self.dropout = Dropout(config.dropout)
        self.classify = nn.Linear(config.hidden + width, classes)

    @property
    def _extract(self) -> Extractor:
        return cast(Extractor, self.extractor)

    def features(self, x: Tensor) -> Tensor:
        """x (B, T, *input) -> (B, T, F), what `forward_features` takes (a teacher on the same extractor too)."""
        return self._extract(x)

    def forward_features(self, features: Tensor) -> Tensor:
        """(B, T, F) -> logits (B, T, K). Padding after a clip's end cannot change what comes before it."""
        z = self.layers(features)
        hidden, _ = self.recurrence(z)
        return cast(Tensor, self.classify(self.dropout(torch.cat([hidden, z], dim=-1))))

    def forward(self, x: Tensor) -> Tensor:
        """Sequences from their initial state. x (B, T, *input) -> logits (B, T, K)."""
        return self.forward_features(self.features(x))

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """Every tensor remembered between steps, in the order that `step` takes and returns them."""
        names = ("hidden",) if self.config.cell == "gru" else ("hidden", "cell")
        own = (StateTensor(input=name, output=f"next_{name}", shape=(self.config.hidden,)) for name in names)
        return (*self._extract.state_tensors(), *own)

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """State of `batch` fresh tracks, each tensor (B, *shape)."""
        return tuple(torch.full((batch, *tensor.shape), tensor.initial) for tensor in self.state_tensors())

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One frame. x (B, *input), state as `state_tensors` -> (logits (B, K), *next_state).

        The cell is spelled out in matrix products and pointwise operations: exporters have written the fused GRU with
        the wrong `linear_before_reset`, and for a single step the plain form is as fast.
        """
        count = len(self._extract.state_tensors())
        features, *remembered = self._extract.step(x, *state[:count])
        z = self.layers(features)
        own = self._cell(z, *state[count:])
        logits = self.classify(self.dropout(torch.cat([own[0], z], dim=-1)))
        return (logits, *remembered, *own)

    def _cell(self, z: Tensor, hidden: Tensor, cell: Tensor | None = None) -> tuple[Tensor, ...]:
        weights = self.recurrence
        w_input, w_hidden, b_input, b_hidden = cast(list[Tensor], weights.all_weights[0])
        from_input, from_hidden = F.linear(z, w_input, b_input), F.linear(hidden, w_hidden, b_hidden)
        n = self.config.hidden
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


class Teacher(nn.Module):
    """Sees the whole clip at every step: extractor -> layers -> BiGRU or BiLSTM -> classes."""

    def __init__(self, extractor: nn.Module, classes: int, config: TeacherConfig) -> None:
        super().__init__()
        self.extractor = extractor
        self.layers, width = _perceptron(cast(Extractor, extractor).dim, config)
        self.recurrence = _recurrence(config, width, bidirectional=True)
        self.dropout = Dropout(config.dropout)
        self.classify = nn.Linear(2 * config.hidden + width, classes)

    def features(self, x: Tensor) -> Tensor:
        """x (B, T, *input) -> (B, T, F)."""
        return cast(Extractor, self.extractor)(x)

    def forward_features(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, F), lengths (B,) -> logits (B, T, K); steps past a clip's length are meaningless but finite."""
        z = self.layers(features)
        # Packed, because the backward direction must start at each clip's own end, not in its padding.
        packed = pack_padded_sequence(z, lengths.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.recurrence(packed)[0], batch_first=True, total_length=z.shape[1])
        return cast(Tensor, self.classify(self.dropout(torch.cat([hidden, z], dim=-1))))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, T, *input), lengths (B,) -> logits (B, T, K)."""
        return self.forward_features(self.features(x), lengths)
