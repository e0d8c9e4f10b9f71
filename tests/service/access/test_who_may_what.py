"""The table of docs/how-to/secure.md: each cell is asked of a real server, by HTTP or WebSocket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from inkling.service.access.quota import Quota
from inkling.service.access.roles import Role
from inkling.service.access.tokens import FILE, Tokens
from tests.films import make_film, pictures
from tests.service.conftest import (
    WAIT_S,
    Running,
    body,
    finish,
    hear,
    pose,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)
from tests.support import CHECKOUT, make_bundle, make_frame_bundle

OTHER = "another robot"


@dataclass
class House:
    """A server with a token of each role, and another robot, which has a stream open and has posted a video."""

    server: Running
    texts: dict[str, str]
    film: bytes
    stream: str = ""
    clip: str = ""
    source: str = ""

    def headers(self, who: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[who]}"} if who in self.texts else {}

    def ask(self, who: str, method: str, path: str, **more: object) -> httpx.Response:
        headers = self.headers(who)
        return httpx.request(method, self.server.url + path, headers=headers, timeout=WAIT_S, **more)  # type: ignore[arg-type]

    def post_film(self, who: str) -> str:
        """A video of theirs that has been scored."""
        answer = self.ask(who, "POST", "/v1/clips?bundle=tiny-frames&wait=false", content=self.film)
        assert answer.status_code == 202, answer.text
        clip = str(answer.json()["clip"])
        wait_until(lambda: self.server.core.clips.get(clip).state == "done")
        return clip

    def connected(self, who: str, path: str) -> ClientConnection:
        return connect(self.server.url.replace("http", "ws", 1) + path, additional_headers=self.headers(who))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("house")
    (root / "films").mkdir()
    film = make_film(root / "films" / "door.mp4", pictures(8, 48, 64), codec="libx264", pixels="yuv420p")
    make_bundle(root / "bundles", background="c")
    make_frame_bundle(root / "bundles")
    tokens = Tokens(root / FILE)
    texts = {str(role): tokens.create(f"the {role}", role, 0.0)[1] for role in Role}
    texts[OTHER] = tokens.create(OTHER, Role.STREAM, 0.0)[1]
    tokens.close()
    settings = tiny_settings(
        root / "bundles",
        load=("tiny", "tiny-frames"),
        state_dir=root,
        max_videos=4,
        source_directories=(root / "films",),
    )
    with running(settings) as server:
        made = House(server, texts, film.read_bytes())
        made.clip = made.post_film(OTHER)
        source = {"url": "file:door.mp4", "bundle": "tiny-frames"}
        made.source = made.ask("operate", "POST", "/v1/sources", json=source).json()["id"]
        with made.connected(OTHER, "/v1/stream") as socket:
            say(socket, {"type": "start", "bundle": "tiny"})
            made.stream = str(getattr(hear(socket), "stream", ""))
            yield made


def _opens(house: House, who: str) -> str:
    try:
        with house.connected(who, "/v1/stream") as socket:
            say(socket, {"type": "start", "bundle": "tiny"})
            return "yes" if hear(socket).type == "ready" else "no"
    except InvalidStatus as error:
        return "no" if error.response.status_code == 403 else str(error.response.status_code)


def _said(answer: httpx.Response) -> str:
    """Refused as a role's answer, or as an id that is not there; anything else is a yes."""
    if answer.status_code in (401, 403):
        assert answer.json()["code"] in ("unauthorized", "forbidden")
        return "no"
    if answer.status_code == 404:
        assert answer.json()["code"].startswith("unknown_")
        return "not there"
    assert answer.is_success, answer.text
    return "yes"


def _own_and_others(own: httpx.Response, others: httpx.Response) -> str:
    both = _said(own), _said(others)
    return {("no", "no"): "no", ("yes", "not there"): "its own", ("yes", "yes"): "all"}[both]


def _scores(house: House, who: str) -> str:
    clip = {"fps": 15, "people": [{"track": 1, "keypoints": [body()] * 3}]}
    return _said(house.ask(who, "POST", "/v1/clips?bundle=tiny", json=clip))


def _own_clip(house: House, who: str) -> str:
    return house.post_film(who) if _scores(house, who) == "yes" else house.clip


def _lists_clips(house: House, who: str) -> str:
    own = _own_clip(house, who)
    answer = house.ask(who, "GET", "/v1/clips")
    if (said := _said(answer)) != "yes":
        return said
    shown = {row["clip"] for row in answer.json()}
    assert own in shown
    return "all" if house.clip in shown else "its own"


def _reads_clips(house: House, who: str) -> str:
    own = _own_clip(house, who)
    return _own_and_others(house.ask(who, "GET", f"/v1/clips/{own}"), house.ask(who, "GET", f"/v1/clips/{house.clip}"))


def _cancels_clips(house: House, who: str) -> str:
    own, others = _own_clip(house, who), house.post_film(OTHER)
    return _own_and_others(
        house.ask(who, "DELETE", f"/v1/clips/{own}"), house.ask(who, "DELETE", f"/v1/clips/{others}")
    )


def _lists_streams(house: House, who: str) -> str:
    answer = house.ask(who, "GET", "/v1/streams")
    if (said := _said(answer)) != "yes":
        return said
    assert house.stream in {row["stream"] for row in answer.json()}
    return "all"


def _follows(house: House, who: str) -> str:
    """By server-sent events, by a WebSocket, and by one that brings its token as its first message."""
    path = f"/v1/streams/{house.stream}/predictions"
    url = house.server.url + path
    with httpx.stream("GET", url, headers=house.headers(who), timeout=WAIT_S) as answer:
        by_events = "all" if answer.status_code == 200 else "no"
    try:
        with house.connected(who, path) as follower:
            by_socket = "all" if hear(follower).type == "ready" else "no"
    except InvalidStatus:
        by_socket = "no"
    with house.connected("nobody", path) as follower:
        say(follower, {"type": "token", "token": house.texts.get(who, "")})
        by_message = "all" if hear(follower).type == "ready" else "no"
    assert by_events == by_socket == by_message
    return by_events


def _sees_sources(house: House, who: str) -> str:
    said = {_said(house.ask(who, "GET", path)) for path in ("/v1/sources", f"/v1/sources/{house.source}")}
    (one,) = said
    return one.replace("yes", "all")


def _changes_sources(house: House, who: str) -> str:
    source = {"url": "file:door.mp4", "bundle": "tiny-frames"}
    added = house.ask(who, "POST", "/v1/sources", json=source)
    theirs = house.ask("admin", "POST", "/v1/sources", json=source).json()["id"]
    removed = _said(house.ask(who, "DELETE", f"/v1/sources/{theirs}"))
    assert _said(added) == removed
    return removed.replace("yes", "all")


def _metrics(house: House, who: str) -> str:
    return _said(house.ask(who, "GET", "/metrics"))


def _information(house: House, who: str) -> str:
    paths = ("/v1/version", "/v1/bundles", "/v1/protocol", "/docs", "/openapi.json")
    (one,) = {_said(house.ask(who, "GET", path)) for path in paths}
    return one


def _probes(house: House, who: str) -> str:
    (one,) = {_said(house.ask(who, "GET", path)) for path in ("/livez", "/readyz", "/login")}
    return one


ASKED: dict[str, Callable[[House, str], str]] = {
    "open streams": _opens,
    "score clips": _scores,
    "list the videos at work and done": _lists_clips,
    "read a video's progress and timeline": _reads_clips,
    "cancel or forget a video": _cancels_clips,
    "list the open streams": _lists_streams,
    "follow a stream: predictions and events": _follows,
    "see sources": _sees_sources,
    "add, remove sources": _changes_sources,
    "read metrics": _metrics,
    "read version, bundles, protocol, `/docs`": _information,
    "probes, the page to sign in": _probes,
}
COLUMNS = ("nobody", "stream", "view", "operate", "admin")


def table() -> dict[str, dict[str, str]]:
    """What may be done, by whom, as the page says it."""
    page = (CHECKOUT / "docs/how-to/secure.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\|.*\|$", page.partition("## Who may do what")[2].partition("\n## ")[0], re.MULTILINE)
    ]
    return {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in rows[2:]}


def test_the_page_has_a_row_for_everything_that_is_asked_here() -> None:
    assert list(table()) == list(ASKED)


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("who", COLUMNS)
def test_each_cell_is_what_the_server_does(house: House, who: str, what: str) -> None:
    assert ASKED[what](house, who) == table()[what][who]


def test_somebody_elses_clip_is_told_as_one_that_does_not_exist(house: House) -> None:
    theirs = house.ask("stream", "GET", f"/v1/clips/{house.clip}")
    none = house.ask("stream", "GET", "/v1/clips/AAAAAAAAAAAA")
    assert theirs.status_code == none.status_code == 404
    assert theirs.json() == none.json()
    assert house.ask("stream", "DELETE", f"/v1/clips/{house.clip}").json() == none.json()
    assert house.ask(OTHER, "GET", f"/v1/clips/{house.clip}").json()["state"] == "done"


def test_people_over_all_streams_of_a_token_are_counted_and_the_next_one_is_refused(house: House) -> None:
    tokens = house.server.core.access.gate.tokens
    assert tokens is not None
    house.texts["small"] = tokens.create("small", Role.STREAM, 0.0, quota=Quota(people=3))[1]
    with house.connected("small", "/v1/stream") as one, house.connected("small", "/v1/stream") as two:
        for socket in (one, two):
            say(socket, {"type": "start", "bundle": "tiny"})
            assert hear(socket).type == "ready"
        say(one, pose(0, 0.0, {1: body(), 2: body(1)}))
        assert [message.type for message in settled(one)] == ["prediction"] * 2
        say(two, pose(0, 0.0, {1: body(), 2: body(1)}))
        said = settled(two)
        assert sorted(message.type for message in said) == ["error", "prediction"]
        refusals = [(getattr(message, "code", ""), getattr(message, "retryable", False)) for message in said]
        assert ("people_over_quota", True) in refusals
        finish(one)
        say(two, pose(1, 0.1, {1: body(), 2: body(1)}))
        assert [message.type for message in settled(two)] == ["prediction"] * 2
        finish(two)
    clip = {"fps": 15, "people": [{"track": track, "keypoints": [body()]} for track in range(4)]}
    answer = house.ask("small", "POST", "/v1/clips?bundle=tiny", json=clip).json()
    assert len(answer["timeline"]) == 3
    assert any("this token" in warning for warning in answer["warnings"])


def test_a_clip_counts_as_a_stream_while_it_is_scored(house: House) -> None:
    tokens = house.server.core.access.gate.tokens
    assert tokens is not None
    house.texts["single"] = tokens.create("single", Role.STREAM, 0.0, quota=Quota(streams=1))[1]
    for _ in range(2):
        assert _scores(house, "single") == "yes"
        house.post_film("single")
        wait_until(lambda: house.server.core.access.quotas._streams.total() <= 1)  # the other robot's alone
    with house.connected("single", "/v1/stream") as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        assert hear(socket).type == "ready"
        for query, content in (("tiny", b"{}"), ("tiny-frames", house.film)):
            answer = house.ask("single", "POST", f"/v1/clips?bundle={query}", content=content)
            assert (answer.status_code, answer.json()["code"]) == (429, "over_quota")
