"""The parts of the documentation that code knows better: tables of settings, messages, errors, metrics, figures, help.

    python -m tests.docs        write them into README.md and docs/ between their markers

A page has `<!-- NAME -->` and `<!-- end -->`; NAME is a key of `SECTIONS`. `tests/test_docs.py` fails when a page
differs from what this would write.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from inkling.models.bundle import PeopleSpec, Registry, load, zoo_directory
from inkling.models.bundle.schema import BundleSpec
from inkling.models.skeletons import SKELETONS
from inkling.service import bootstrap
from inkling.service.cli import main as cli
from inkling.service.http.app import create_app
from inkling.service.protocol import messages
from inkling.service.protocol.errors import ServiceError
from inkling.service.settings import Settings
from inkling.training.cli.command import parser as training_parser
from inkling.training.markdown import table
from inkling.training.recipe.recipe import Recipe
from tests.attacks import report as attacks
from tests.benchmarks import report
from tests.test_architecture import ROOMS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"


def pages() -> list[Path]:
    """README and every page of docs/."""
    return [README, *sorted(DOCS.rglob("*.md"))]


# -- what pydantic models say -------------------------------------------------------------------------------------
@cache
def attribute_docs(model: type[BaseModel]) -> dict[str, str]:
    """The docstring below each attribute of a model, its bases' included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for here, following in zip(body.body, body.body[1:], strict=False):
            if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):  # noqa: SIM102
                if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                    found[here.target.id] = str(following.value.value)
    return found


def meaning(model: type[BaseModel], name: str) -> str:
    """What is said of a field: in its description, below it, or in the docstring of its model."""
    _, of_fields = told_apart(about(model), set(model.model_fields))
    said = model.model_fields[name].description or attribute_docs(model).get(name) or of_fields.get(name, "")
    return " ".join(said.split())


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


def kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind(one) for one in arguments if one is not type(None)))
    if origin in (tuple, list):
        return f"list of {kind(arguments[0])}"
    if origin is dict:
        return f"table of {kind(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
    return names.get(annotation, "anything")


def default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel) or value is None:
        return ""
    if isinstance(value, Enum | Path):
        return f"`{value}`"
    return f"`{json.dumps(value)}`" if isinstance(value, str | bool | int | float | tuple | list | dict) else ""


def fields(model: type[BaseModel]) -> str:
    rows = (
        (f"`{name}`", kind(field.annotation), default(field.default), meaning(model, name))
        for name, field in model.model_fields.items()
    )
    return table(("key", "type", "default", "meaning"), rows)


def sections_of(model: type[BaseModel], seen: set[str] | None = None) -> Iterator[tuple[str, type[BaseModel]]]:
    """(key, model) of every table within a model, the outer ones first; each model once."""
    seen = set() if seen is None else seen
    inner = [(name, part) for name, field in model.model_fields.items() for part in parts(field.annotation)]
    for name, part in inner:
        if part.__name__ not in seen:
            seen.add(part.__name__)
            yield name, part
            yield from sections_of(part, seen)


def about(model: type[BaseModel]) -> str:
    """The docstring of a model; an indented part of it stays a block."""
    return inspect.cleandoc(model.__doc__ or "")


def told_apart(text: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """A docstring as what it says of the whole, and of each field: `name: …` or `one, other: …`."""
    one = r"`?(?:" + "|".join(sorted(names)) + r")`?"
    heads = list(re.finditer(rf"(?:(?<=[.;] )|^)({one}(?:, {one})*): ", " ".join(text.split())))
    flat, of_fields = " ".join(text.split()), {}
    for head, following in zip(heads, [*heads[1:], None], strict=False):
        said = flat[head.end() : following.start() if following else None].strip().rstrip(";.")
        for name in re.findall(r"\w+", head[1]):
            of_fields[name] = said
    return (flat[: heads[0].start()].strip() if heads else text), of_fields


def schema(model: type[BaseModel], titled: Callable[[str, type[BaseModel]], str]) -> str:
    """A model and its parts, a table each."""
    chunks = [fields(model)]
    for name, part in sections_of(model):
        told, _ = told_apart(about(part), set(part.model_fields))
        chunks += [titled(name, part), told, fields(part)]
    return "\n\n".join(chunk for chunk in chunks if chunk)


# -- the sections -------------------------------------------------------------------------------------------------
def settings() -> str:
    """Name, default and meaning of each setting, from the flags of `inkling serve`."""
    (verbs,) = (one for one in cli.build_parser()._actions if isinstance(one, argparse._SubParsersAction))
    rows = []
    for action in verbs.choices["serve"]._actions:
        if found := re.fullmatch(r"(.*) \((INKLING_\w+)(?:; default (.*))?\)", action.help or ""):
            told, variable, value = found.groups()
            if value and value.startswith("("):
                value = ",".join(ast.literal_eval(value))
            rows.append((f"`{variable}`", f"`{value}`" if value else "", told))
    return table(("variable", "default", "meaning"), rows)


def _place(error: type[ServiceError]) -> tuple[bool, int, str]:
    return error.close is not None, error.close or 0, error.code


def errors() -> str:
    rows = (
        (
            f"`{error.code}`",
            "" if error.close is None else str(error.close),
            str(error.http),
            "yes" if error.retryable else "",
            " ".join((error.__doc__ or "").split()),
        )
        for error in sorted(ServiceError.__subclasses__(), key=_place)
    )
    return table(("code", "close", "HTTP", "retry", "meaning"), rows)


def metrics() -> str:
    core = bootstrap.build(Settings.named(load=("body-actions",)))
    families = [family for family in core.metrics.collect() if family.name.startswith("inkling_")]
    suffix = {"counter": "_total"}
    rows = ((f"`{f.name}{suffix.get(f.type, '')}`", f.type, f.documentation) for f in families)
    return table(("metric", "type", "meaning"), rows)


def message_tables(union: Any) -> str:
    """Every message of one direction: what it is for, and its fields."""
    chunks = []
    for model in get_args(get_args(union)[0]):
        told, _ = told_apart(about(model), set(model.model_fields))
        rows = [
            (f"`{name}`", kind(field.annotation), default(field.default), meaning(model, name))
            for name, field in model.model_fields.items()
            if name != "type"
        ]
        body = table(("field", "type", "default", "meaning"), rows) if rows else ""
        chunks += [f"### `{model.model_fields['type'].default}`", told, body]
    return "\n\n".join(chunk for chunk in chunks if chunk)


def layouts() -> str:
    """The tables at the head of the modules that read and write binary messages."""
    chunks = []
    for name, title in (("pose_binary", "Poses"), ("image_binary", "Images"), ("prediction_format", "Predictions")):
        text = ast.get_docstring(ast.parse((ROOT / "service" / "protocol" / f"{name}.py").read_text(encoding="utf-8")))
        rows = [line for line in (text or "").splitlines() if re.match(r" +(offset|\d+  |32  |56  |   )", line)]
        chunks += [f"### {title}", "```text\n" + textwrap.dedent("\n".join(rows)) + "\n```"]
    return "\n\n".join(chunks)


def rest() -> str:
    rows = []
    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            told = " ".join(operation.get("description", "").split("\n\n")[0].split())
            rows.append((f"`{method.upper()} {path}`", told))
    return table(("call", "what it does"), rows)


def recipe() -> str:
    return schema(Recipe, lambda name, part: f"## `[{name}]`")


def bundle() -> str:
    return schema(BundleSpec, lambda name, part: f"## {part.__name__}")


def people_bundle() -> str:
    return schema(PeopleSpec, lambda name, part: f"## {part.__name__}")


def skeletons() -> str:
    rows = (
        (f"`{name}`", str(len(skeleton.joints)), str(skeleton.dimensions), ", ".join(skeleton.joints))
        for name, skeleton in SKELETONS.items()
    )
    return table(("skeleton", "joints", "dimensions", "in this order"), rows)


def rooms() -> str:
    """The rooms of the house, with the first sentence of what each says of itself, and the rooms it may use."""
    chunks = []
    for wing, plan in ROOMS.items():
        rows = []
        for room, below in plan.items():
            used = ", ".join(f"`{name}`" for name in sorted(set(below) & set(plan)))
            rows.append((f"`{wing}/{room}/`", ROOM_LINES[wing, room], used))
        chunks.append(table(("room", "what is in it", "uses"), rows))
    return "\n\n".join(chunks)


ROOM_LINES = {
    ("service", "protocol"): "messages, binary layouts and errors, as every client and the server read and write them",
    ("service", "client"): "what users import: `Client` and `AsyncClient`",
    ("service", "access"): "who may do what: tokens and roles, hosts, origins, quotas, TLS",
    ("service", "engine"): "runs the models: one batch of all streams at a time, the states of all people, CPU or CUDA",
    ("service", "inputs"): "what a frame becomes before the model sees it: images are decoded, joints are mapped",
    ("service", "perception"): "finds people in pictures: one batch of all cameras at a time, and who is who in each",
    ("service", "streams"): "one stream: its clock, its people, its order, its answers, events and early decisions",
    ("service", "websocket"): "the socket: bytes in and out, slow clients, lost clients",
    ("service", "clips"): "a whole clip, of poses or a video, scored as if it had been streamed",
    ("service", "sources"): "cameras and files that the server fetches itself",
    ("service", "http"): "the REST calls",
    ("service", "demo"): "the figure that exercises, and example programs",
    ("service", "annotate"): "a film with what was said of it drawn over it, and the poses of the people in it",
    ("service", "cli"): "the command `inkling`",
    ("training", "cli"): "the command `inkling train`, a file for each group of verbs",
    ("training", "augment"): "clips made different: turned, scaled, cut, joined",
    ("training", "recipe"): "the TOML file that says what to learn from what",
    ("training", "networks"): "networks built as a recipe says, and published weights",
    ("training", "data"): "data sets on disk, and batches of them",
    ("training", "distill"): "how teachers and students learn",
    ("training", "calibrate"): "probabilities that mean what they say, and when it is safe to decide",
    ("training", "evaluate"): "accuracy by observed share, early warnings, plots",
    ("training", "export"): "from a trained student to a verified bundle with its card",
    ("training", "prepare"): "public downloads and your own videos, turned into data sets",
    ("training", "recipes"): "the recipes and studies that come with Inkling",
    ("training", "study"): "one recipe in several variants, compared with intervals",
}


def help_texts() -> str:
    """Every verb of both commands, with its arguments."""
    chunks = []
    for parser in (cli.build_parser(), training_parser()):
        for name, told, verb in _verbs(parser):
            rows = ((f"`{_argument(action)}`", _told(action)) for action in verb._actions if action.dest != "help")
            chunks += [f"## `{name}`", f"{told[:1].upper()}{told[1:]}.", table(("argument", "meaning"), rows)]
    return "\n\n".join(chunks)


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """(command, what it does, parser) of each last verb, but of `serve`: its flags are the settings."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            told = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, verb in action.choices.items():
                if any(isinstance(inner, argparse._SubParsersAction) for inner in verb._actions):
                    yield from _verbs(verb)
                elif name != "serve":
                    yield verb.prog, told.get(name, "").rstrip("."), verb


def _argument(action: argparse.Action) -> str:
    named = ", ".join(action.option_strings)
    if action.nargs == 0:
        return named
    choices = "\\|".join(map(str, action.choices)) if action.choices and not action.metavar else None
    value = action.metavar or choices or action.dest.upper()
    return f"{named} {value}".strip()


def _told(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def quality() -> str:
    """Accuracy by observed share of each embedded bundle, from what its `bundle.json` says of itself."""
    registry, rows = Registry([zoo_directory()]), []
    for name in sorted({found.name for found in registry.scan("step")}):
        spec = load(registry.get(name)).spec
        for tested, found in spec.quality.items():
            for condition, scores in found.items():
                if isinstance(scores, dict) and "joint" in scores:
                    rows.append((f"`{spec.full_name}`", tested, condition, *_percent(scores["joint"])))
    shares = [f"{tenth}0 %" for tenth in range(1, 11)]
    return table(("bundle", "test clips of", "condition", "AUC", *shares), rows)


def performance() -> str:
    """What the benchmarks found of all that has an aim, from their latest record."""
    results = json.loads((report.HERE / report.RESULTS).read_text(encoding="utf-8"))
    rows = [(row.what, row.found, row.target) for row in report.against_targets(results)]
    return table(("measured", "median (least to greatest)", "aim"), rows)


def promises() -> str:
    """What became of each promise on clean test clips, from what each embedded bundle says of itself."""
    registry, rows = Registry([zoo_directory()]), []
    for name in sorted({found.name for found in registry.scan("step")}):
        spec = load(registry.get(name)).spec
        for tested, found in spec.quality.items():
            for scores in found.get("promises", {}).get("clean", ()):
                if scores["error"] is None:
                    continue
                rows.append(
                    (
                        f"`{spec.full_name}`",
                        tested,
                        f"{scores['error_rate']:.0%}",
                        f"{scores['error']:.1%}",
                        str(scores["committed"]),
                        f"{scores['share']:.0%}, {scores['seconds']:.2f} s",
                        f"{scores['never']:.1%}",
                    )
                )
    head = ("bundle", "test clips of", "at most", "were wrong", "decisions", "seen by then", "never decided")
    return table(head, rows)


def _percent(scores: dict[str, Any]) -> list[str]:
    return [f"{100 * share:.1f}" for share in (scores["auc"], *scores["accuracy"])]


SECTIONS: dict[str, Callable[[], str]] = {
    "quality": quality,
    "promises": promises,
    "errors": errors,
    "settings": settings,
    "metrics": metrics,
    "performance": performance,
    "attacks": attacks.markdown,
    "incoming": lambda: message_tables(messages.Incoming),
    "outgoing": lambda: message_tables(messages.Outgoing),
    "layouts": layouts,
    "rest": rest,
    "recipe": recipe,
    "bundle": bundle,
    "people bundle": people_bundle,
    "skeletons": skeletons,
    "rooms": rooms,
    "help": help_texts,
}
MARKERS = re.compile(rf"(<!-- ({'|'.join(SECTIONS)}) -->\n).*?(<!-- end -->)", re.DOTALL)


@cache
def rendered(name: str) -> str:
    """A section as it should be."""
    return SECTIONS[name]()


def updated(text: str) -> str:
    """A page with its sections as they should be."""
    return MARKERS.sub(lambda found: f"{found[1]}{rendered(found[2])}\n{found[3]}", text)


if __name__ == "__main__":
    for page in pages():
        page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
