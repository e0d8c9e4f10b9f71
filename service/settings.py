"""Every setting of the server: from flags, the environment (`INKLING_…`) and a TOML file, the first that has it."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from inkling.models.errors import InklingError
from inkling.service.sources.address import SCHEMES

PREFIX = "INKLING_"
CONFIG_VARIABLE = PREFIX + "CONFIG"

MIB = 1024 * 1024


class SettingsError(InklingError):
    """A setting is unknown or has a value that cannot be used; names the setting and where it came from."""


def _split(separator: str) -> BeforeValidator:
    """A list in one string, as flags and the environment have it; TOML gives a real list."""

    def split(value: object) -> object:
        return tuple(part for part in value.split(separator) if part) if isinstance(value, str) else value

    return BeforeValidator(split)


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What an operator may choose. Every field is a flag (`--max-streams`), a variable (`INKLING_MAX_STREAMS`) and a
    key of the TOML file (`max_streams`)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for every interface")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    bundles: Annotated[tuple[Path, ...], NoDecode, _split(os.pathsep)] = Field(
        default=(), description=f"more directories with bundles NAME/VERSION, separated by {os.pathsep!r}"
    )
    load: Annotated[tuple[str, ...], NoDecode, _split(",")] = Field(
        default=(),
        description="bundles to load, NAME or NAME/VERSION, separated by commas; empty: the newest of every name",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="what runs the models; auto: CUDA where it can be had; cuda: refuse to start without it",
    )
    threads: Count | None = Field(
        default=None, description="threads of the engine; empty: the CPUs this process may use"
    )
    decode_threads: Count | None = Field(
        default=None, description="threads that decode images; empty: the CPUs this process may use"
    )
    cuda_graphs: bool = Field(
        default=True, description="whether CUDA graphs are used at the batch sizes where they prove faster at the start"
    )
    canary: int = Field(
        default=0,
        ge=0,
        description="one person in so many is also stepped alone, the largest difference being a metric; 0: nobody",
    )
    max_batch: Count = Field(default=256, description="most steps in one run of the model")
    max_streams: Count = Field(default=256, description="most streams open at once; the next one is refused")
    max_followers: Count = Field(default=256, description="most who listen to the streams of others at once")
    slots: Count = Field(default=1024, description="most people watched at once, for each bundle")
    max_people: Count = Field(default=32, description="most people in one frame, and at once in one stream")
    inbox: Count = Field(default=8, description="frames of one stream that may wait, and so its credits")
    outbox: Count = Field(
        default=1024, description="messages to one client that may wait before it counts as a slow reader"
    )
    max_message_bytes: Count = Field(default=4 * MIB, description="largest WebSocket message")
    max_image_pixels: Count = Field(
        default=4096 * 4096, description="most pixels of one image or video frame, checked before it is decoded"
    )
    max_clip_bytes: Count = Field(default=64 * MIB, description="largest clip, as sent and again as unpacked")
    max_clip_frames: Count = Field(default=108_000, description="most frames in one clip (an hour at 30 Hz)")
    max_videos: Count = Field(default=4, description="most videos that are received and scored at once")
    max_video_bytes: Count = Field(default=1024 * MIB, description="largest video file")
    clip_dir: Path | None = Field(
        default=None, description="directory for videos while they are scored; empty: the system's for temporary files"
    )
    idle_timeout_s: Seconds = Field(
        default=60.0, description="seconds without a message after which a stream is closed"
    )
    track_timeout_s: Seconds = Field(
        default=10.0, description="seconds unseen, in the stream's time, before a track is forgotten"
    )
    drain_s: Seconds = Field(
        default=10.0, description="seconds that open streams get to finish when the server is stopped"
    )
    state_dir: Path | None = Field(
        default=None,
        description="directory in which sources are kept across restarts, with their passwords; empty: they are not",
    )
    max_sources: Count = Field(default=32, description="most sources (cameras, files) that the server fetches itself")
    source_schemes: Annotated[tuple[str, ...], NoDecode, _split(",")] = Field(
        default=SCHEMES, description="kinds of sources that are allowed, separated by commas"
    )
    source_hosts: Annotated[tuple[str, ...], NoDecode, _split(",")] = Field(
        default=(),
        description="hosts that sources may be on: names, patterns, addresses, networks, separated by commas; empty: "
        "every host but this one and link-local addresses",
    )
    source_directories: Annotated[tuple[Path, ...], NoDecode, _split(os.pathsep)] = Field(
        default=(), description=f"directories that file sources may be in, separated by {os.pathsep!r}; empty: none"
    )
    source_devices: Annotated[tuple[Path, ...], NoDecode, _split(",")] = Field(
        default=(), description="video devices that sources may be, separated by commas; empty: none"
    )
    source_verify_tls: bool = Field(
        default=True, description="whether the certificates of https and rtsps sources are checked"
    )
    source_ca_file: Path | None = Field(
        default=None, description="PEM file of certificates that sources may have; empty: those of public authorities"
    )
    source_open_s: Seconds = Field(default=10.0, description="seconds that a source gets to answer")
    source_stall_s: Seconds = Field(default=3.0, description="seconds without a frame after which a source is stalled")
    source_read_s: Seconds = Field(
        default=10.0, description="seconds without a frame after which a source is connected to anew"
    )
    source_retry_s: Seconds = Field(default=30.0, description="longest wait in seconds between two tries to connect")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is logged"
    )
    log_format: Literal["plain", "json"] = Field(default="plain", description="plain lines, or one JSON object a line")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags and the environment; the TOML file is merged by `load_settings`, which knows where it lies."""
        return init_settings, env_settings


def load_settings(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Settings from `flags` (values None are not given), then the environment, then the TOML file, then defaults.

    config: the TOML file; without it the one that `INKLING_CONFIG` names, if any.
    Raises SettingsError with one sentence that names the setting.
    """
    config = config or (Path(value) if (value := os.environ.get(CONFIG_VARIABLE)) else None)
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    _refuse_misspelt()
    from_file = {
        name: value
        for name, value in (_read(config) if config else {}).items()
        if name not in given and PREFIX + name.upper() not in os.environ
    }
    try:
        return Settings(**from_file, **given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        where = f"--{name.replace('_', '-')}"
        if name in from_file:
            where = f"{name} in {config}"
        elif name not in given:
            where = PREFIX + name.upper()
        if problem["type"] == "extra_forbidden":
            raise SettingsError(f"{where}: there is no such setting") from error
        raise SettingsError(f"{where}: {problem['msg'].lower()}, not {problem['input']!r}") from error


def _refuse_misspelt() -> None:
    """A variable that is nearly a setting would be ignored in silence. Others, of other programs, are let be."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and (meant := difflib.get_close_matches(name, known, 1, 0.9)):
            raise SettingsError(f"{name}: there is no such setting; {meant[0]} is one")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the settings cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
