from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.client import Client, ClientError, Unreachable
from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate.film_writer import FilmError
from inkling.service.annotate.overlay import COLOURS
from inkling.service.annotate.poses_file import NobodySeen
from inkling.service.cli import client_verbs, film_verbs
from inkling.service.settings import Settings
from tests.coloured_people import room
from tests.films import make_film
from tests.service.annotate.conftest import FRAMES, eyes, three_people
from tests.service.conftest import Running, running

__all__ = ["eyes", "three_people"]


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    client_verbs.register(verbs)
    film_verbs.register(verbs)
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


def frames(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with VideoReader(path) as film:
        return [(pts_s, to_rgb(frame)) for pts_s, frame in film]


def coloured(image: NDArray[np.uint8], track: int) -> int:
    return int((np.abs(image.astype(int) - COLOURS[track - 1]) < 60).all(axis=-1).sum())


def test_annotate_writes_the_film_with_everybody_drawn(
    eyes: Running, three_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert run("annotate", str(three_people), str(out), "--url", eyes.url, "--bundle", "tiny") == 0
    assert "30 frames, 3 tracks" in capsys.readouterr().out
    before, after = frames(three_people), frames(out)
    assert [pts_s for pts_s, _ in after] == pytest.approx([pts_s for pts_s, _ in before], abs=1e-3)
    assert {image.shape for _, image in after} == {(96, 128, 3)}
    assert len(after) == FRAMES
    for track in (1, 2, 3):
        assert coloured(after[24][1], track) > 2 * coloured(before[24][1], track) + 20


def test_annotate_on_black_shows_nothing_of_the_film(eyes: Running, three_people: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run("annotate", str(three_people), str(out), "--url", eyes.url, "--bundle", "tiny", "--skeleton-only")
    image = frames(out)[20][1].astype(int)
    assert np.median(image) < 30, "the film is grey there"
    with pytest.raises(SystemExit):
        run("annotate", str(three_people), str(out), "--skeleton-only", "--blur-faces")


def test_poses_are_written_for_all_or_for_each(
    eyes: Running, three_people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("poses", str(three_people), str(tmp_path / "p.npz"), "--url", eyes.url, "--bundle", "tiny")
    assert run(*base) == 0
    assert "of 3 people" in capsys.readouterr().out
    assert set(np.load(tmp_path / "p.npz")["tracks"].tolist()) == {1, 2, 3}
    run(*base, "--each")
    assert {file.name for file in tmp_path.glob("p-*.npz")} == {"p-1.npz", "p-2.npz", "p-3.npz"}
    run("stream", str(tmp_path / "p.npz"), "--url", eyes.url, "--bundle", "tiny", "--fast")
    assert {line.split()[3] for line in capsys.readouterr().out.splitlines() if " track " in line} == {"1", "2", "3"}


def test_what_cannot_be_is_said_before_a_film_is_watched(three_people: Path, tmp_path: Path) -> None:
    nobody = ("--url", "http://127.0.0.1:1")
    with pytest.raises(ClientError, match="the film itself"):
        run("annotate", str(three_people), str(three_people), *nobody)
    with pytest.raises(ClientError, match="no such folder"):
        run("annotate", str(three_people), str(tmp_path / "none" / "out.mp4"), *nobody)
    with pytest.raises(FilmError, match=r"is written as \.mp4"):
        run("annotate", str(three_people), str(tmp_path / "out.gif"), *nobody)
    with pytest.raises(ClientError, match=r"as \.npz"):
        run("poses", str(three_people), str(tmp_path / "out.csv"), *nobody)
    with pytest.raises(Unreachable):
        run("annotate", str(three_people), str(tmp_path / "out.mp4"), *nobody)
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_anybody_has_no_poses(eyes: Running, tmp_path: Path) -> None:
    film = make_film(tmp_path / "empty.mkv", [room({})] * 5, 15.0)
    with pytest.raises(NobodySeen):
        run("poses", str(film), str(tmp_path / "p.npz"), "--url", eyes.url, "--bundle", "tiny")


def test_a_stream_of_a_film_tells_of_each_person_and_where_they_are(
    eyes: Running, three_people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("stream", "--video", str(three_people), "--url", eyes.url, "--bundle", "tiny", "--fast")
    run(*base, "--people")
    lines = capsys.readouterr().out.splitlines()
    assert any("#1 at " in line and "#3 at " in line for line in lines)
    assert {line.split()[3] for line in lines if " track " in line} == {"1", "2", "3"}
    assert any(" begins " in line for line in lines)
    run(*base, "--people", "--json")
    kinds = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert {"people", "prediction", "event", "summary"} == set(kinds)


def test_without_the_extra_it_is_said_which_one_is_missing(three_people: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['av'] = sys.modules['cv2'] = None\n"
        "from inkling.service.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    for verb, out in (("annotate", "out.mp4"), ("poses", "out.npz")):
        command = [sys.executable, "-c", code, verb, str(three_people), str(tmp_path / out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert "comes with the extra images" in done.stderr


@pytest.fixture(scope="module")
def real() -> Iterator[Running]:
    with running(Settings.named(port=0, load=("body-actions",), threads=1)) as server:
        yield server


def test_three_people_of_a_real_film_are_annotated_and_scored(
    real: Running, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = shared_data / "fight300" / "fight" / "fi001.mp4"
    assert run("annotate", str(film), str(tmp_path / "out.mp4"), "--url", real.url) == 0
    assert len(frames(tmp_path / "out.mp4")) == 53
    assert run("poses", str(film), str(tmp_path / "p.npz"), "--url", real.url) == 0
    client = Client(real.url)
    scored, again = client.score(film), client.score(tmp_path / "p.npz")
    assert len(scored.tracks) >= 3
    assert scored.tracks == again.tracks
    for track in scored.tracks:
        np.testing.assert_allclose(scored.of(track)[1], again.of(track)[1], atol=0.05)
