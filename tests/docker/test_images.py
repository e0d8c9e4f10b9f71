"""The Dockerfile and its locks. Building needs a builder: docker/README.md says how, and what was measured."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.docker.conftest import DOCKER, ROOT
from tests.support import skip_unless

LOCKS = {"cpu": ("serve", "cpu"), "gpu": ("serve", "gpu"), "training": ("train", "cpu")}
"""Lock of an image -> the extras that it installs."""


def locked(name: str) -> dict[str, str]:
    """Package -> version."""
    text = (DOCKER / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9_.-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE))


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    """What the base and these extras ask for; an extra that names another one brings that one's as well."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, open_ = [Requirement(line) for line in project["dependencies"]], list(extras)
    for name in open_:
        for entry in map(Requirement, project["optional-dependencies"][name]):
            if entry.name == project["name"]:
                open_ += entry.extras - set(open_)
            elif entry.marker is None or entry.marker.evaluate():
                found.append(entry)
    return found


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    skip_unless(linter is not None, "hadolint is not installed")
    done = subprocess.run([str(linter), str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_every_dependency_in_a_version_that_fits(name: str) -> None:
    versions, entries = locked(name), wanted(LOCKS[name])
    assert {"numpy", "av"} <= {entry.name for entry in entries}, "of the base, and of an extra that an extra names"
    for entry in entries:
        assert entry.name in versions, f"{entry.name}: make the lock anew, see docker/README.md"
        assert entry.specifier.contains(versions[entry.name]), entry


def test_the_training_image_is_without_the_server() -> None:
    assert not {"fastapi", "uvicorn", "starlette", "prometheus-client"} & set(locked("training"))


@pytest.mark.parametrize("name", [*LOCKS, "build"])
def test_every_package_of_a_lock_has_hashes_and_no_index_is_named(name: str) -> None:
    text = (DOCKER / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(locked(name))
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_service_images_are_without_training_and_test_packages(name: str) -> None:
    training = {"torch", "lightning-fabric", "onnx", "scipy", "matplotlib", "tensorboard"}
    foreign = training | {"pytest", "mypy", "ruff", "pip"}
    assert not foreign & set(locked(name))


def test_only_one_onnxruntime_is_in_an_image() -> None:
    kinds = {name: {package for package in locked(name) if package.startswith("onnxruntime")} for name in LOCKS}
    assert kinds == {"cpu": {"onnxruntime"}, "gpu": {"onnxruntime-gpu"}, "training": {"onnxruntime"}}


def test_cuda_and_cudnn_come_with_the_engine_of_the_gpu_image() -> None:
    packages = set(locked("gpu"))
    assert any(package.startswith("nvidia-cudnn") for package in packages)
    assert any(package.startswith("nvidia-cublas") for package in packages)


def test_nothing_but_the_sources_and_locks_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    copied = {path for line in copies for path in line.split()}
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert {path for path in copied if path != "docker/requirements/build.txt"} | {
        "docker/requirements/*.txt"
    } == allowed
