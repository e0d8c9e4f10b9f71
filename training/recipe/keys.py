"""All keys of a recipe by their dotted names, read from the models: for `--set`, and for the reference page."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True, slots=True)
class RecipeKey:
    """One key. `name` is dotted; a key of one of several tables has `N` where the table's number stands.

    default: PydanticUndefined where the key must be given. section: the model of a key that is a table, else None.
    """

    name: str
    description: str
    default: Any
    section: type[BaseModel] | None

    @property
    def required(self) -> bool:
        return self.default is PydanticUndefined


def recipe_keys(model: type[BaseModel], prefix: str = "") -> Iterator[RecipeKey]:
    """The keys of a model and of all its sections, in their order; a section comes before its own keys."""
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        whole = f"{prefix}{name}"
        yield RecipeKey(whole, " ".join((field.description or "").split()), _default(field), section)
        if section is not None:
            yield from recipe_keys(section, f"{whole}.N." if _is_list(field.annotation) else f"{whole}.")


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also one of a list or an optional one; None where it holds values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple, list):
        return next((found for part in get_args(annotation) if (found := section_of(part)) is not None), None)
    return None


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={}) if not field.is_required() else field.default
