"""The walls of the house: who may import whom, read from the source and seen from a running interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TRAINING_ONLY = {
    "torch",
    "lightning",
    "pytorch_lightning",
    "torchmetrics",
    "onnx",
    "scipy",
    "matplotlib",
    "tensorboard",
}
SHELLS = {"asyncio", "socket", "threading", "time", "datetime", "uvicorn", "fastapi", "starlette", "websockets"}

PURE = (
    "models/calibration.py",
    "models/commitment.py",
    "models/clock.py",
    "models/skeletons.py",
    "service/ages.py",
    "service/decision.py",
    "service/image_headers.py",
    "service/images.py",
    "service/messages.py",
    "service/packed.py",
    "service/poses.py",
    "service/promised.py",
    "service/protocol.py",
    "service/schedule.py",
    "service/inbox.py",
    "service/session.py",
    "service/row_graph.py",
    "service/sources/address.py",
    "service/sources/pace.py",
    "service/sources/policy.py",
    "service/sources/state.py",
    "service/sources/times.py",
    "service/sources/wire.py",
    "service/tracks.py",
)


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no sources in {package}"
    return found


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports anywhere: `import a.b` gives a.b, `from a import b` gives a.b."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
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
    assert sorted(imports(file)) == ["a.b", "d.e", "service.demo.g", "service.h.i"]
    assert offences([file], {"a", "service.h"}) == ["service/demo/x.py: a.b", "service/demo/x.py: service.h.i"]
    assert offences([file], {"a.b.c", "service.demo.gg"}) == []


def test_the_service_imports_nothing_of_training() -> None:
    assert offences(sources("service"), TRAINING_ONLY | {"training", "models.networks", "tests"}) == []


def test_training_imports_nothing_of_the_service() -> None:
    assert offences(sources("training"), {"service", "tests"}) == []


def test_models_import_neither_wing_and_no_runtime_outside_the_networks() -> None:
    networks = ROOT / "models" / "networks"
    assert offences(sources("models"), {"service", "training", "tests"}) == []
    outside = [path for path in sources("models") if networks not in path.parents]
    assert offences(outside, TRAINING_ONLY | {"models.networks", "onnxruntime", "fastapi", "starlette"}) == []


def test_only_the_engine_imports_onnxruntime() -> None:
    others = [path for path in sources("service") if path != ROOT / "service" / "engine.py"]
    assert offences(others, {"onnxruntime"}) == []


def test_only_the_socket_shell_touches_a_servers_websocket() -> None:
    others = [path for path in sources("service") if path != ROOT / "service" / "socket.py"]
    names = ("WebSocket", "WebSocketDisconnect", "WebSocketState", "WebSocketException")
    found = offences(others, {"starlette.websockets", "fastapi.websockets", *(f"fastapi.{name}" for name in names)})
    assert found in ([], ["service/app.py: fastapi.WebSocket"])  # the application declares the route and hands it on


@pytest.mark.parametrize("file", PURE)
def test_what_is_pure_knows_no_loop_no_socket_and_no_clock(file: str) -> None:
    assert offences([ROOT / file], SHELLS | {"onnxruntime", "service.engine", "service.batcher", "service.hub"}) == []


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


def test_every_package_is_in_the_distribution() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in ("models", "service", "training")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == found


def modules(package: str) -> list[str]:
    """Every module of a package by dotted name, without those that run when imported."""
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources(package)
        if path.name != "__main__.py"
    ]


def loaded_by(names: list[str]) -> set[str]:
    """Top-level modules in a fresh interpreter after importing `names`."""
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(names)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_whole_service_runs_without_torch() -> None:
    names = modules("service")
    assert {"service.app", "service.cli"} <= set(names)
    assert loaded_by(names) & (TRAINING_ONLY | {"training"}) == set()


def test_the_bundle_needs_neither_torch_nor_a_runtime() -> None:
    names = [name for name in modules("models") if not name.startswith("models.networks")]
    assert loaded_by(names) & (TRAINING_ONLY | {"onnxruntime", "service", "training"}) == set()
