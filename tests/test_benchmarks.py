"""The parts of the benchmarks that are pure, and that a load accounts for its frames; nothing here measures time."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.frames import Frame, Opcode

from inkling.service.protocol.codec import Pose, decode, encode
from inkling.service.protocol.messages import Credit, Prediction, Ready, Summary
from inkling.service.protocol.pose_binary import unpack_pose
from inkling.service.settings import Settings
from tests.benchmarks import eyes, report
from tests.benchmarks.__main__ import own_flags
from tests.benchmarks.command import Row
from tests.benchmarks.device import RUNS, profile
from tests.benchmarks.eyes_films import FRAMES, STILL_FRAMES, read_films, write_films
from tests.benchmarks.figures import SHARES, Spread, composed, distribution, drawn, latency_figures, table
from tests.benchmarks.load import Load, connected, payload_of
from tests.benchmarks.load import run as run_load
from tests.benchmarks.search import in_time, most, proved
from tests.benchmarks.streams import Group, Inkling, Results
from tests.benchmarks.throughput import ALTERNATIVES, RESULTS, WANTED, summarised
from tests.benchmarks.wire import BINARY, TEXT, framed, jpegs, json_poses, messages, packed_poses, settled_by
from tests.service.conftest import running


def server_frame(opcode: Opcode, payload: bytes) -> bytes:
    return Frame(opcode, payload).serialize(mask=False)


# -- the search --------------------------------------------------------------------------------------------------
def up_to(limit: int) -> Callable[[int], bool]:
    return lambda streams: streams <= limit


@pytest.mark.parametrize("limit", [1, 7, 63, 64, 65, 400, 777, 1500])
def test_the_search_finds_the_most_streams_to_a_twentieth(limit: int) -> None:
    found = most(up_to(limit), up_to(limit), first=64)
    assert found <= limit <= found + max(1, 0.05 * found) + 1


def test_the_search_stops_at_its_limit_and_says_nought_when_nothing_is_held() -> None:
    assert most(up_to(10_000), up_to(10_000), first=64, limit=512) == 512
    assert most(up_to(0), up_to(0), first=64) == 0


def test_a_number_that_is_held_once_but_not_proved_is_lowered_until_it_is() -> None:
    found = most(up_to(500), up_to(400), first=64)
    assert 380 <= found <= 400


@pytest.mark.parametrize("kind", ["lost", "dropped", "refused", "errors"])
def test_streams_are_held_only_when_in_time_and_nothing_was_lost(kind: str) -> None:
    fine = {"p99_ms": 49.0, "lost": 0, "dropped": 0, "refused": 0, "errors": 0, "late_p99_ms": 2.0}
    assert in_time(fine, 50)
    assert not in_time({**fine, kind: 1}, 50)
    assert not in_time({**fine, "p99_ms": 51.0}, 50)
    assert not in_time({**fine, "late_p99_ms": 30.0}, 50)
    assert not in_time({**fine, "p99_ms": math.nan}, 50)


def test_a_number_is_proved_by_more_than_half_of_its_loads_unless_one_lost_a_frame() -> None:
    good = {"p99_ms": 40.0, "late_p99_ms": 2.0, "lost": 0, "dropped": 0, "refused": 0, "errors": 0}
    late, lossy = {**good, "p99_ms": 60.0}, {**good, "lost": 1}
    assert proved([good, late, good, late, good], 5, 50) is True
    assert proved([good, good], 5, 50) is None
    assert proved([late, late, late], 5, 50) is False
    assert proved([good, lossy], 5, 50) is False


# -- figures -----------------------------------------------------------------------------------------------------
def test_a_spread_is_median_least_and_greatest() -> None:
    found = Spread.of([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)
    assert f"{found:.1f}" == "2.0 (1.0 to 3.0)"


def test_the_composed_ceiling_adds_the_time_of_each_part() -> None:
    assert composed(100.0, 100.0) == 50.0
    assert composed(40_000, 160_000) == pytest.approx(32_000)


def test_percentiles_are_in_milliseconds_and_nan_without_answers() -> None:
    found = latency_figures(np.arange(1, 1001) / 1e3)
    assert found["p50_ms"] == pytest.approx(500.5)
    assert found["max_ms"] == 1000
    assert math.isnan(latency_figures([])["p99_ms"])


def test_a_distribution_rises_and_has_a_value_for_each_share() -> None:
    row = distribution(np.random.default_rng(0).random(1000))
    assert len(row) == len(SHARES)
    assert row == sorted(row)
    assert distribution([]) == []


def test_a_drawing_puts_the_bulk_of_answers_where_they_are() -> None:
    lines = drawn({"fast": distribution([0.001] * 99 + [0.0011]), "slow": distribution([0.1] * 100)}, 20).splitlines()
    assert lines[0].startswith("fast █")
    assert lines[1].rstrip().endswith("█")
    assert drawn({}) == "no answers"


def test_a_table_has_its_columns_in_line() -> None:
    assert table(("a", "b"), [("long", 1), ("x", 22)]).splitlines() == ["a      b", "long   1", "x     22"]


# -- bytes -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535, 65_536])
def test_frames_of_a_client_are_what_a_websocket_parser_reads(size: int) -> None:
    payload = bytes(range(256)) * 257
    message = framed(BINARY, payload[:size])
    expected = Frame(Opcode.BINARY, payload[:size]).serialize(mask=True)
    assert len(message) == len(expected)
    assert message[: -size - 4 or None] == expected[: -size - 4 or None]
    assert message.endswith(bytes(4) + payload[:size])


def test_packed_frames_carry_their_number_time_and_pose() -> None:
    made = packed_poses(bare=True)
    pose = unpack_pose(made.frame(31, 2.5))
    again = unpack_pose(made.frame(1, 0.0))
    assert (pose.seq, pose.pts_s, list(pose.tracks)) == (31, 2.5, [1])
    assert np.array_equal(pose.keypoints, again.keypoints)
    assert packed_poses().frame(31, 2.5).endswith(made.frame(31, 2.5))


def test_json_frames_are_poses_of_the_protocol() -> None:
    message = json_poses().frame(7, 0.25)
    pose = decode(message[8:].decode())
    packed = unpack_pose(packed_poses(bare=True).frame(7, 0.25))
    assert not isinstance(pose, Pose)  # decode makes arrays of it at once
    assert np.allclose(pose.keypoints, packed.keypoints, atol=0.01)  # type: ignore[union-attr]


def test_messages_are_found_and_an_unfinished_tail_is_left() -> None:
    parts = [b"", b"x" * 200, b"y" * 70_000]
    data = b"".join(server_frame(Opcode.TEXT, part) for part in parts)
    for cut in (0, 1, 3, 9):
        found = [data[begin:end] for _, begin, end in messages(data[: len(data) - cut])]
        assert found == parts[: 3 if cut == 0 else 2]
    assert [opcode for opcode, _, _ in messages(server_frame(Opcode.PING, b"p") + data)] == [9, 1, 1, 1]


def test_an_answers_kind_and_number_are_read_from_what_the_service_writes() -> None:
    prediction = Prediction(
        seq=1234, pts_s=1.0, track=1, label="a", probabilities=[1.0], epoch=0, skipped=0, dropped=0, backlog=0
    )
    ready = Ready(stream="x", bundle="b", version="1", labels=("a",), rate_hz=15, credits=8)
    summary = Summary(received=1, stepped=1, skipped=0, dropped=0, refused=0, tracks=1, resets={}, duration_s=1)
    for message, expected in (
        (prediction, ("p", 1234)),
        (Credit(seq=56, skipped=0, dropped=0), ("c", 56)),
        (ready, ("r", -1)),
        (summary, ("s", -1)),
    ):
        data = server_frame(Opcode.TEXT, encode(message).encode())
        ((opcode, begin, _),) = messages(data)
        assert opcode == TEXT
        assert settled_by(data, opcode, begin) == expected


def test_a_load_survives_its_way_to_the_generators_process() -> None:
    load = Load((Group("http://h:1/v1/stream", streams=3, hz=30.0), Group("http://h:1/ws", "plain")), 2.0)
    assert Load.from_json(load.to_json()) == load


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(port=0, load=("body-actions",))) as server:
        yield f"{server.url}/v1/stream"


@pytest.mark.parametrize("results", RESULTS)
@pytest.mark.parametrize("payload", ["packed", "json"])
def test_every_frame_of_a_closed_loop_is_answered(url: str, payload: Any, results: Results) -> None:
    group = Group(url, payload=payload, results=results, streams=3, frames=20)
    seen = asyncio.run(run_load(Load((group,), 20.0, 0.0)))["groups"][0]
    assert (seen["sent"], seen["answered"], seen["lost"], seen["errors"]) == (60, 60, 0, 0)
    assert seen["answer_bytes"] > 100


def test_an_open_loop_accounts_for_the_frames_between_two_steps(url: str) -> None:
    slow, fast = Group(url, streams=2, hz=30.0), Group(url, hz=300.0, pts_hz=30.0)
    groups = asyncio.run(run_load(Load((slow, fast), 0.5, 0.0)))["groups"]
    assert len(groups) == 2
    assert all(seen["answered"] and seen["skipped"] for seen in groups), (
        "the bundle steps at half the rate of the slow one"
    )
    for seen in groups:
        assert seen["sent"] == seen["answered"] + seen["skipped"] + seen["dropped"]
        assert seen["lost"] == 0


def test_a_frame_that_nobody_accounts_for_is_lost(url: str) -> None:
    async def lost() -> list[int]:
        (stream,) = await connected(Group(url))
        stream.send_frame()
        stream.end()
        await stream.over
        told = [stream.lost]
        stream.frame()  # never sent, so never told of
        return [*told, stream.lost]

    assert asyncio.run(lost()) == [0, 1]


# -- reports -----------------------------------------------------------------------------------------------------
# -- cameras -------------------------------------------------------------------------------------------------------
def test_cameras_have_films_even_where_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INKLING_TEST_DATA", raising=False)
    films = write_films(tmp_path)
    assert "INKLING_TEST_DATA is not set" in films.about
    busy, still = read_films([str(films.busy[0]), str(films.still)])
    assert (len(busy), len(still)) == (FRAMES, STILL_FRAMES)
    first, second = (np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), 0), int) for data in still[:2])
    assert 0 < np.abs(first - second).mean() < 4, "noise alone"


def test_a_load_sends_the_pictures_of_a_directory_in_their_order(tmp_path: Path) -> None:
    files = jpegs(3)
    for number, data in enumerate(files):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    payload = payload_of(Group("http://x", payload="jpeg", pictures=str(tmp_path)))
    sent = [payload.frame(seq, 0.0) for seq in range(4)]
    assert [frame[-len(data) :] for frame, data in zip(sent, [*files, files[0]], strict=True)] == [*files, files[0]]


def test_a_frame_in_which_nobody_is_seen_is_settled_without_an_answer() -> None:
    async def made() -> Inkling:
        return Inkling(Group("http://x"), packed_poses())

    stream = asyncio.run(made())
    for _ in range(3):
        stream.frame()
    stream.settle(1, 5.0)
    stream.answered(2, 6.0)
    stream.answered(2, 7.0)  # of somebody else
    assert list(stream.settled_s) == [5.0, 5.0, 6.0]
    assert [at == at for at in stream.answered_s] == [False, False, True]
    assert stream.answered_s[2] == 7.0


def test_mediapipe_is_left_out_with_a_reason_unless_there_is_one_to_run(tmp_path: Path) -> None:
    task = tmp_path / "pose.task"
    assert "not given" in eyes.mediapipe_command(None, task, tmp_path)[1]
    assert str(task) in eyes.mediapipe_command("python", task, tmp_path)[1]
    task.write_bytes(b"")
    command, reason = eyes.mediapipe_command("python", task, tmp_path)
    assert not reason
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["joints"] == [0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28], "a nose stands for the head"
    assert command[0] == "python"
    assert all(Path(path).exists() for path in command[1:])


def test_a_benchmarks_own_options_reach_it_alone() -> None:
    wish = eyes.options().parse_args(["--pose-task", "x.task"])
    assert own_flags(eyes.options(), wish) == ["--people-bundle", "people", "--pose-task", "x.task"]
    assert own_flags(None, wish) == []


def test_cameras_a_core_are_frames_a_second_over_the_cameras_rate() -> None:
    def once(**found: float) -> dict[str, Any]:
        return {name.replace("_still", ", still"): Spread.of([rate]).as_json() for name, rate in found.items()}

    rates = once(served=90.0, bare=95.0, served_still=900.0, bare_still=1000.0)
    ratios = {name: Spread.of([0.95]).as_json() for name in ("served_over_bare", "served_over_bare_by_core")}
    half = {**once(cameras=3.0, p99_ms=40.0), "dropped": 0, "lost": 0}
    about = {
        "films": "made up",
        "people_bundle": "people",
        "people_a_frame": 1.0,
        "mediapipe": {"skipped": "there is none"},
    }
    result = {**about, **ratios, "frames_per_s": rates, "by_core": rates, "half_load": half}
    said = {row.what: row for row in eyes.rows(result)}
    assert said["busy cameras at 15 Hz a core"].found == "6.0 (6.0 to 6.0)"
    assert said["still cameras at 15 Hz a core"].cells()[2:] == ("≥ 40", "met")
    assert "there is none" in said["MediaPipe's pose landmarker and the same step, in a loop"].found


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [
        {"served, json results": 100.0, "echo, json results": 200.0, "raw": 200.0, "naive_onnx": 50.0},
        {"served, json results": 50.0, "echo, json results": 100.0, "raw": 100.0},
    ]
    found = summarised(rounds)
    assert found["ratios"]["served, json results / composed ceiling"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert found["ratios"]["served / naive_onnx"]["median"] == 2.0
    assert found["frames_per_s"]["raw"] == {"median": 150.0, "low": 100.0, "high": 200.0}


def test_every_alternative_has_a_target() -> None:
    assert set(WANTED) == set(ALTERNATIVES)


def test_a_row_says_whether_its_target_is_met() -> None:
    assert Row.at_least("x", Spread(2, 1, 3), 2.0).met
    assert not Row.at_most("x", Spread(2, 1, 3), 1.5).met
    assert Row("x", "1").cells() == ("x", "1", "", "")


def test_a_report_replaces_its_section_and_nothing_else() -> None:
    text = "# Title\n\n<!-- results -->\nold\n<!-- end -->\n\nafter\n"
    assert report.updated(text, {}, plot=False) == "# Title\n\n<!-- results -->\n<!-- end -->\n\nafter\n"
    assert report.updated("# Title\n", {}, plot=False).startswith("# Title\n\n<!-- results -->\n")


def test_what_a_benchmark_prints_about_itself_is_no_result_of_it() -> None:
    about = {"benchmark": "capacity", "machine": {"processor": "p", "cores": 2, "pinning": "x"}, "rounds": 5}
    found = {"streams": 400, "p99_ms": Spread(40, 30, 45).as_json(), "asked": []}
    text = report.markdown({"capacity": {**about, "otherwise_busy": 0.5, "held": {"json": found}}})
    assert "| streams at 30 Hz with p99 ≤ 50 ms, json results | 400 (400 to 400) | ≥ 400 | met |" in text
    assert "other work took 50% of the machine" in text


def test_the_report_in_the_checkout_is_that_of_its_results() -> None:
    results = json.loads((report.HERE / report.RESULTS).read_text(encoding="utf-8"))
    text = (report.HERE / "README.md").read_text(encoding="utf-8")
    old = "old results: run `python -m tests.benchmarks.report`"
    assert report.updated(text, results, (report.HERE / report.PLOT).exists()) == text, old


@pytest.mark.parametrize("kernels", ["Node", "Kernel"])
def test_a_profile_tells_what_of_the_last_runs_was_kernels(kernels: str) -> None:
    events = []
    for run in range(RUNS + 3):
        slow = 5 if run < 3 else 1  # the first ones, which are not counted
        events.append({"name": "model_run", "cat": "Session", "ts": 1000 * run, "dur": 100 * slow})
        events.append({"name": "a_kernel_time", "cat": "Node", "ts": 1000 * run + 10, "dur": 30 * slow})
        events.append({"name": "a_fence_before", "cat": "Node", "ts": 1000 * run + 10, "dur": 7})
        if kernels == "Kernel":
            events.append({"name": "gemm", "cat": "Kernel", "ts": 1000 * run + 20, "dur": 4 * slow})
    run_s, kernels_s = profile(events)
    assert run_s == pytest.approx(100e-6)
    assert kernels_s == pytest.approx(30e-6 if kernels == "Node" else 4e-6)
