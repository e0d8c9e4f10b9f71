"""Where settings come from, which source wins, and what a wrong one says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from inkling.service.settings import FIELDS, NAMES, PREFIX, Settings, SettingsError, load_settings


def value_of(settings: Settings, name: str) -> Any:
    """A setting by the name that users know."""
    return attrgetter(NAMES[name].where)(settings)


def leaves(group: Any, where: str = "") -> Iterator[str]:
    """`group.field` of everything in a group of settings that is not a group itself."""
    fields = getattr(type(group), "__pydantic_fields__", None)
    if fields is None:
        yield where.removeprefix(".")
    else:
        for name in fields:
            yield from leaves(getattr(group, name), f"{where}.{name}")


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
    assert (settings.host, settings.port, settings.bundles, settings.engine.threads) == ("127.0.0.1", 8000, (), None)


def test_a_flag_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setenv("INKLING_PORT", "2000")
    monkeypatch.setenv("INKLING_SLOTS", "20")
    settings = load_settings({"port": "3000", "slots": None}, config)
    assert (settings.port, settings.limits.slots, settings.limits.inbox) == (3000, 20, 3)


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
    text = {"log_level": "debug", "log_format": "json", "device": "cpu", "cuda_graphs": "0", "source_verify_tls": "0"}
    text |= {"root_path": "/inkling", "insecure": "1", "first_token": "1", "proxy_role": "stream"}
    text |= {"people_longer_side": "320", "people_begin_score": ".4", "people_keep_score": ".1"}
    text |= {"people_motion_gate": "0"}
    for number, name in enumerate(NAMES, 2):
        monkeypatch.setenv(PREFIX + name.upper(), text.get(name, str(number)))
    settings, defaults = load_settings(), Settings()
    assert all(value_of(settings, name) != value_of(defaults, name) for name in NAMES)
    assert settings.limits.max_pixels == list(NAMES).index("max_image_pixels") + 2
    assert settings.sources.policy.directories == (Path(str(list(NAMES).index("source_directories") + 2)),)


def test_a_variable_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("inkling_max_streams", "7")
    assert load_settings().limits.max_streams == 7


def test_a_misspelt_variable_is_an_error_and_one_of_another_program_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_COLOUR", "red")
    load_settings()
    monkeypatch.setenv("INKLING_MAX_STREAM", "7")
    with pytest.raises(SettingsError, match=r"^INKLING_MAX_STREAM: there is no such setting; INKLING_MAX_STREAMS is"):
        load_settings()


def test_every_name_leads_to_a_setting_of_its_own() -> None:
    assert len({place.where for place in NAMES.values()}) == len(NAMES)
    own_times = {"sources.timing.first_retry_s", "sources.timing.steady_s"}
    assert {place.where for place in NAMES.values()} == set(leaves(Settings())) - own_times


def test_every_setting_is_described_and_has_its_default_in_one_place() -> None:
    assert list(FIELDS) == list(NAMES)
    for name, field in FIELDS.items():
        assert field.description
        assert field.default == value_of(Settings(), name)


def test_settings_by_name_are_put_into_their_groups() -> None:
    settings = Settings.named(port=0, slots=7, source_hosts=("cam",), source_devices="/dev/a,/dev/b")
    assert (settings.port, settings.limits.slots, settings.sources.policy.hosts) == (0, 7, ("cam",))
    assert settings.sources.policy.devices == (Path("/dev/a"), Path("/dev/b"))
    with pytest.raises(KeyError, match="slot"):
        Settings.named(slot=7)


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
        ("[sources]\nhosts = []", r"^sources in .*inkling\.toml: there is no such setting$"),
        ('source_directories = ["/a", 3]', r"^source_directories in .*inkling\.toml: .* not 3$"),
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
