"""A user's own ONNX file becomes a people bundle, or is refused with what is wrong with it."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from inkling.models.bundle import load_people, zoo_directory
from inkling.models.errors import BundleInvalid
from inkling.models.people.estimator import PeopleEstimator
from inkling.training.cli.command import main
from inkling.training.errors import ExportError
from inkling.training.export.people import export_people, made_up_pictures, verified
from tests.people_bundle import graph, picture

ABOUT = """
name = "mine"
version = "1"
skeleton = "coco17"
notices = ["LICENSE-mine.txt"]
[input]
height = 96
width = 128
[decoder]
kind = "detections"
[origin]
weights = "a rule about colours"
data = []
licences = ["none (LICENSE-mine.txt)"]
converted = "by hand"
created = "2026-01-01"
libraries = {}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a user brings."""
    (tmp_path / "colours.onnx").write_bytes(graph())
    (tmp_path / "about.toml").write_text(ABOUT)
    (tmp_path / "card.md").write_text("# mine 1\n")
    (tmp_path / "LICENSE-mine.txt").write_text("free\n")
    return tmp_path


def test_the_command_makes_a_bundle_that_finds_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "figures.json").write_text('{"figures": {"mine": {"found": 1.0}}, "text": "## How well"}')
    files = [str(folder / name) for name in ("colours.onnx", "about.toml", "bundles")]
    assert main(["export-people", *files, "--figures", str(folder / "figures.json")]) == 0
    assert "verified bundle in" in capsys.readouterr().out
    bundle = load_people(folder / "bundles" / "mine" / "1")
    assert bundle.spec.quality == {"mine": {"found": 1.0}}
    assert (bundle.path / "card.md").read_text() == "# mine 1\n\n## How well\n"
    assert (bundle.path / "LICENSE-mine.txt").read_text() == "free\n"
    run = verified(bundle)
    eyes = PeopleEstimator(bundle.spec, lambda images: run.run({"image": images}))
    (found,) = eyes.estimate([eyes.prepare(picture(96, 128, {2: (10, 10, 50, 90)}))])
    assert found.boxes.tolist() == [[10, 10, 50, 90]]


@pytest.mark.parametrize("name", ["people", "people-int8"])
def test_the_embedded_bundles_are_written_again_from_what_is_here(tmp_path: Path, name: str) -> None:
    embedded = zoo_directory() / name / "1"
    about = Path(__file__).parents[3] / "training" / "export" / "movenet" / f"{name}.toml"
    path = export_people(embedded / "people.onnx", about, tmp_path)
    again, shipped = load_people(path).spec, load_people(embedded).spec
    assert again.files["people.onnx"] == shipped.files["people.onnx"]
    measured: dict[str, object] = {"quality": {}, "files": {}}
    assert again.model_copy(update=measured) == shipped.model_copy(update=measured)


def test_a_graph_with_a_wrong_head_makes_no_bundle(folder: Path) -> None:
    (folder / "about.toml").write_text(
        ABOUT.replace('kind = "detections"', 'kind = "detections"\nboxes = "rectangles"')
    )
    with pytest.raises(BundleInvalid, match=r"needs the array 'output\.rectangles'"):
        export_people(folder / "colours.onnx", folder / "about.toml", folder / "bundles")
    assert not (folder / "bundles" / "mine" / "1").exists()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "about.toml").write_text("name ="), "about.toml: "),
        (lambda folder: (folder / "card.md").unlink(), "card.md cannot be read"),
        (lambda folder: (folder / "LICENSE-mine.txt").unlink(), "LICENSE-mine.txt cannot be read"),
        (lambda folder: (folder / "colours.onnx").write_bytes(b"\xff" * 99), "not an ONNX file"),
        (lambda folder: (folder / "about.toml").write_text(ABOUT.replace("96", "97")), "cannot be run"),
        (lambda folder: shutil.copy(folder / "card.md", folder / "colours.onnx"), "colours.onnx: "),
    ],
)
def test_files_that_cannot_be_used_are_named(folder: Path, spoil: object, reason: str) -> None:
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(ExportError, match=reason):
        export_people(folder / "colours.onnx", folder / "about.toml", folder / "bundles")


def test_the_made_up_pictures_are_always_the_same_and_all_different() -> None:
    first, second = made_up_pictures(64, 96)
    assert (made_up_pictures(64, 96) == [first, second]).all()
    assert (first != second).mean() > 0.5


class Rows(torch.nn.Module):
    """As YOLOs are: floats, channels first -> rows of box, score, class and joints. It finds what is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = torch.nn.functional.avg_pool2d(x, 160).mean(1).flatten(1)  # (B, 16) of 640 x 640 pixels
        score, cell = cells.topk(2, dim=1)
        corner = torch.stack([cell % 4, cell // 4], -1) * 160.0
        ones = torch.ones_like(score)[..., None]
        joints = torch.cat([corner + 80, 0.7 * ones], -1).repeat(1, 1, 17)
        return torch.cat([corner, corner + 160, score[..., None], 0 * ones, joints], -1)


def test_a_network_is_brought_as_the_how_to_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "bring-a-bundle.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (about,) = re.findall(r"```toml title=\"about.toml\"\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(folder)
    (folder / "about.toml").write_text(about)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter
        exec(program, {"torch": torch, "network": Rows()})  # noqa: S102
    bundle = load_people(export_people(Path("mine.onnx"), Path("about.toml"), Path("bundles")))
    run = verified(bundle)
    eyes = PeopleEstimator(bundle.spec, lambda images: run.run({"image": images}))
    image = np.zeros((320, 320, 3), np.uint8)
    image[80:160, 160:240] = 255
    (found,) = eyes.estimate([eyes.prepare(image)])
    np.testing.assert_allclose(found.boxes, [[160, 80, 240, 160]], atol=1)
    np.testing.assert_allclose(found.keypoints[0], np.tile([200, 120, 0.7], (17, 1)), atol=1)
