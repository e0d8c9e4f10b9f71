"""The page at `/docs`: the OpenAPI schema as plain HTML. Pure.

FastAPI's own page loads its program from the internet: on a network of cameras, which has none, it stays white.
This one is a single file without scripts, fonts or pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --code: #8882; --get: #27c; --post: #283; --delete: #b33 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
code { font: 0.9em ui-monospace, monospace; background: var(--code); padding: 0.1em 0.3em; border-radius: 3px }
table { border-collapse: collapse; width: 100%; margin-bottom: 1rem }
td, th { border-bottom: 1px solid var(--line); padding: 0.3rem; text-align: left; vertical-align: top }
section { border-top: 1px solid var(--line); margin-top: 1.5rem }
h3 { font-family: ui-monospace, monospace } b { color: var(--get) } b.post { color: var(--post) }
b.delete { color: var(--delete) } nav li { list-style: none }
"""


def render(schema: Schema) -> str:
    """The whole page of an OpenAPI 3.1 schema."""
    info = schema["info"]
    calls = [
        (path, method, operation) for path, methods in schema["paths"].items() for method, operation in methods.items()
    ]
    models: Schema = schema.get("components", {}).get("schemas", {})
    links = (
        f'<li><a href="#{_anchor(method, path)}">{_title(method, path)}</a></li>' for path, method, _operation in calls
    )
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">',
            f"<title>{escape(info['title'])}: REST</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{_prose(info.get('description', ''))}",
            '<p>The same for programs: <a href="openapi.json">openapi.json</a>. '
            'The messages of the WebSocket: <a href="v1/protocol">v1/protocol</a>.</p>',
            f"<nav><ul>{''.join(links)}</ul></nav>",
            *(_call(path, method, operation) for path, method, operation in calls),
            "<h2>Objects</h2>",
            *(_model(name, model) for name, model in models.items()),
            "</body></html>",
        )
    )


def _call(path: str, method: str, operation: Schema) -> str:
    parameters = (
        (_code(p["name"]), p["in"], _type(p.get("schema", {})), _about(p)) for p in operation.get("parameters", ())
    )
    bodies = (
        (_code(kind), _type(content.get("schema", {})))
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = (
        (escape(status), _inline(answer.get("description", "")), _contents(answer))
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    about = _prose(operation.get("description", ""))
    return (
        f'<section id="{_anchor(method, path)}"><h3>{_title(method, path)}</h3>{about}'
        f"{_table(('parameter', 'in', 'type', 'meaning'), parameters)}"
        f"{_table(('body', 'type'), bodies)}{_table(('answer', 'meaning', 'type'), answers)}</section>"
    )


def _model(name: str, model: Schema) -> str:
    fields = ((_code(key), _type(field), _about(field)) for key, field in model.get("properties", {}).items())
    return (
        f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{_prose(model.get("description", ""))}'
        f"{_table(('field', 'type', 'meaning'), fields)}</section>"
    )


def _type(schema: Schema) -> str:
    """A type in words, linked to its section where it is an object of this page."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if kinds := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(kind) for kind in kinds)
    if "const" in schema or "enum" in schema:
        return " or ".join(_code(str(value)) for value in schema.get("enum") or [schema["const"]])
    if schema.get("type") == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})]
        return f"list of {', '.join(_type(part) for part in parts)}"
    return escape(str(schema.get("type", "anything"))).replace("null", "nothing")


def _contents(answer: Schema) -> str:
    return ", ".join(
        f"{_code(kind)}: {_type(content['schema'])}" if content.get("schema") else _code(kind)
        for kind, content in answer.get("content", {}).items()
    )


def _about(field: Schema) -> str:
    schema = field.get("schema", field)
    parts = [_inline(field.get("description") or schema.get("description") or "")]
    if field.get("required") is True:
        parts.append("required")
    if (default := schema.get("default")) is not None:
        parts.append(f"default {_code(str(default))}")
    return "; ".join(part for part in parts if part)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, or nothing when it has no rows. The cells are HTML already."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><tr>{names}</tr>{body}</table>" if body else ""


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _title(method: str, path: str) -> str:
    return f'<b class="{escape(method)}">{escape(method.upper())}</b> {escape(path)}'


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}-{path.strip('/').replace('/', '-')}")
