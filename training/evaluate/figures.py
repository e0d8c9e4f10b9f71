"""Figures of a bundle that were measured outside of `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from inkling.training.errors import ConfigError


class Figures(BaseModel):
    """What else was measured, outside of `evaluate`: into `bundle.json`, and as text onto the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: dict[str, Any]
    text: str
    """Markdown."""


def read_figures(path: Path) -> Figures:
    """Figures as `inkling train warnings --out` writes them. Raises ConfigError."""
    try:
        return Figures.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} has no figures of inkling train warnings --out") from error
