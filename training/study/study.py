"""A study: one recipe fitted in several variants, on several data sets, with several seeds, to be compared.

    name = "my-study"
    base = "paper"                                       # a recipe: a shipped one by its name, or a TOML file
    seeds = [0, 1, 2, 3, 4]
    labelled = [1.0, 0.1]                                # shares of the labels that are used
    [sets.mine]
    splits = ["mine-1", "mine-2"]                        # data set folders, each with training and test clips
    [methods.baseline.distillation]                      # the first method is what the others are compared with
    alpha = 0
    beta = 0
    [methods.both]                                       # tables of a method, or a set's `recipe`, go over the base's

A set that a method makes no sense on says `without = ["that-method"]`.

The labelled clips follow from data set, share and seed alone, so that all methods have the same ones.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from inkling.models.bundle.schema import Name
from inkling.models.problems import all_problems, first_problem
from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import Recipe, recipe_file
from inkling.training.recipe.sections import Occluded, Section

Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0)]
Overrides = dict[str, Any]


class StudySet(Section):
    """One data set, as one or several folders that divide it into training and test clips in different ways."""

    splits: Annotated[tuple[Path, ...], Field(min_length=1)]
    occluded: Occluded = "missing"
    recipe: Overrides = Field(default_factory=dict)
    """What the recipe is to say otherwise on this set, such as its `rate_hz`."""
    without: tuple[Name, ...] = ()
    """Methods that make no sense on this set, such as to begin from itself."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One fit of a study."""

    set: str
    split: Path
    labelled: float
    method: str
    seed: int

    @property
    def path(self) -> Path:
        """Where its outcome lies in the directory of a study."""
        place = Path("runs", self.set, self.split.name, f"{100 * self.labelled:g}-percent", self.method)
        return place / f"seed-{self.seed}.json"

    def __str__(self) -> str:
        return f"{self.split.name}, {100 * self.labelled:g} % labelled, {self.method}, seed {self.seed}"


class Study(Section):
    """The whole file."""

    name: Name
    about: str = ""
    base: str
    recipe: Overrides = Field(default_factory=dict)
    """What the base recipe is to say otherwise throughout."""
    sets: Annotated[dict[Name, StudySet], Field(min_length=1)]
    methods: Annotated[dict[Name, Overrides], Field(min_length=1)]
    labelled: Annotated[tuple[Share, ...], Field(min_length=1)] = (1.0,)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2, 3, 4)

    @field_validator("labelled", "seeds")
    @classmethod
    def _different(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) != len(values):
            raise ValueError("must be different from each other")
        return values

    @model_validator(mode="after")
    def _left_out(self) -> Self:
        for name, wanted in self.sets.items():
            for method in wanted.without:
                if method not in self.methods:
                    raise ValueError(f"set {name} is without {method}, which is no method")
                if method == self.baseline:
                    raise ValueError(f"set {name} is without {method}, which the other methods are compared with")
        return self

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return next(iter(self.methods))

    def cells(self) -> Iterator[Cell]:
        """All fits: seed by seed, so that an unfinished study can be read early."""
        splits = [(name, split) for name, wanted in self.sets.items() for split in wanted.splits]
        for seed, (name, split), share, method in product(self.seeds, splits, self.labelled, self.methods):
            if method not in self.sets[name].without:
                yield Cell(name, split, share, method, seed)

    def recipe_of(self, cell: Cell, base: Mapping[str, Any]) -> Recipe:
        """The recipe of one fit. base: the fields of the base recipe. Raises ConfigError."""
        wanted = self.sets[cell.set]
        fields = merged(merged(merged(base, self.recipe), wanted.recipe), self.methods[cell.method])
        fields |= {
            "name": self.name,
            "datasets": [{"path": cell.split, "occluded": wanted.occluded}],
            "labelled": cell.labelled,
            "seeds": [cell.seed],
        }
        try:
            return Recipe.model_validate(fields)
        except ValidationError as error:
            raise ConfigError(f"study {self.name}, {cell}: {first_problem(error)}") from error

    def restricted(
        self,
        *,
        sets: Sequence[str] = (),
        methods: Sequence[str] = (),
        labelled: Sequence[float] = (),
        seeds: Sequence[int] = (),
    ) -> Study:
        """A part of the study; empty: all of it. Seeds may be others than its own. Raises ConfigError."""
        for what, asked, have in (
            ("set", sets, tuple(self.sets)),
            ("method", methods, tuple(self.methods)),
            ("labelled share", labelled, self.labelled),
        ):
            unknown = [str(name) for name in asked if name not in have]
            if unknown:
                raise ConfigError(f"study {self.name} has no {what} {unknown[0]} ({', '.join(map(str, have))})")
        return self.model_copy(
            update={
                "sets": {name: found for name, found in self.sets.items() if not sets or name in sets},
                "methods": {
                    name: found
                    for name, found in self.methods.items()
                    if not methods or name in methods or name == self.baseline
                },
                "labelled": tuple(labelled) or self.labelled,
                "seeds": tuple(dict.fromkeys(seeds)) or self.seeds,
            }
        )

    def on(self, sets: Mapping[str, Sequence[Path]]) -> Study:
        """The same study on other data sets: names, and the folders of each one's splits."""
        return self.model_copy(update={"sets": {name: StudySet(splits=tuple(found)) for name, found in sets.items()}})


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested tables as one; where both have a value, that of `over`."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def read_study(path: Path | str) -> tuple[Study, dict[str, Any]]:
    """A study, by file or shipped name, and the fields of its base recipe. Raises ConfigError."""
    file = recipe_file(path)
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8"))
        if "base" not in fields:
            raise ConfigError(f"{file} is no study: it names no base recipe (inkling train fit takes recipes)")
        study = Study.model_validate(fields)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{file}: {problem}" for problem in all_problems(error))) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    beside = file.parent / study.base
    base = recipe_file(beside if beside.suffix and beside.exists() else study.base)
    try:
        return study, tomllib.loads(base.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{base}: {error}") from error


def is_study(path: Path) -> bool:
    """Whether a TOML file is a study rather than a recipe."""
    return "base" in tomllib.loads(path.read_text(encoding="utf-8"))
