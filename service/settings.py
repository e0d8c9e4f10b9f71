"""Every setting of the server: from flags, the environment (`INKLING_…`) and a TOML file, the first that has it.

Settings are grouped as the server's parts need them, and each default stands with its group. `NAMES` says what users
call them: that is a contract, the groups are not.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from inkling.models.errors import InklingError
from inkling.service.access.roles import Role
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.protocol.codec import MAX_TEXT
from inkling.service.sources.lifecycle import Seconds, SourceTiming
from inkling.service.sources.policy import SourcePolicy
from inkling.service.streams.limits import Count, Limits

PREFIX = "INKLING_"
CONFIG_VARIABLE = PREFIX + "CONFIG"

MIB = 1024 * 1024


class SettingsError(InklingError):
    """A setting is unknown or has a value that cannot be used; names the setting and where it came from."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(_Group):
    """What runs the models."""

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


class PeopleSettings(_Group):
    """What finds people in pictures, for bundles that take poses."""

    bundle: str | None = Field(
        default=None,
        description="bundle that finds people in pictures, NAME or NAME/VERSION; none: pictures of people are not "
        "taken; empty: people, which comes with Inkling",
    )
    max_batch: Count | None = Field(default=None, description="most pictures in one run of it; empty: 4, on CUDA 64")
    perception: PerceptionOptions = PerceptionOptions()


class SocketSettings(_Group):
    """Connections with clients."""

    outbox: Count = Field(
        default=1024, description="messages to one client that may wait before it counts as a slow reader"
    )
    max_message_bytes: Count = Field(default=4 * MIB, description="largest WebSocket message")
    max_text: Count = Field(
        default=MAX_TEXT, description="most characters of a text message; longer ones are for images and packed poses"
    )
    idle_timeout_s: Seconds = Field(
        default=60.0, description="seconds without a message after which a stream is closed; pings are none"
    )
    max_connections: Count = Field(
        default=1024,
        description="most connections at once, streams included; beyond them one that does nothing gives way",
    )
    root_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = Field(
        default="", description="path under which a reverse proxy offers the server, if it takes it off: /inkling"
    )


class ClipSettings(_Group):
    """Whole clips over REST. max_bytes, max_frames: of clips of poses; max_frames also of videos."""

    max_bytes: Count = Field(default=64 * MIB, description="largest clip, as sent and again as unpacked")
    max_frames: Count = Field(default=108_000, description="most frames in one clip (an hour at 30 Hz)")
    max_videos: Count = Field(default=4, description="most videos that are received and scored at once")
    max_video_bytes: Count = Field(default=1024 * MIB, description="largest video file, sent or fetched whole")
    max_video_s: Seconds = Field(default=900.0, description="seconds that the scoring of one video may take")
    directory: Path | None = Field(
        default=None,
        description="directory for videos while they are scored, and for recordings that sources must fetch whole; "
        "empty: the system's for temporary files",
    )


class SourceSettings(_Group):
    """Videos that the server fetches itself."""

    max_sources: Count = Field(default=32, description="most sources (cameras, files) that the server fetches itself")
    policy: SourcePolicy = SourcePolicy()
    timing: SourceTiming = SourceTiming()


class AccessSettings(_Group):
    """Who may do what, and from where."""

    insecure: bool = Field(default=False, description="whether a server without tokens may listen beyond this machine")
    first_token: bool = Field(
        default=False, description="whether a start without any token makes one for an admin, and prints it once"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="names by which the server may be asked, and patterns like *.example.org, separated by commas; "
        "addresses and localhost always are",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="other sites whose pages may use the server, like https://example.org, separated by commas; "
        "*: every page",
    )
    tls_cert: Path | None = Field(
        default=None, description="PEM file with the server's certificate; renewed files are taken without a restart"
    )
    tls_key: Path | None = Field(default=None, description="PEM file with its key; empty: it is in the same file")
    proxy_user_header: str | None = Field(
        default=None, description="header in which a reverse proxy says who signed in; empty: none does"
    )
    proxy_addresses: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"),
        description="addresses of reverse proxies, separated by commas: what they say of where a request comes from, "
        "and of who signed in, is believed",
    )
    proxy_role: Role = Field(default=Role.VIEW, description="what those who signed in at the proxy may do")
    token_streams: Count | None = Field(
        default=None,
        description="most streams open at once with one token, clips that are being scored included; empty: no limit",
    )
    token_people: Count | None = Field(
        default=None, description="most people watched at once with one token, over all of its streams; empty: no limit"
    )
    token_sources: Count | None = Field(default=None, description="most sources added with one token; empty: no limit")
    token_bytes_per_s: Count | None = Field(
        default=None, description="bytes a second that the streams of one token may send; empty: no limit"
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port of its own for /metrics and the probes, where nobody is asked for a token; empty: none",
    )


class Settings(_Group):
    """What an operator may choose. Every setting is a flag (`--max-streams`), a variable (`INKLING_MAX_STREAMS`) and a
    key of the TOML file (`max_streams`)."""

    host: str = Field(
        default="127.0.0.1", description="address to listen on; 0.0.0.0 for every interface, :: for IPv6 too"
    )
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    bundles: tuple[Path, ...] = Field(
        default=(), description=f"more directories with bundles NAME/VERSION, separated by {os.pathsep!r}"
    )
    load: tuple[str, ...] = Field(
        default=(),
        description="bundles to load, NAME or NAME/VERSION, separated by commas; empty: the newest of every name",
    )
    drain_s: Seconds = Field(
        default=10.0, description="seconds that open streams get to finish when the server is stopped"
    )
    state_dir: Path | None = Field(
        default=None,
        description="directory in which sources, with their passwords, and tokens are kept; empty: they are not",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is logged"
    )
    log_format: Literal["plain", "json"] = Field(default="plain", description="plain lines, or one JSON object a line")
    people: PeopleSettings = PeopleSettings()
    engine: EngineSettings = EngineSettings()
    max_promised_bytes: Count | None = Field(
        default=None,
        description="bytes of memory that waiting images, clips, videos and sources may hold, all together; empty: two "
        "fifths of what the container or machine has beyond 384 MiB, which is 256 MiB of 1 GiB",
    )
    limits: Limits = Limits()
    sockets: SocketSettings = SocketSettings()
    clips: ClipSettings = ClipSettings()
    sources: SourceSettings = SourceSettings()
    access: AccessSettings = AccessSettings()

    @classmethod
    def named(cls, **values: Any) -> Self:
        """Settings from values by the names that users know. Raises KeyError for another name, ValidationError."""
        nested: dict[str, Any] = {}
        for name, value in values.items():
            place = NAMES[name]
            *groups, field = place.path
            group = nested
            for key in groups:
                group = group.setdefault(key, {})
            group[field] = place.read(value)
        return cls.model_validate(nested)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting is found in `Settings`. separator: of a list that is given as one string."""

    where: str
    separator: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.where.split("."))

    def read(self, value: object) -> object:
        """The value, a list's string taken apart: flags and the environment have strings, TOML has real lists."""
        if self.separator is None or not isinstance(value, str):
            return value
        return tuple(part for part in value.split(self.separator) if part)


NAMES = {
    "host": Place("host"),
    "port": Place("port"),
    "bundles": Place("bundles", os.pathsep),
    "load": Place("load", ","),
    "device": Place("engine.device"),
    "threads": Place("engine.threads"),
    "decode_threads": Place("engine.decode_threads"),
    "cuda_graphs": Place("engine.cuda_graphs"),
    "canary": Place("engine.canary"),
    "people_bundle": Place("people.bundle"),
    "people_max_batch": Place("people.max_batch"),
    "people_longer_side": Place("people.perception.longer_side"),
    "people_max": Place("people.perception.max_people"),
    "people_begin_score": Place("people.perception.begin_score"),
    "people_keep_score": Place("people.perception.keep_score"),
    "people_motion_gate": Place("people.perception.motion_gate"),
    "max_batch": Place("limits.max_batch"),
    "max_streams": Place("limits.max_streams"),
    "max_followers": Place("limits.max_followers"),
    "slots": Place("limits.slots"),
    "max_people": Place("limits.max_people"),
    "inbox": Place("limits.inbox"),
    "outbox": Place("sockets.outbox"),
    "max_message_bytes": Place("sockets.max_message_bytes"),
    "max_text": Place("sockets.max_text"),
    "max_image_pixels": Place("limits.max_pixels"),
    "max_decode_s": Place("limits.max_decode_s"),
    "max_clip_bytes": Place("clips.max_bytes"),
    "max_clip_frames": Place("clips.max_frames"),
    "max_videos": Place("clips.max_videos"),
    "max_video_bytes": Place("clips.max_video_bytes"),
    "max_video_s": Place("clips.max_video_s"),
    "clip_dir": Place("clips.directory"),
    "max_promised_bytes": Place("max_promised_bytes"),
    "idle_timeout_s": Place("sockets.idle_timeout_s"),
    "max_connections": Place("sockets.max_connections"),
    "root_path": Place("sockets.root_path"),
    "track_timeout_s": Place("limits.track_timeout_s"),
    "drain_s": Place("drain_s"),
    "state_dir": Place("state_dir"),
    "max_sources": Place("sources.max_sources"),
    "source_schemes": Place("sources.policy.schemes", ","),
    "source_hosts": Place("sources.policy.hosts", ","),
    "source_directories": Place("sources.policy.directories", os.pathsep),
    "source_devices": Place("sources.policy.devices", ","),
    "source_verify_tls": Place("sources.policy.verify_tls"),
    "source_ca_file": Place("sources.policy.ca_file"),
    "source_open_s": Place("sources.timing.open_s"),
    "source_stall_s": Place("sources.timing.stall_s"),
    "source_read_s": Place("sources.timing.read_s"),
    "source_retry_s": Place("sources.timing.retry_s"),
    "insecure": Place("access.insecure"),
    "first_token": Place("access.first_token"),
    "allowed_hosts": Place("access.allowed_hosts", ","),
    "allowed_origins": Place("access.allowed_origins", ","),
    "tls_cert": Place("access.tls_cert"),
    "tls_key": Place("access.tls_key"),
    "proxy_user_header": Place("access.proxy_user_header"),
    "proxy_addresses": Place("access.proxy_addresses", ","),
    "proxy_role": Place("access.proxy_role"),
    "token_streams": Place("access.token_streams"),
    "token_people": Place("access.token_people"),
    "token_sources": Place("access.token_sources"),
    "token_bytes_per_s": Place("access.token_bytes_per_s"),
    "metrics_port": Place("access.metrics_port"),
    "log_level": Place("log_level"),
    "log_format": Place("log_format"),
}
"""What users call each setting, in the order in which it is documented."""


def _field(place: Place) -> FieldInfo:
    *groups, name = place.path
    group: Any = Settings
    for key in groups:
        group = _fields_of(group)[key].annotation
    return _fields_of(group)[name]


def _fields_of(group: Any) -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = group.__pydantic_fields__
    return found


FIELDS = {name: _field(place) for name, place in NAMES.items()}
"""Default and description of each setting, by the name that users know."""


def load_settings(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """Settings from `flags` (values None are not given), then the environment, then the TOML file, then defaults.

    config: the TOML file; without it the one that `INKLING_CONFIG` names, if any.
    Raises SettingsError with one sentence that names the setting.
    """
    config = config or (Path(value) if (value := os.environ.get(CONFIG_VARIABLE)) else None)
    environment = _environment()
    given: dict[str, tuple[str, Any]] = {}  # by name: how its source calls it, and the value
    for name, value in (_read(config) if config else {}).items():
        given[name] = f"{name} in {config}", value
    for name, value in environment.items():
        given[name] = PREFIX + name.upper(), value
    for name, value in (flags or {}).items():
        if value is not None:
            given[name] = f"--{name.replace('_', '-')}", value
    for name, (origin, _) in given.items():
        if name not in NAMES:
            raise SettingsError(f"{origin}: there is no such setting")
    try:
        return Settings.named(**{name: value for name, (_, value) in given.items()})
    except ValidationError as error:
        problem = error.errors()[0]
        paths = {NAMES[name].path: origin for name, (origin, _) in given.items()}
        origin = next(origin for path, origin in paths.items() if problem["loc"][: len(path)] == path)
        raise SettingsError(f"{origin}: {problem['msg'].lower()}, not {problem['input']!r}") from error


def _environment() -> dict[str, str]:
    """The settings that variables give, in any case. One that is nearly a setting would be ignored in silence.

    Others, of other programs, are let be. Raises SettingsError.
    """
    known = {PREFIX + name.upper(): name for name in NAMES}
    for variable in sorted(os.environ):
        if not variable.startswith(PREFIX) or variable in known or variable == CONFIG_VARIABLE:
            continue
        if meant := difflib.get_close_matches(variable, [*known, CONFIG_VARIABLE], 1, 0.9):
            raise SettingsError(f"{variable}: there is no such setting; {meant[0]} is one")
    return {known[name.upper()]: value for name, value in os.environ.items() if name.upper() in known}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: the settings cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not a TOML file: {error}") from error
