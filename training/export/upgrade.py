"""A new version of a bundle of an earlier release: the same model, with the file that lets its state stay on a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import onnx

from inkling.models.bundle import load, write
from inkling.models.bundle.schema import CARD_FILE, BundleSpec
from inkling.training.errors import ExportError
from inkling.training.evaluate.onnx_graph import verified_graph
from inkling.training.export.row_graph import rows_onnx


def upgrade(bundle: Path | str, out: Path | str, version: str) -> Path:
    """Write `out/NAME/version` from a bundle without `rows.onnx`, which stays as it is; returns the new path.

    Weights, test vector, calibration, quality and provenance are the old ones; the card says which version it was.
    Raises ExportError when the bundle has `rows.onnx` already, BundleError when it is broken or the version exists.
    """
    old = load(bundle)
    spec = old.spec
    if old.rows is not None:
        raise ExportError(f"{spec.full_name} has all that this release writes; there is nothing to upgrade")
    step = _renamed(old.step, spec.name, version)
    fields = {name: value for name, value in spec if name not in ("schema_version", "opset", "files")}
    return write(
        Path(out),
        fields | {"version": version},
        step,
        old.vector,
        _card((old.path / CARD_FILE).read_text(encoding="utf-8"), spec, version),
        rows_onnx(step, spec.logits, spec.state),
        verify=verified_graph,
    )


def _renamed(step: bytes, name: str, version: str) -> bytes:
    """The same graph under another version."""
    model = onnx.load_model_from_string(step)
    onnx.helper.set_model_props(model, {"name": name, "version": version})
    return bytes(model.SerializeToString())


def _card(text: str, spec: BundleSpec, version: str) -> str:
    """The card of the new version: its own name in the title and in commands, and where it comes from."""
    text = text.replace(f"# {spec.name} {spec.version}\n", f"# {spec.name} {version}\n", 1)
    text = re.sub(rf"\b{re.escape(spec.full_name)}(?![\w.])", f"{spec.name}/{version}", text)
    return (
        f"{text.rstrip()}\n\n## Version\n\nThe model of version {spec.version}, unchanged; "
        "`inkling train upgrade` added `rows.onnx`, with which a GPU keeps the state of all tracks.\n"
    )
