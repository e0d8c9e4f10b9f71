"""Commands before a real server that asks for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from inkling.service.access.quota import Quota
from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, Tokens
from inkling.service.cli.main import main
from inkling.service.cli.reach import NoToken, token
from tests.service.conftest import running, tiny_settings
from tests.support import make_bundle


@dataclass
class House:
    """A server that asks, and tokens for it."""

    url: str
    stream: str
    view: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("house")
    make_bundle(root / "bundles")
    tokens = Tokens(root / FILE)
    _, stream = tokens.create("robot", Role.STREAM, 0.0, None, Quota())
    _, view = tokens.create("screen", Role.VIEW, 0.0, None, Quota())
    with running(tiny_settings(root / "bundles", state_dir=root)) as server:
        yield House(server.url, stream, view)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.npz"
    np.savez(path, keypoints=np.ones((12, 17, 3), np.float32), pts_s=np.arange(12) / 15)
    return path


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INKLING_TOKEN", "INKLING_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_token_both_ways_say_how_one_is_given(
    house: House, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in (["stream", "--fast"], ["score"]):
        assert main([*verb, str(clip), "--url", house.url, "--bundle", "tiny"]) == 1
        said = capsys.readouterr().err
        assert "--token-file FILE" in said
        assert "INKLING_TOKEN" in said


def test_a_token_in_a_file_lets_every_verb_in(
    house: House, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text(house.stream + "\n")
    for verb in (["stream", "--fast", str(clip)], ["score", str(clip)], ["demo", "--seconds", "0.3", "--plain"]):
        assert main([*verb, "--url", house.url, "--bundle", "tiny", "--token-file", str(file)]) == 0
    assert capsys.readouterr().out


def test_a_token_in_the_environment_lets_in(house: House, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_TOKEN", house.stream)
    assert main(["score", str(clip), "--url", house.url, "--bundle", "tiny"]) == 0


def test_a_token_of_another_role_is_told_so(
    house: House, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INKLING_TOKEN", house.view)
    assert main(["score", str(clip), "--url", house.url, "--bundle", "tiny"]) == 1
    assert "another role" in capsys.readouterr().err


def test_a_file_that_holds_no_token_is_named_and_its_text_is_not_shown(tmp_path: Path) -> None:
    for text in ("", "two words", "ink_a\nink_b", "ïnk"):
        (tmp_path / "file").write_text(text)
        with pytest.raises(NoToken, match="should hold one token") as refusal:
            token(tmp_path / "file")
        assert not text or text not in str(refusal.value)
    with pytest.raises(NoToken, match="No such file"):
        token(tmp_path / "nothing")


def test_the_flag_wins_over_the_environment_and_the_token_over_the_name_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_text("ink_one")
    (tmp_path / "two").write_text("ink_two")
    assert token(None) is None
    monkeypatch.setenv("INKLING_TOKEN_FILE", str(tmp_path / "two"))
    assert token(None) == "ink_two"
    monkeypatch.setenv("INKLING_TOKEN", "ink_three")
    assert token(None) == "ink_three"
    assert token(tmp_path / "one") == "ink_one"


def test_a_token_as_an_argument_is_refused_and_not_shown_again(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--token", "--token-file"):  # the first is short for the second
        assert main(["score", str(clip), flag, "ink_secret"]) == 1
        said = capsys.readouterr().err
        assert "others could read it" in said
        assert "secret" not in said
