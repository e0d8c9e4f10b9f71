"""Where settings come from, which source wins, and what a wrong one says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inkling.service.settings import PREFIX, Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "inkling.toml"
    path.write_text('port = 1000\nslots = 10\ninbox = 3\nbundles = ["/a", "/b"]\nload = ["x", "y/2"]\n')
    return path


def test_defaults_listen_to_this_machine_only() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.bundles, settings.threads) == ("127.0.0.1", 8000, (), None)


def test_a_flag_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("INKLING_PORT", "2000")
    monkeypatch.setenv("INKLING_SLOTS", "20")
    settings = load_settings({"port": "3000", "slots": None}, config)
    assert (settings.port, settings.slots, settings.inbox) == (3000, 20, 3)


def test_the_environment_can_name_the_file(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("INKLING_CONFIG", str(config))
    assert load_settings().port == 1000


def test_lists_are_lists_in_the_file_and_one_string_elsewhere(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    from_file = load_settings(config=config)
    monkeypatch.setenv("INKLING_BUNDLES", f"/a{os.pathsep}/b")
    monkeypatch.setenv("INKLING_LOAD", "x,y/2")
    from_environment = load_settings()
    assert from_file.bundles == from_environment.bundles == (Path("/a"), Path("/b"))
    assert from_file.load == from_environment.load == ("x", "y/2")


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"threads": "2", "log_level": "debug", "log_format": "json", "host": "::1", "bundles": "/x", "load": "y"}
    values["decode_threads"] = "3"
    for name, field in Settings.model_fields.items():
        monkeypatch.setenv(PREFIX + name.upper(), values.get(name) or str(field.default))
    assert load_settings() == Settings(
        threads=2,
        decode_threads=3,
        log_level="debug",
        log_format="json",
        host="::1",
        bundles=(Path("/x"),),
        load=("y",),
    )


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    with pytest.raises(SettingsError, match=r"^--max-streams: input should be greater than or equal to 1, not '0'$"):
        load_settings({"max_streams": "0"})


def test_a_wrong_variable_is_named_as_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_DRAIN_S", "soon")
    with pytest.raises(SettingsError, match=r"^INKLING_DRAIN_S: .* not 'soon'$"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 70000", r"^port in .*inkling\.toml: .* not 70000$"),
        ("portt = 1", r"^portt in .*inkling\.toml: there is no such setting$"),
        ("port = ", r"inkling\.toml: not a TOML file: "),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "inkling.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings(config=path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.toml: the settings cannot be read: No such file"):
        load_settings(config=tmp_path / "no.toml")


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1"])
def test_no_time_limit_can_be_endless(seconds: str) -> None:
    with pytest.raises(SettingsError, match="--idle-timeout-s"):
        load_settings({"idle_timeout_s": seconds})
