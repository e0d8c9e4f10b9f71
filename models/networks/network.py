"""What every network is to the rest of training and to export, whatever is inside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from inkling.models.bundle.schema import StateTensor

Inputs = Tensor | Mapping[str, Tensor]
"""What a network is given: of one input its tensor, of several inputs each by its name."""


class Answers(NamedTuple):
    """What a network says of sequences, and what it holds in mind while it does.

    heads: logits (B, T, K) of each stage by its name; the last of them are the network's. states: the hidden states
    (B, T, H) of each stage by its name.
    """

    heads: dict[str, Tensor]
    states: dict[str, Tensor]

    @property
    def logits(self) -> Tensor:
        """(B, T, K): what the network answers."""
        return next(reversed(self.heads.values()))

    @property
    def hidden(self) -> Tensor:
        """(B, T, H): the hidden states of the stage that answers."""
        return next(reversed(self.states.values()))


class Extractor(Protocol):
    """What turns raw input into features of `dim`: over a sequence (`forward`) or a step at a time, with state."""

    dim: int

    def state_tensors(self) -> tuple[StateTensor, ...]: ...

    def __call__(self, x: Inputs) -> Tensor: ...

    def step(self, x: Inputs, *state: Tensor) -> tuple[Tensor, ...]: ...


class CausalNetwork(nn.Module, ABC):
    """A student: it sees the present and the past, a whole sequence at a time in training, a step at a time served."""

    extractor: nn.Module

    @property
    def _extract(self) -> Extractor:
        return cast(Extractor, self.extractor)

    def features(self, x: Inputs) -> Tensor:
        """x (B, T, *input) -> (B, T, F), what `forward_features` takes (a teacher on the same extractor too)."""
        return self._extract(x)

    @abstractmethod
    def detailed(self, features: Tensor) -> Answers:
        """(B, T, F) -> all that is known. Padding after a clip's end cannot change what comes before it."""

    @abstractmethod
    def state_tensors(self) -> tuple[StateTensor, ...]:
        """Every tensor remembered between steps, in the order that `step` takes and returns them."""

    @abstractmethod
    def step(self, x: Inputs, *state: Tensor) -> tuple[Tensor, ...]:
        """One frame. x (B, *input), state as `state_tensors` -> (logits (B, K), *next_state)."""

    @abstractmethod
    def merged(self) -> CausalNetwork:
        """A copy for `step`, in evaluation mode, that answers the same with as little work as can be."""

    def forward_features(self, features: Tensor) -> Tensor:
        """(B, T, F) -> logits (B, T, K)."""
        return self.detailed(features).logits

    def forward(self, x: Inputs) -> Tensor:
        """Sequences from their initial state. x (B, T, *input) -> logits (B, T, K)."""
        return self.forward_features(self.features(x))

    def initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """State of `batch` fresh tracks, each tensor (B, *shape)."""
        return tuple(torch.full((batch, *tensor.shape), tensor.initial) for tensor in self.state_tensors())


class WholeClipNetwork(nn.Module, ABC):
    """A teacher: it sees the whole clip at every step."""

    extractor: nn.Module

    def features(self, x: Inputs) -> Tensor:
        """x (B, T, *input) -> (B, T, F)."""
        return cast(Extractor, self.extractor)(x)

    @abstractmethod
    def detailed(self, features: Tensor, lengths: Tensor) -> Answers:
        """(B, T, F), lengths (B,) -> all that is known; steps past a clip's length are meaningless but finite."""

    def forward_features(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, F), lengths (B,) -> logits (B, T, K)."""
        return self.detailed(features, lengths).logits

    def forward(self, x: Inputs, lengths: Tensor) -> Tensor:
        """x (B, T, *input), lengths (B,) -> logits (B, T, K)."""
        return self.forward_features(self.features(x), lengths)
