"""What pydantic found wrong with somebody's data, in sentences for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


def first_problem(error: ValidationError, whole: str = "") -> str:
    """The first problem on one line: where, and what; without the input, which may be secret or long.

    whole: what to call the place when the data as a whole are wrong.
    """
    return describe(error.errors(include_url=False, include_input=False, include_context=False)[0], whole)


def all_problems(error: ValidationError) -> list[str]:
    """A line for each problem."""
    return [describe(problem) for problem in error.errors(include_url=False, include_input=False)]


def describe(problem: Mapping[str, Any], whole: str = "") -> str:
    """One entry of `errors()` (pydantic's or FastAPI's) as a line."""
    place = ".".join(map(str, problem["loc"])) or whole
    what = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {what}" if place else what
