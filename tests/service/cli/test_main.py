"""The `inkling` command: verbs, exit codes, sentences; and verbs of other packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkling.service.cli import main
from inkling.service.settings import FIELDS, PREFIX
from tests.service.client.peer import Peer, answering, listening
from tests.support import make_bundle

ROOT = Path(__file__).resolve().parents[3]


def run(*argv: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a process; `path`: one more directory to import from."""
    search = os.pathsep.join(str(place) for place in (path, os.environ.get("PYTHONPATH")) if place)
    return subprocess.run(
        [sys.executable, "-m", "inkling.service.cli.main", *argv],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": search}, timeout=60,
    )  # fmt: skip


def plugin(directory: Path, code: str) -> Path:
    """An installed package that adds the verb `dance`."""
    (directory / "dancing.py").write_text(code)
    info = directory / "dancing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dancing\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[inkling.commands]\ndance = dancing:main\n")
    return directory


def test_the_version_is_printed() -> None:
    done = run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("inkling ")


def test_without_a_verb_usage_is_shown_and_the_exit_code_is_2() -> None:
    done = run()
    assert done.returncode == 2
    assert "usage: inkling" in done.stderr


def test_help_names_every_verb() -> None:
    text = main.build_parser().format_help()
    for verb in ("serve", "bundles", "stream", "score", "demo"):
        assert f"\n    {verb} " in text


def test_every_setting_is_a_flag_with_its_variable_and_default() -> None:
    text = " ".join(run("serve", "--help").stdout.split())
    for name, field in FIELDS.items():
        assert f"--{name.replace('_', '-')} " in text
        assert PREFIX + name.upper() in text
        assert str(field.description).split(";")[0] in text
    assert "default 127.0.0.1" in text


def test_bundles_lists_what_a_server_would_find_with_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(tmp_path)
    (make_bundle(tmp_path, name="broken") / "step.onnx").write_bytes(b"")
    assert main.main(["bundles", "--bundles", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"tiny/1\trecognition of 3 labels from poses at 15 Hz, in {tmp_path / 'tiny' / '1'}" in lines
    assert [line for line in lines if line.startswith("broken/1\tstep.onnx is not the file")]


def test_bundles_as_json_is_one_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bundle(tmp_path)
    assert main.main(["bundles", "--bundles", str(tmp_path), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["tiny"]["labels"] == ["a", "b", "c"]
    assert rows["tiny"]["rate_hz"] == 15.0
    assert {row["name"]: row["kind"] for row in rows.values() if row["name"] in ("tiny", "people")} == {
        "tiny": "step",
        "people": "people",
    }


def test_what_finds_people_is_listed_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["bundles"]) == 0
    assert "people/1\tfinds up to 16 people in a picture, as coco17, in " in capsys.readouterr().out


def test_a_typed_error_is_one_sentence_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["bundles", "--bundles", "/nowhere"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "inkling: /nowhere: no such directory\n")


def test_a_closed_pipe_is_no_error() -> None:
    shell = f"{sys.executable} -m inkling.service.cli.main serve --help; exit ${{PIPESTATUS[0]}}"
    command = (
        f"set -o pipefail; {sys.executable} -m inkling.service.cli.main bundles --json | true; {shell} > /dev/null"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_verb_of_another_package_gets_its_arguments_and_gives_the_exit_code(tmp_path: Path) -> None:
    path = plugin(tmp_path, "def main(argv):\n    print(argv)\n    return 7\n")
    done = run("dance", "--help", "-x", "1", path=path)
    assert (done.returncode, done.stdout.strip()) == (7, "['--help', '-x', '1']")
    assert "dance" in run("--help", path=path).stdout


def test_a_verb_of_another_package_whose_packages_are_missing_names_them(tmp_path: Path) -> None:
    done = run("dance", path=plugin(tmp_path, "import no_such_torch\n"))
    assert (done.returncode, done.stderr) == (
        2,
        "inkling: inkling dance needs the package 'no_such_torch', which is not installed\n",
    )


def test_a_typed_error_of_another_package_is_one_sentence(tmp_path: Path) -> None:
    code = "from inkling.models.errors import InklingError\ndef main(argv):\n    raise InklingError('row 3 is bad')\n"
    done = run("dance", path=plugin(tmp_path, code))
    assert (done.returncode, done.stderr) == (1, "inkling: row 3 is bad\n")


def test_the_server_without_an_engine_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError(\"No module\", name='onnxruntime')\n")
    done = run("serve", path=tmp_path)
    assert done.returncode == 1
    assert "extra cpu" in done.stderr
    assert "Traceback" not in done.stderr


def test_listing_bundles_needs_no_engine(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError(\"No module\", name='onnxruntime')\n")
    assert run("bundles", path=tmp_path).returncode == 0


# -- the base install ---------------------------------------------------------------------------------------------
def bare(*argv: str) -> subprocess.CompletedProcess[str]:
    """The command as a process in which no package of an extra can be imported."""
    code = (
        "import sys; from inkling.models.extras import EXTRAS; sys.modules.update(dict.fromkeys(EXTRAS))\n"
        "from inkling.service.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_the_client_alone_has_help_and_a_version() -> None:
    text = bare("--help")
    assert (text.returncode, text.stderr) == (0, "")
    for verb in ("serve", "bundles", "stream", "score", "demo", "train"):
        assert f"\n    {verb} " in text.stdout
    version = bare("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("inkling ")
    assert "the client alone" in version.stdout


def test_the_client_alone_streams_and_scores_pose_files(tmp_path: Path) -> None:
    clip = tmp_path / "clip.npz"
    np.savez(clip, keypoints=np.ones((6, 17, 3), np.float32), pts_s=np.arange(6) / 100)
    with listening(Peer()) as url:
        streamed = bare("stream", str(clip), "--url", url)
    assert (streamed.returncode, len(streamed.stdout.splitlines())) == (0, 7), streamed.stderr  # and an event
    assert "6 frames" in streamed.stderr
    answer = {"bundle": "b", "version": "1", "labels": ["jump", "idle"], "rate_hz": 10}
    timeline = [{"pts_s": 0.0, "track": 1, "probabilities": [0.9, 0.1], "epoch": 0}]
    with answering(200, {**answer, "timeline": timeline}) as (url, _):
        scored = bare("score", str(clip), "--url", url)
    assert (scored.returncode, scored.stderr) == (0, "")
    assert "jump" in scored.stdout


@pytest.mark.parametrize(
    ("argv", "package", "extra"),
    [
        (("serve", "--port", "0"), "uvicorn", "serve"),
        (("stream", "--video", "film.mp4"), "cv2", "images"),
        (("demo",), "rich", "serve"),
        (("train", "--help"), "", "train"),
    ],
)
def test_a_verb_that_needs_more_names_the_extra(argv: tuple[str, ...], package: str, extra: str) -> None:
    done = bare(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"inkling: inkling {argv[0]} needs the package '{package}")
    assert f"pip install '.[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
