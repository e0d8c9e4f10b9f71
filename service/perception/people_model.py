"""A people bundle, loaded: what finds people, and what must be known of it."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.people.input_fit import InputSize
from inkling.service.perception.look import Estimator


@dataclass(frozen=True, slots=True)
class PeopleModel:
    """name: of the bundle, with its version. size: what its graph takes. skeleton: of the people that it finds."""

    name: str
    estimator: Estimator
    size: InputSize
    skeleton: str
