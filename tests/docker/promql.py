"""Which metrics the shipped board and the alerts name, and what they ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.docker.conftest import DOCKER

NAME = re.compile(r"\b(?:inkling|process|python)_[a-z0-9_]+\b")
OF_PROMETHEUS = {"up"}
"""Metrics that Prometheus adds itself."""


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCKER / "grafana" / "boards" / "inkling.json").read_text())
    return found


def queries() -> Iterator[tuple[str, str]]:
    """(panel, PromQL) of every query of the board, for all instances and bundles."""
    for panel in board()["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*").replace("$bundle", ".*")
            yield panel["title"], expression.replace("$__rate_interval", "1m")


def names(expression: str) -> set[str]:
    """Metrics in a PromQL expression: ours, and those of the process."""
    without_strings = re.sub(r'"[^"]*"', '""', expression)
    return set(NAME.findall(without_strings))
