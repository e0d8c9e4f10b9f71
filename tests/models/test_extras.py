from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from inkling.models.extras import EXTRAS, missing

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMES = {"cv2": "opencv-python-headless", "starlette": "fastapi"}
"""What brings a package that is not named as it is imported."""


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_that_is_named_brings_the_package(package: str) -> None:
    name = NAMES.get(package, package.replace("_", "-"))
    brought = PROJECT["optional-dependencies"][EXTRAS[package]]
    assert [one for one in brought if one.startswith((f"{name}>", f"{name}=", f"{name}["))], brought


def test_the_sentence_names_the_package_the_extra_and_how_it_is_installed() -> None:
    assert missing("cv2.gapi", "this") == (
        "this needs the package 'cv2', which comes with the extra images; in a checkout: pip install '.[images]'"
    )


def test_what_has_an_extra_of_its_own_names_that() -> None:
    assert "extra train;" in str(missing("rich", "training", "train"))


@pytest.mark.parametrize("package", [None, "", "somebody_elses"])
def test_of_other_packages_nothing_is_said(package: str | None) -> None:
    assert missing(package, "this") is None
