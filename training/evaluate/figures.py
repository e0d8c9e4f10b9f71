"""Figures of a bundle that were measured outside of `evaluate`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Figures(BaseModel):
    """What else was measured, outside of `evaluate`: into `bundle.json`, and as text onto the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: dict[str, Any]
    text: str
    """Markdown."""
