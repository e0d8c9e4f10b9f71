"""pydantic's findings as lines: where, and what."""

from __future__ import annotations

from typing import Annotated, Self

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from inkling.models.problems import all_problems, describe, first_problem


class Inner(BaseModel):
    size: Annotated[int, Field(gt=0)]


class Outer(BaseModel):
    items: list[Inner]
    name: str = "x"

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.name == "bad":
            raise ValueError("the name is bad")
        return self


def error(data: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return caught.value


def test_the_first_problem_names_its_place() -> None:
    problem = error({"items": [{"size": 1}, {"size": 0}], "name": 3})
    assert first_problem(problem) == "items.1.size: Input should be greater than 0"
    assert all_problems(problem) == [first_problem(problem), "name: Input should be a valid string"]


def test_a_problem_of_the_whole_needs_no_place_and_may_have_a_name() -> None:
    problem = error({"items": [], "name": "bad"})
    assert first_problem(problem) == "the name is bad"
    assert first_problem(problem, "the thing") == "the thing: the name is bad"


def test_the_input_is_not_repeated() -> None:
    problem = error({"items": "secret"})
    assert "secret" not in first_problem(problem)


def test_an_entry_of_another_list_of_errors_reads_the_same() -> None:
    assert describe({"loc": ("query", "fps"), "msg": "too fast"}) == "query.fps: too fast"
