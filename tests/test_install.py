"""What is installed, from the outside: real archives, real environments, real pip.

Building and most environments need no index: setuptools comes with the extra `dev`, and an environment may look into
the packages of the one that runs the tests. Only the base install fetches its dependencies as a user's would.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.conftest import running, tiny_settings
from tests.support import CHECKOUT, copy_checkout, make_bundle, skip_unless

pytestmark = pytest.mark.timeout(300)  # the base install is downloaded

HOUSE = ("models", "service", "training")
OF_THE_REPOSITORY = ("service/demo/demo.svg", "training/results/")
"""What lies among the modules and is not installed: a picture for the README, tables of studies that were run."""
SETTINGS = ("INKLING_", "PYTHON")
"""Beginnings of environment variables that would change what an installed Inkling does."""

OF_THE_SERVER = ("fastapi", "starlette", "uvicorn", "prometheus_client")
NOT_IN_THE_BASE = {
    *OF_THE_SERVER,
    *("av", "cv2", "onnxruntime", "rich", "torch", "lightning", "onnx", "scipy", "matplotlib"),
}
BASE_MB = 116
"""Of which 15 are the models that find people: the wheel carries the bundles whatever is installed of it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment without a pip of its own: the pip of the running one installs into it."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.path)}))

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run([sys.executable, "-m", "pip", "--python", str(self.python), *arguments], self.path)


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, with nothing set that points at this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def output(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """What a command prints; it must succeed and keep stderr empty."""
    done = run(command, folder, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.strip()


def succeeded(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def environment(path: Path) -> Environment:
    venv.create(path, with_pip=False, symlinks=True)
    return Environment(path)


def borrowing(path: Path, *, without: Sequence[str] = ()) -> Environment:
    """An environment that finds the packages of the running one after its own, but for those modules."""
    made = environment(path)
    # Nothing in that folder is read for further paths, so an editable Inkling there stays out of sight.
    hidden = [f"import sys; sys.modules[{name!r}] = None" for name in without]
    (made.packages / "borrowed.pth").write_text("\n".join([sysconfig.get_path("purelib"), *hidden, ""]))
    return made


def add(made: Environment, *what: str) -> None:
    """Install into an environment that borrows, without dependencies; an Inkling among what it borrows stays there."""
    succeeded(made.pip("install", "--no-index", "--no-deps", "--ignore-installed", *what))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what packages are made of, links as links, without anything that is built or ignored."""
    copy = copy_checkout(tmp_path_factory.mktemp("checkout"))
    assert all((copy / "src" / "inkling" / name).is_symlink() for name in HOUSE)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    succeeded(run([sys.executable, "-c", build, folder], checkout))
    return only(folder, "*.tar.gz")


def wheel_of(source: Path | str, folder: Path) -> Path:
    """Built by pip, with the setuptools of the running environment."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    succeeded(run([*command, "--wheel-dir", folder, source], folder))
    return only(folder, "*.whl")


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, found
    return found[0]


def contents(wheel: Path) -> dict[str, bytes]:
    """Name -> contents of each file, without the metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


# -- the archives -------------------------------------------------------------------------------------------------
def test_a_wheel_has_nothing_at_the_top_but_inkling_and_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    version = wheel.name.split("-")[1]
    assert tops == {"inkling", f"inkling_vision-{version}.dist-info"}


def test_a_wheel_has_every_file_of_the_three_folders(checkout: Path, wheel: Path) -> None:
    """Modules, the embedded bundles, recipes, and whatever else lies there."""
    found = set(contents(wheel))
    for name in HOUSE:
        files = {path.relative_to(checkout).as_posix() for path in (checkout / name).rglob("*") if path.is_file()}
        assert len(files) > 10
        left_out = {file for file in files if f"inkling/{file}" not in found}
        assert [file for file in sorted(left_out) if not file.startswith(OF_THE_REPOSITORY)] == [], (
            "package-data in pyproject.toml names the files that are no modules"
        )
    assert {"inkling/__init__.py", "inkling/client.py", "inkling/py.typed"} <= found
    assert any(name.startswith("inkling/models/zoo/") and name.endswith("/step.onnx") for name in found)


def test_an_sdist_has_files_in_place_of_the_links_and_gives_the_same_wheel(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert members
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert contents(wheel_of(sdist, tmp_path)) == contents(wheel)


def test_a_git_address_gives_a_wheel(tmp_path: Path) -> None:
    """Of the last commit: what a clone makes of the links."""
    skip_unless((CHECKOUT / ".git").exists(), "this is no git checkout")
    found = contents(wheel_of(f"git+{CHECKOUT.as_uri()}", tmp_path))
    assert {"inkling/client.py", "inkling/service/server.py", "inkling/models/clock.py"} <= set(found)
    assert {name.split("/")[0] for name in found} == {"inkling"}


# -- beside a user's own files ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder, with the names that ours have in the repository; whoever imports one of them fails."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("models/__init__.py", "service.py", "training.py", "client.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise RuntimeError('a file of the user')\n")
    return folder


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel and what it asks for, in an environment that had nothing."""
    made = environment(tmp_path_factory.mktemp("base") / "venv")
    done = made.pip("install", "--retries", "1", str(wheel))
    unreachable = "No matching distribution found" in done.stderr or "Could not install packages" in done.stderr
    skip_unless(not unreachable, f"pip reaches no index: {done.stderr[-300:]}")
    succeeded(done)
    return made


def test_the_client_works_from_the_base_install_beside_a_users_models_and_service(
    base: Environment, clashing: Path, tmp_path: Path
) -> None:
    """It streams to a server: the whole client, not only its import."""
    make_bundle(tmp_path)
    program = clashing / "program.py"
    program.write_text(
        "import sys\n"
        "from inkling.client import AsyncClient, Client\n"
        "with Client(sys.argv[1]).stream('tiny') as stream:\n"
        "    print(len(stream.labels))\n"
    )
    with running(tiny_settings(tmp_path)) as server:
        assert output([base.python, program, server.url], clashing) == "3"


def test_the_base_install_has_the_command(base: Environment, clashing: Path) -> None:
    assert output([base.path / "bin" / "inkling", "--version"], clashing).startswith("inkling 0.")


def test_the_base_install_says_how_the_server_is_installed(base: Environment, clashing: Path) -> None:
    """By commands that work today: none of them asks the index for a name that is not there, or is somebody else's."""
    done = run([base.path / "bin" / "inkling", "serve"], clashing)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    commands = re.findall(r"pip install ('[^']+'|\S+)", done.stderr)
    assert commands
    assert [command for command in commands if not command.startswith("'.[serve")] == []


def test_importing_the_client_loads_nothing_that_it_does_not_need(full: Environment, clashing: Path) -> None:
    """However much else is installed: what makes its import slow is what it loads."""
    code = "import inkling.client, json, sys; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(output([full.python, "-c", code], clashing)))
    assert "inkling.client" in loaded
    assert {name.split(".")[0] for name in loaded} & NOT_IN_THE_BASE <= {"rich"}, "httpx takes it where it is there"
    rooms = {name.split(".")[2] for name in loaded if name.startswith("inkling.service.")}
    assert rooms == {"client", "protocol"}


def test_the_base_install_is_small_and_has_nothing_of_the_server_or_the_training(base: Environment) -> None:
    tops = {path.name.removesuffix(".py") for path in base.packages.iterdir()}
    assert {"inkling", "numpy", "websockets", "httpx", "pydantic"} <= tops
    assert tops & NOT_IN_THE_BASE == set()
    succeeded(base.pip("check"))
    size_mb = sum(path.stat().st_size for path in base.packages.rglob("*") if path.is_file()) / 1e6
    assert size_mb <= BASE_MB


def test_nothing_tells_anybody_to_install_the_strangers_package_from_the_index() -> None:
    """`inkling` on the public index is somebody else's; ours is installed from a checkout, a wheel or a git address."""
    files = [path for folder in (*HOUSE, "docker", "tests") for path in (CHECKOUT / folder).rglob("*.*")]
    files += [CHECKOUT / name for name in ("Makefile", "CONTRIBUTING.md", "pyproject.toml", "docker/Dockerfile")]
    texts = {
        path: path.read_text()
        for path in files
        if path.suffix in (".py", ".md", ".toml", ".yml", "") and path.is_file()
    }
    assert len(texts) > 200
    stranger = re.compile(r"pip install (-\S+ )*['\"]?inkling\b(?!\S* @ )")
    assert [str(path) for path, text in texts.items() if stranger.search(text)] == []


# -- with everything at hand --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def full(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel, beside the dependencies of the environment that runs the tests."""
    made = borrowing(tmp_path_factory.mktemp("full") / "venv")
    add(made, str(wheel))
    return made


def test_an_installed_server_finds_the_embedded_bundles_beside_a_users_models(
    full: Environment, clashing: Path
) -> None:
    rows = json.loads(output([full.path / "bin" / "inkling", "bundles", "--json"], clashing))
    assert {"body-actions", "fall-watch"} <= {row["name"] for row in rows}
    assert all("error" not in row and row["path"].startswith(str(full.path)) for row in rows)


def test_training_needs_nothing_of_the_server(wheel: Path, clashing: Path, tmp_path: Path) -> None:
    """As the extra `train` alone installs it; the recipes come along."""
    made = borrowing(tmp_path / "venv", without=OF_THE_SERVER)
    add(made, str(wheel))
    assert "fit" in output([made.path / "bin" / "inkling", "train", "--help"], clashing)
    code = "from inkling.training.recipe.recipe import read_recipe; print(read_recipe('body-actions').name)"
    assert output([made.python, "-c", code], clashing) == "body-actions"


# -- editable -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def editable(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = borrowing(tmp_path_factory.mktemp("editable") / "venv")
    add(made, "--no-build-isolation", "--editable", str(checkout))
    return made


def test_an_editable_install_sees_a_new_file_at_once(editable: Environment, checkout: Path, clashing: Path) -> None:
    (checkout / "service" / "made_today.py").write_text("WHERE = __name__\n")
    code = "from inkling.service import made_today as new; print(new.WHERE, new.__file__)"
    name, file = output([editable.python, "-c", code], clashing).split()
    assert name == "inkling.service.made_today"
    assert Path(file).resolve() == checkout / "service" / "made_today.py"


def test_an_editable_install_runs_modules_by_name(editable: Environment, clashing: Path) -> None:
    said = output([editable.python, "-m", "inkling.service.cli.main", "--version"], clashing)
    assert said.startswith("inkling 0.")


@pytest.mark.parametrize("kind", ["full", "editable"])
def test_mypy_reads_the_types_of_an_installed_inkling(
    kind: str, request: pytest.FixtureRequest, clashing: Path, tmp_path: Path
) -> None:
    """mypy comes with the running environment; the interpreter that it asks for packages is the other one."""
    installed: Environment = request.getfixturevalue(kind)
    (tmp_path / "program.py").write_text(
        "from inkling.models.clock import Resampler\nreveal_type(Resampler)\nResampler(wrong=1)\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--strict"]
    done = run([*mypy, f"--python-executable={installed.python}", "program.py"], tmp_path)
    assert done.returncode == 1
    assert "inkling.models.clock.Resampler" in done.stdout, done.stdout
    assert "[call-arg]" in done.stdout, done.stdout
    assert "import-untyped" not in done.stdout
