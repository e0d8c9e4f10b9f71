"""What an operator gets wrong: each ends at once with one sentence that says what to do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkling.models.errors import BundleNotFound
from inkling.service import bootstrap
from inkling.service.engine.onnx_engine import DeviceMissing, resolve_device
from inkling.service.server import bind
from tests.service.conftest import tiny_settings
from tests.service.test_server import as_nobody, process, sentence
from tests.support import make_bundle

NO_DRIVER = not Path("/dev/nvidia0").exists() and not Path("/dev/nvidiactl").exists()


def refusal(*flags: str, **environment: str) -> str:
    """What `inkling serve` says before it ends with code 1."""
    with process(*flags, **environment) as server:
        code, errors = server.end()
    assert code == 1
    return sentence(errors).removeprefix("inkling: ")


def test_an_empty_bundle_volume(tmp_path: Path) -> None:
    said = refusal(INKLING_BUNDLES=str(tmp_path))
    assert said == (
        f"{tmp_path}: no bundle here can be used; put one there as NAME/VERSION, "
        "or take it out of the setting 'bundles'"
    )


@pytest.fixture
def volume() -> Iterator[Path]:
    """A directory that everybody may look into, as temporary ones of tests are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_volume_in_which_nothing_can_be_read(volume: Path) -> None:
    make_bundle(volume)
    (volume / "tiny").chmod(0)
    with as_nobody(), pytest.raises(BundleNotFound, match=r"tiny: this process may not read .*; give user \d+ the"):
        bootstrap.build(tiny_settings(volume, load=()))


def test_a_volume_that_is_closed_itself_or_above(tmp_path: Path) -> None:
    make_bundle(tmp_path / "volume")
    tmp_path.chmod(0)
    with as_nobody(), pytest.raises(BundleNotFound, match=r"this process may not read .*; give user \d+ the"):
        bootstrap.build(tiny_settings(tmp_path / "volume", load=()))
    tmp_path.chmod(0o700)


def test_a_closed_directory_beside_bundles_that_can_be_read_is_only_logged(
    volume: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_bundle(volume)
    (volume / "lost+found").mkdir(mode=0)
    with as_nobody():
        built = bootstrap.build(tiny_settings(volume))
    assert [spec.name for spec in built.hub.bundles()] == ["tiny"]
    assert "lost+found: this process may not read" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("INKLING_MAX_STREAMS", "many", "INKLING_MAX_STREAMS: "),
        ("INKLING_MAX_STREAM", "9", "INKLING_MAX_STREAM: there is no such setting; INKLING_MAX_STREAMS is one"),
        ("INKLING_BUNDELS", "/x", "INKLING_BUNDELS: there is no such setting; INKLING_BUNDLES is one"),
        ("INKLING_DEVICE", "gpu", "INKLING_DEVICE: "),
        ("INKLING_CONFIG", "/nowhere.toml", "/nowhere.toml: the settings cannot be read"),
        ("INKLING_STATE_DIR", "/proc/nowhere", "/proc/nowhere"),
    ],
)
def test_a_wrong_setting(bundles: Path, name: str, value: str, says: str) -> None:
    assert says in refusal("--bundles", str(bundles), **{name: value})


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles")).parents[1]


def test_a_port_in_use(bundles: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal("--bundles", str(bundles), "--port", str(port))
    assert said == f"port {port} on 127.0.0.1 is in use; choose another with --port"


@pytest.mark.skipif(not NO_DRIVER, reason="this machine has an NVIDIA driver")
def test_a_gpu_that_is_asked_for_and_missing(bundles: Path) -> None:
    said = refusal("--bundles", str(bundles), INKLING_DEVICE="cuda")
    assert said.startswith("device cuda: ")
    assert "pip install '.[serve,gpu]'" in said or "--gpus" in said
    assert said.endswith("or choose --device cpu")


@pytest.mark.skipif(not NO_DRIVER, reason="this machine has an NVIDIA driver")
def test_without_a_gpu_auto_is_the_cpu() -> None:
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(DeviceMissing):
        resolve_device("cuda")
