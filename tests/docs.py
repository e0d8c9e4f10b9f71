"""The tables of README that code knows better: quality, promises, errors, settings, metrics, measured performance.

    python -m tests.docs        write them into README.md between their markers

`tests/test_docs.py` fails when README differs from what this would write.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from inkling.models.bundle import Registry, load, zoo_directory
from inkling.service.metrics import Metrics
from inkling.service.protocol.errors import ServiceError
from inkling.service.settings import FIELDS
from inkling.training.markdown import table
from tests.benchmarks import report

README = Path(__file__).parent.parent / "README.md"


def settings() -> str:
    rows = []
    for name, field in FIELDS.items():
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str("" if default is None else default)
        rows.append((f"`INKLING_{name.upper()}`", f"`{shown}`" if shown else "", field.description or ""))
    return table(("variable", "default", "meaning"), rows)


def _place(kind: type[ServiceError]) -> tuple[bool, int, str]:
    return kind.close is not None, kind.close or 0, kind.code


def errors() -> str:
    kinds = sorted(ServiceError.__subclasses__(), key=_place)
    rows = (
        (
            f"`{kind.code}`",
            "" if kind.close is None else str(kind.close),
            str(kind.http),
            "yes" if kind.retryable else "",
            " ".join((kind.__doc__ or "").split()),
        )
        for kind in kinds
    )
    return table(("code", "close", "HTTP", "retry", "meaning"), rows)


def metrics() -> str:
    families = [family for family in Metrics("0").collect() if family.name.startswith("inkling_")]
    suffix = {"counter": "_total"}
    rows = ((f"`{f.name}{suffix.get(f.type, '')}`", f.type, f.documentation) for f in families)
    return table(("metric", "type", "meaning"), rows)


def quality() -> str:
    """Accuracy by observed share of each embedded bundle, from what its `bundle.json` says of itself."""
    registry, rows = Registry([zoo_directory()]), []
    for name in sorted({found.name for found in registry.scan()}):
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
    for name in sorted({found.name for found in registry.scan()}):
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
    head = ("bundle", "test clips of", "promised", "wrong", "decided", "of the action needed", "never decided")
    return table(head, rows)


def _percent(scores: dict[str, Any]) -> list[str]:
    return [f"{100 * share:.1f}" for share in (scores["auc"], *scores["accuracy"])]


SECTIONS = {
    "quality": quality,
    "promises": promises,
    "error": errors,
    "settings": settings,
    "metrics": metrics,
    "performance": performance,
}


def updated(text: str) -> str:
    """README with its tables as they should be. Raises ValueError when a section's markers are missing."""
    for name, render in SECTIONS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = pattern.search(text)
        count = len(pattern.findall(text))
        if found is None or count != 1:
            raise ValueError(f"README has {count} sections {name!r}, not 1")
        text = f"{text[: found.end(1)]}{render()}\n{text[found.start(2) :]}"
    return text


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
