"""The figures on paper: Markdown between markers, `results.json` and a plot beside it.

python -m tests.benchmarks.report [FILE]     # write FILE (README.md here) again from its results.json
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

from inkling.training.markdown import table
from tests.benchmarks.command import Benchmark, Row
from tests.benchmarks.figures import SHARES

NAMES = ("throughput", "capacity", "latency", "memory", "fairness", "mixed", "video", "eyes")
HERE = Path(__file__).parent
RESULTS, PLOT = "results.json", "latency.png"
SECTION = re.compile(r"(<!-- results -->\n).*?(<!-- end -->)", re.DOTALL)


def benchmark(name: str) -> Benchmark:
    found: Benchmark = importlib.import_module(f"tests.benchmarks.{name}").BENCHMARK
    return found


def markdown(results: dict[str, Any], plot: bool = False) -> str:
    """Tables of every result, in the order of NAMES."""
    parts = []
    for name in NAMES:
        if result := results.get(name):
            parts.append(_part(name, result))
    if plot:
        parts.append(f"![How long answers take, and p99 by number of streams]({PLOT})\n")
    return "\n".join(parts)


def _part(name: str, result: dict[str, Any]) -> str:
    where = result["machine"]
    rows = [row.cells() for row in benchmark(name).rows(result)]
    lines = [f"### {name}", "", f"`python -m tests.benchmarks.{name}`", ""]
    lines.append(table(("what", "median (least to greatest)", "target", ""), rows, right=(1, 2)))
    busy = result["otherwise_busy"]
    about = f"{where['processor']}, {where['cores']} cores; {where['pinning']}; {result['rounds']} rounds"
    lines += ["", about + (f"; other work took {busy:.0%} of the machine" if busy > 0.02 else "") + ".", ""]
    return "\n".join(lines)


def against_targets(results: dict[str, Any]) -> list[Row]:
    """The rows that have a target."""
    return [row for name in NAMES if name in results for row in benchmark(name).rows(results[name]) if row.target]


def updated(text: str, results: dict[str, Any], plot: bool) -> str:
    """A document with its section of results as it should be; a document without one gets it at its end."""
    if not SECTION.search(text):
        text = f"{text.rstrip()}\n\n<!-- results -->\n<!-- end -->\n".lstrip()
    return SECTION.sub(lambda found: f"{found.group(1)}{markdown(results, plot)}{found.group(2)}", text)


def write(path: Path, new: dict[str, Any]) -> None:
    """Put results into the document and beside it; those of benchmarks that did not run are kept."""
    record = path.with_name(RESULTS)
    results = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    results = {name: found for name in NAMES if (found := new.get(name) or results.get(name))}
    record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    plotted = draw(results, path.with_name(PLOT))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(updated(text, results, plotted), encoding="utf-8")


def draw(results: dict[str, Any], path: Path) -> bool:
    """Latencies as a picture; False when there is nothing to draw, or nothing to draw it with."""
    if "latency" not in results or importlib.util.find_spec("matplotlib") is None:
        return path.exists()
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    for streams, row in results["latency"]["distributions_ms"].items():
        left.plot(row, SHARES, label=f"{streams} streams")
    left.set(xscale="log", xlabel="ms from sent to received", ylabel="% of predictions", title="at 30 Hz")
    left.legend()
    for kind in ("json", "packed"):
        if found := results.get("capacity", {}).get("held", {}).get(kind):
            asked = sorted((seen["streams"], seen["p99_ms"]) for seen in found["asked"])
            right.plot(*zip(*asked, strict=True), ".-", label=f"{kind} results")
    right.axhline(50, color="grey", linewidth=0.8)
    right.set(yscale="log", xlabel="streams at 30 Hz", ylabel="p99, ms", title="every load of the search")
    if right.lines[:-1]:
        right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})
    pyplot.close(figure)
    return True


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "README.md", {})
