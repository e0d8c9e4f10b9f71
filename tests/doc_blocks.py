"""The code blocks of the documentation, and how each kind is run.

A fenced block is run, or the comment before it says why not:

    <!-- not run: needs a GPU -->
    <!-- output -->                  what the block before it prints; … stands for anything

| language | what is done with it |
|---|---|
| sh | run by bash; every command must succeed; `inkling serve` alone is a server for the rest of the page |
| console | lines after `$ ` are run, what is below them must be printed; … stands for anything |
| python | run by itself |
| toml, json, csv, yaml with a title | written to that file, and read by what reads it for a user |
| wire | spoken on a WebSocket: `->` is sent, `<-` must come; "…" stands for anything |
| text | no code |

The blocks of a page run in their order, in one folder, against one server. What a reader has and a test has not is
replaced: the server's address, the camera, the folder of the installation.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import yaml
from websockets.sync.client import connect

from inkling.service.demo.figure import pose
from inkling.service.settings import load_settings
from inkling.training.data.pose_dataset import DATASET_FILE, POSE_COLUMNS, REQUIRED_COLUMNS, DatasetFile
from inkling.training.data.spans import SPANS_FILE, read_spans
from inkling.training.recipe.recipe import Recipe
from tests.service.conftest import WAIT_S

ROOT = Path(__file__).parent.parent
SETTINGS_FILE = "inkling.toml"
NOT_CODE = ("text",)
RUN = ("sh", "console", "python", "toml", "json", "csv", "yaml", "wire")
ANYTHING = "…"
NOT_RUN = "not run: "
OUTPUT = "output"
CAMERA = "rtsp://USER:PASSWORD@camera.lan/stream"
SECONDS = 100.0
"""For one block."""
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *(?:title=\"(?P<title>[^\"]*)\")?(?P<rest>.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block. mark: the comment before it, or empty."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    mark: str = ""

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.language in RUN and not self.mark.startswith(NOT_RUN)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        if (fence := FENCE.match(lines[number])) is None:
            number += 1
            continue
        indent = fence["indent"]
        end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == "```")
        before = next((line.strip() for line in reversed(lines[:number]) if line.strip()), "")
        comment = re.fullmatch(r"<!-- (.*) -->", before)
        text = included("\n".join(line.removeprefix(indent) for line in lines[number + 1 : end]) + "\n")
        yield Block(page, number + 1, fence["language"], fence["title"] or "", text, comment[1] if comment else "")
        number = end + 1


def included(text: str) -> str:
    """The text with the files that it includes, as the site shows it."""
    return re.sub(
        r'^--8<-- "(.*)"$', lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), text, flags=re.MULTILINE
    )


def problem(block: Block) -> str | None:
    """Why a block is neither run nor honestly marked, or None."""
    if block.mark.startswith("not run"):
        reason = block.mark.removeprefix(NOT_RUN).strip()
        return None if block.mark.startswith(NOT_RUN) and len(reason) > 9 else "it is marked without a reason"
    if block.language not in (*RUN, *NOT_CODE):
        return f"the language {block.language!r} is not run, and it has no mark that says why"
    if block.language in ("toml", "json", "csv", "yaml") and not block.title:
        return "it has no title: which file is it?"
    return None


@dataclass
class Reader:
    """Somebody who follows a page to the letter: in a folder, beside a running server and a camera."""

    folder: Path
    url: str
    """Of the server."""
    camera: str
    """Its address."""
    printed: str = ""
    _own: subprocess.Popen[str] | None = None
    """The server that the page starts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.terminate()
            self._own.communicate(timeout=WAIT_S)

    def run(self, block: Block) -> None:
        """Do what a block says. Raises AssertionError where it does not do what the page claims."""
        if block.mark == OUTPUT:
            assert matches(block.text, self.printed), f"{block.where}: printed was\n{self.printed}"
        elif block.runs:
            getattr(self, f"_{block.language}")(block)

    def replaced(self, text: str) -> str:
        """The text with what a reader has in place of what is printed."""
        host = self.url.removeprefix("http://")
        text = re.sub(r"(127\.0\.0\.1|localhost):8000", host, text)
        text = re.sub(r"\b(Async)?Client\(\)", rf'\1Client("{self.url}")', text)
        verbs = r"\binkling (demo|stream|score|annotate|poses)\b(?!.*--(url|save))"
        text = re.sub(verbs, rf"inkling \1 --url {self.url}", text)
        text = text.replace(CAMERA, self.camera).replace("VideoCapture(0)", f'VideoCapture("{self.camera}")')
        return text.replace(".venv/bin/", "")

    def _do(self, *command: str, where: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        """With `inkling` and `python` of this environment first, and nothing that a terminal would add."""
        programs = self.folder / ".programs"
        if not programs.exists():
            programs.mkdir()
            for name, arguments in (("inkling", "-m inkling.service.cli.main "), ("python", "")):
                (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
                (programs / name).chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONWARNINGS": "error"}

    def _sh(self, block: Block) -> None:
        if block.text.startswith("inkling serve "):
            self._serve(block)
            return
        self.printed = self._do("bash", "-euo", "pipefail", "-c", self.replaced(block.text), where=block.where)

    def _serve(self, block: Block) -> None:
        """Start a server as printed, but on a free port; what follows on the page talks to it."""
        command = ["bash", "-c", f"exec {block.text.strip()} --port 0"]
        self._own = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._own.stdout is not None
        told = []
        for line in self._own.stdout:
            told.append(line)
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = address[0]
                return
        raise AssertionError(f"{block.where}: the server did not start\n{''.join(told)}")

    def _console(self, block: Block) -> None:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, told = part.partition("\n")
            self.printed = self._do("bash", "-euo", "pipefail", "-c", self.replaced(command), where=block.where)
            assert matches(self.replaced(told), self.printed), f"{block.where}: printed was\n{self.printed}"

    def _python(self, block: Block) -> None:
        self.printed = self._do(sys.executable, "-c", self.replaced(block.text), where=block.where)

    def _write(self, block: Block) -> Path:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.replaced(block.text), encoding="utf-8")
        return path

    def _toml(self, block: Block) -> None:
        path = self._write(block)
        if path.name == SETTINGS_FILE:
            load_settings(config=path)
        elif path.name == DATASET_FILE:
            DatasetFile.model_validate(tomllib.loads(block.text))
        else:  # a recipe, or a part of one
            whole = {"name": "x", "rate_hz": 10.0, "datasets": [{"path": "x"}]}
            Recipe.model_validate(whole | tomllib.loads(block.text))

    def _json(self, block: Block) -> None:
        text = self._write(block).read_bytes()
        if "keypoints" in block.text:
            answer = httpx.post(f"{self.url}/v1/clips?bundle=body-actions", content=text)
            assert answer.status_code == 200, f"{block.where}: {answer.text}"
        else:
            json.loads(text)

    def _csv(self, block: Block) -> None:
        head, *rows = csv.reader(self._write(block).read_text(encoding="utf-8").splitlines())
        if block.title is not None and block.title.endswith(SPANS_FILE):
            assert read_spans(self.folder / Path(block.title).parent)[1] == []
        else:
            assert set(REQUIRED_COLUMNS) <= set(head) <= set(POSE_COLUMNS)
        assert {len(row) for row in rows} == {len(head)}

    def _yaml(self, block: Block) -> None:
        yaml.safe_load(self._write(block).read_text(encoding="utf-8"))

    def _wire(self, block: Block) -> None:
        with connect(self.url.replace("http", "ws", 1) + "/v1/stream", open_timeout=WAIT_S) as socket:
            for part in re.split(r"^(?=->|<-)", block.text, flags=re.MULTILINE)[1:]:
                way, message = part[:2], json.loads(part[2:])
                if way == "->":
                    socket.send(json.dumps(_filled(message)))
                    continue
                heard = json.loads(socket.recv(WAIT_S))
                while heard["type"] != message["type"]:
                    assert heard["type"] in ("event", "credit"), f"{block.where}: {heard} came before {message}"
                    heard = json.loads(socket.recv(WAIT_S))
                assert alike(message, heard), f"{block.where}: {message} is not {heard}"


def _filled(message: dict[str, Any]) -> dict[str, Any]:
    """The message with a real pose where the page leaves one out."""
    for person in message.get("people", ()):
        if ANYTHING in person["keypoints"]:
            person["keypoints"] = pose("jumping_jacks", message["pts_s"]).tolist()
    return message


def alike(printed: Any, heard: Any) -> bool:
    """Whether a message is as printed: every field of the page, and no field that the page does not have."""
    if printed == ANYTHING:
        return True
    if isinstance(printed, dict):
        return set(printed) == set(heard) and all(alike(value, heard[key]) for key, value in printed.items())
    if isinstance(printed, list) and ANYTHING in printed:
        begin = printed[: printed.index(ANYTHING)]
        return all(alike(a, b) for a, b in zip(begin, heard, strict=False))
    return bool(printed == heard)


def matches(told: str, printed: str) -> bool:
    """Whether a text was printed, line by line; … stands for anything, spaces at the ends of lines for nothing."""
    pattern = ".*?".join(map(re.escape, _trimmed(told).split(ANYTHING)))
    return re.fullmatch(pattern, _trimmed(printed), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in textwrap.dedent(text).strip().splitlines())
