"""Skeletons: which joints a pose has, and how poses of one skeleton become poses of another."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Index = Annotated[int, Field(ge=0)]


class Skeleton(BaseModel):
    """A body: joint names in order, what mirrors what, and what it hangs from.

    pairs: (left, right) joint indices. root: joints whose mean is the body's centre. bones: (parent, child) indices.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    joints: Annotated[tuple[str, ...], Field(min_length=1, max_length=512)]
    dimensions: Literal[2, 3] = 2
    pairs: tuple[tuple[Index, Index], ...] = ()
    root: Annotated[tuple[Index, ...], Field(min_length=1)]
    bones: tuple[tuple[Index, Index], ...] = ()

    @model_validator(mode="after")
    def _indices_exist(self) -> Self:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError("joint names must be unique")
        used = [
            *self.root,
            *(i for pair in self.pairs for i in pair),
            *(i for bone in self.bones for i in bone),
        ]
        if used and max(used) >= len(self.joints):
            raise ValueError(f"joint index {max(used)} does not exist: the skeleton has {len(self.joints)} joints")
        return self
