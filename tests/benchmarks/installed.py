"""What the base install costs a user: the time that `import inkling.client` takes, and the size on disk.

    python -m tests.benchmarks.installed [--rounds 5]

The checkout's wheel is installed as a user would, with its dependencies, into an environment of its own: an index
must be within reach. Each import happens in a fresh interpreter, of which a bare start is taken off; the first one,
which compiles, does not count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.processes import BenchmarkFailed
from tests.support import copy_checkout

IMPORT_S, SIZE_MB = 0.5, 100


def _took_s(python: Path, code: str) -> float:
    begin_s = time.perf_counter()
    subprocess.run([python, "-I", "-c", code], check=True)
    return time.perf_counter() - begin_s


def measure(rounds: int, _: float) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        source, installed = Path(folder) / "source", Path(folder) / "installed"
        source.mkdir()
        venv.create(installed, with_pip=False, symlinks=True)
        python, before = installed / "bin" / "python", _bytes(installed)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(copy_checkout(source))]
        if subprocess.run(pip, check=False, capture_output=True).returncode:
            raise BenchmarkFailed("pip could not install the client")
        size_mb = (_bytes(installed) - before) / 1e6
        _took_s(python, "import inkling.client")
        found = [_took_s(python, "import inkling.client") - _took_s(python, "") for _ in range(rounds)]
    return {"import_s": Spread.of(found).as_json(), "size_mb": round(size_mb, 1)}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def rows(result: Result) -> list[Row]:
    return [
        Row.at_most("import inkling.client", spread(result["import_s"]), IMPORT_S, unit=" s"),
        Row("installed", f"{result['size_mb']:g} MB", f"≤ {SIZE_MB} MB", result["size_mb"] <= SIZE_MB),
    ]


BENCHMARK = Benchmark("installed", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
