"""The walls of the house: who may import whom, read from the source and seen from a running interpreter."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from inkling.models.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
TRAINING_ONLY = {
    "torch",
    "lightning_fabric",
    "onnx",
    "scipy",
    "matplotlib",
    "tensorboard",
}
SHELLS = {"asyncio", "socket", "threading", "time", "datetime", "uvicorn", "fastapi", "starlette", "httpx"} | {
    f"websockets.{shell}" for shell in ("asyncio", "sync", "server", "client", "legacy", "proxy")
}

ROOMS = {
    "service": {
        # room: the rooms below that it may use; the files that lie loose in service/ count by their own names
        "protocol": set(),
        "client": {"protocol"},
        "access": {"protocol"},
        "engine": {"protocol"},
        "inputs": {"protocol", "engine"},
        "perception": {"protocol", "engine", "inputs"},
        "streams": {"protocol", "engine", "inputs", "perception", "memory_account"},
        "websocket": {"protocol", "access", "streams", "metrics", "logs", "patience", "memory_account"},
        "clips": {"protocol", "streams", "memory_account", "child_process"},
        "sources": {
            *("protocol", "inputs", "perception", "streams", "version", "logs", "memory_account", "child_process"),
        },
        "http": {
            *("protocol", "access", "inputs", "streams", "clips", "sources", "bootstrap", "metrics", "settings"),
            *("version", "patience", "memory_account"),
        },
        "demo": {"protocol", "client"},
        "annotate": {"protocol", "client"},
        "cli": {"protocol", "access", "client", "demo", "annotate", "server", "settings", "version", "logs"},
    },
    "training": {
        "augment": {"labels"},
        "recipe": {"augment", "errors"},
        "networks": {"recipe", "errors"},
        "data": {"recipe", "networks", "augment", "files", "labels", "seeds", "errors"},
        "distill": {"data", "recipe", "networks", "augment", "files", "labels", "seeds", "scores", "errors"},
        "calibrate": {"errors", "data", "recipe", "run", "files", "scores"},
        "evaluate": {
            *("calibrate", "data", "recipe", "augment", "run", "files", "labels", "scores", "seeds", "markdown"),
            *("recogniser", "errors"),
        },
        "export": {"evaluate", "recipe", "run", "errors"},
        "prepare": {"data", "networks", "evaluate", "labels", "files", "errors"},
        "recipes": set(),
        "cli": {
            *("prepare", "recipe", "distill", "calibrate", "evaluate", "export", "networks", "study"),
            *("fit", "new", "run", "files", "progress", "errors"),
        },
        "study": {
            *("distill", "data", "recipe", "augment", "fit", "run", "files"),
            *("provenance", "labels", "scores", "markdown", "errors"),
        },
    },
}
PURE_ROOMS = {
    "service/protocol": set(),
    "service/streams": {"hub.py", "loaded_bundle.py", "delivery.py", "admitted_stream.py", "broadcast.py"},
}
"""Rooms in which everything is pure, but for these files."""


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no sources in {package}"
    return found


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports anywhere: `import a.b` gives a.b, `from a import b` gives a.b."""
    package = ["inkling", *path.relative_to(ROOT).with_suffix("").parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def offences(paths: list[Path], forbidden: set[str]) -> list[str]:
    """`file: name` for each import of a forbidden module or of anything inside one."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imports(path)
        if any(name == module or name.startswith(f"{module}.") for module in forbidden)
    ]


def test_the_search_finds_imports_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "service" / "demo" / "x.py"
    file.parent.mkdir(parents=True)
    file.write_text("import a.b as c\ndef f():\n    from d import e\n    from . import g\n    from ..h import i\n")
    assert sorted(imports(file)) == ["a.b", "d.e", "inkling.service.demo.g", "inkling.service.h.i"]
    assert offences([file], {"a", "inkling.service.h"}) == [
        *("service/demo/x.py: a.b", "service/demo/x.py: inkling.service.h.i")
    ]
    assert offences([file], {"a.b.c", "inkling.service.demo.gg"}) == []


def test_the_service_imports_nothing_of_training() -> None:
    assert offences(sources("service"), TRAINING_ONLY | {"inkling.training", "inkling.models.networks", "tests"}) == []


def test_training_imports_nothing_of_the_service() -> None:
    assert offences(sources("training"), {"inkling.service", "tests"}) == []


def test_models_import_neither_wing_and_no_runtime_outside_the_networks() -> None:
    networks = ROOT / "models" / "networks"
    assert offences(sources("models"), {"inkling.service", "inkling.training", "tests"}) == []
    outside = [path for path in sources("models") if networks not in path.parents]
    assert offences(outside, TRAINING_ONLY | {"inkling.models.networks", "onnxruntime", "fastapi", "starlette"}) == []


def rooms_used(wing: str, room: str) -> dict[str, set[str]]:
    """Which other rooms and loose files of its wing a room imports, and the files that do."""
    used: dict[str, set[str]] = {}
    for path in sources(f"{wing}/{room}"):
        for name in imports(path):
            if name.startswith(f"inkling.{wing}."):
                used.setdefault(name.split(".")[2], set()).add(path.name)
    used.pop(room, None)
    return used


@pytest.mark.parametrize(("wing", "room"), [(wing, room) for wing, rooms in ROOMS.items() for room in rooms])
def test_a_room_uses_only_the_rooms_below_it(wing: str, room: str) -> None:
    used = rooms_used(wing, room)
    assert {below: files for below, files in used.items() if below not in ROOMS[wing][room]} == {}


@pytest.mark.parametrize("wing", ROOMS)
def test_every_room_is_on_the_plan_and_no_room_is_above_itself(wing: str) -> None:
    folders = {path.parent.name for path in (ROOT / wing).glob("*/__init__.py")}
    assert folders == set(ROOMS[wing])
    TopologicalSorter(ROOMS[wing]).prepare()  # raises CycleError


@pytest.mark.parametrize("room", ["protocol", "client"])
def test_what_users_install_needs_nothing_of_the_server(room: str) -> None:
    forbidden = {"onnxruntime", "fastapi", "starlette", "uvicorn", "prometheus_client"}
    assert offences(sources(f"service/{room}"), forbidden) == []
    names = [name for path in sources(f"service/{room}") for name in imports(path)]
    outside = {name for name in names if name.startswith("inkling.models.")}
    assert {name.split(".")[2] for name in outside} <= {
        "clean_decoding",
        "errors",
        "extras",
        "npz",
        "problems",
        "video",
    }


def test_only_the_engine_imports_onnxruntime() -> None:
    others = [path for path in sources("service") if path != ROOT / "service" / "engine" / "onnx_engine.py"]
    assert offences(others, {"onnxruntime"}) == []


def test_only_one_room_touches_a_servers_websocket() -> None:
    others = [path for path in sources("service") if path.parent != ROOT / "service" / "websocket"]
    names = ("WebSocket", "WebSocketDisconnect", "WebSocketState", "WebSocketException")
    found = offences(others, {"starlette.websockets", "fastapi.websockets", *(f"fastapi.{name}" for name in names)})
    # The application declares the route and hands it on.
    assert set(found) <= {"service/http/app.py: fastapi.WebSocket"}


def pure_files() -> list[str]:
    """Those of the pure rooms, and whatever says of itself in its first lines that it is pure."""
    found = []
    for package in ("models", "service", "training"):
        for path in sources(package):
            file = path.relative_to(ROOT).as_posix()
            claims = re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
            room = path.parent.relative_to(ROOT).as_posix()
            if claims or (room in PURE_ROOMS and path.name not in PURE_ROOMS[room]):
                found.append(file)
    return found


@pytest.mark.parametrize("file", pure_files())
def test_what_is_pure_knows_no_loop_no_socket_and_no_clock(file: str) -> None:
    threads = {f"inkling.service.engine.{name}" for name in ("onnx_engine", "batcher", "batch_thread")}
    assert offences([ROOT / file], SHELLS | {"onnxruntime", "inkling.service.streams.hub"} | threads) == []


def test_many_files_are_pure() -> None:
    assert len(pure_files()) > 30, "else the search above finds nothing"


def test_no_library_code_ends_the_process() -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("models", "service", "training")
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("exit", "_exit")
        if isinstance(node.value, ast.Name) and node.value.id in ("sys", "os")
        if not _guarded_by_main(path, node.lineno)
    ]
    assert calls == []


def _guarded_by_main(path: Path, line: int) -> bool:
    """Whether a line stands in the file's `if __name__ == "__main__":` block."""
    return any(
        isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if node.lineno <= line <= (node.end_lineno or node.lineno)
    )


def test_nothing_is_imported_by_the_names_of_the_folders() -> None:
    """From a checkout `import service` works too, and would load everything a second time under another name."""
    paths = [path for package in ("models", "service", "training", "tests") for path in sources(package)]
    assert offences(paths, {"models", "service", "training"}) == []


def modules(package: str) -> list[str]:
    """Every module of a package by dotted name, without those that run when imported."""
    return [
        ".".join(("inkling", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in sources(package)
        if path.name != "__main__.py"
    ]


def loaded_by(names: list[str], all_modules: bool = False) -> set[str]:
    """Top-level modules, and `inkling.X`, in a fresh interpreter after importing `names`; or every module."""
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "top = {'.'.join(name.split('.')[: 1 + name.startswith('inkling.')]) for name in sys.modules}\n"
        f"print(json.dumps(sorted({'sys.modules' if all_modules else 'top'})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(names)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_whole_service_runs_without_torch() -> None:
    names = modules("service")
    assert {"inkling.service.http.app", "inkling.service.cli.main"} <= set(names)
    assert loaded_by(names) & (TRAINING_ONLY | {"inkling.training"}) == set()


def test_the_client_and_the_protocol_load_nothing_that_the_base_install_lacks() -> None:
    loaded = loaded_by(["inkling.client", "inkling.service.client.pose_files", *modules("service/protocol")])
    assert "numpy" in loaded
    assert loaded & set(EXTRAS) == set()
    everything = loaded_by(["inkling.client"], all_modules=True)
    assert "inkling.service.client.blocking" in everything
    assert "inkling.models.video" not in everything


def test_the_command_line_starts_without_what_the_base_install_lacks() -> None:
    assert loaded_by(["inkling.service.cli.main"]) & set(EXTRAS) == set()


def test_the_bundle_needs_neither_torch_nor_a_runtime() -> None:
    names = [name for name in modules("models") if not name.startswith("inkling.models.networks")]
    assert loaded_by(names) & (TRAINING_ONLY | {"onnxruntime", "inkling.service", "inkling.training"}) == set()
