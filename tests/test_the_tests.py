"""What holds for the tests themselves: each module has a file of them, and none sleeps where it could wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

TESTED_ELSEWHERE = {
    # the networks
    "models/networks/__init__.py": ("models/networks/test_recurrent.py", "puts features and recurrence together"),
    "models/networks/mobilenet.py": ("models/networks/test_backbones.py", "one suite for all backbones"),
    "models/networks/resnet.py": ("models/networks/test_backbones.py", "one suite for all backbones"),
    "models/networks/vgg.py": ("models/networks/test_backbones.py", "one suite for all backbones"),
    "models/networks/temporal_shift.py": ("models/networks/test_backbones.py", "what it does shows in a backbone"),
    "models/networks/network.py": ("models/networks/test_recurrent.py", "what both kinds of network there are"),
    "models/networks/registry.py": ("models/networks/test_two_stage.py", "builds the networks that are tested there"),
    "models/networks/joint_encoder.py": ("models/networks/test_two_stage.py", "action features of two stages"),
    "models/networks/joints_and_picture.py": ("models/networks/test_two_stage.py", "what two stages are given"),
    "training/networks/build.py": ("training/test_frame_models.py", "chooses a network, which is then trained there"),
    # parts of a whole that is tested through its one entrance
    "service/cli/film.py": ("service/client/test_jpeg.py", "films are played into a stream there"),
    "service/client/capture.py": ("service/client/test_jpeg.py", "a camera gives images that are encoded and sent"),
    "service/clips/jobs.py": ("service/clips/test_video_frames.py", "a job is a video on its way"),
    "service/http/clips.py": ("service/http/test_app.py", "its routes, through the application"),
    "service/http/schemas.py": ("service/http/test_app.py", "the answers of those routes"),
    "service/http/sse.py": ("service/streams/test_broadcast.py", "followers, beside the WebSocket that says the same"),
    "service/sources/collector.py": ("docker/test_monitoring.py", "read by a real Prometheus"),
    "service/sources/live_input.py": ("service/sources/test_worker.py", "the inside of the process that fetches"),
    "service/sources/manager.py": ("service/http/test_sources.py", "sources are added and removed over REST"),
    "service/engine/batch_thread.py": ("service/engine/test_batcher.py", "the loop of the batcher's thread"),
    "service/perception/perception_options.py": (
        "service/perception/test_people_model.py",
        "what the model makes of them",
    ),
    "service/perception/picture_step.py": ("service/streams/test_camera_intake.py", "looks, as frames wait for them"),
    "service/perception/stream_perception.py": (
        "service/streams/test_camera_intake.py",
        "what a stream has of perception",
    ),
    "service/perception/perception.py": ("service/streams/test_camera_intake.py", "all of it, in front of a stream"),
    "service/streams/stream_group.py": ("service/websocket/test_camera_streams.py", "several bundles on one camera"),
    "service/streams/intake.py": ("service/streams/test_session.py", "how a session takes its frames in"),
    "service/streams/people_steps.py": ("service/streams/test_session.py", "whom of a frame a session steps"),
    "service/streams/in_flight.py": ("service/streams/test_pending.py", "steps under way, in a stream's queue"),
    "service/streams/limits.py": ("service/streams/test_session.py", "numbers, kept to by the session"),
    "service/streams/observer.py": ("service/test_metrics.py", "an interface; the metrics are what implements it"),
    "service/streams/stats.py": ("service/test_metrics.py", "counts, as they are exported"),
    "training/data/new_dataset.py": ("training/data/test_pose_dataset.py", "what it writes is read there"),
    "training/evaluate/compared.py": ("training/test_anticipation.py", "a recogniser to compare with, after real fits"),
    "training/evaluate/figures.py": ("training/export/test_card.py", "a schema; the card is where it is read"),
    "training/prepare/decode.py": ("training/prepare/test_videos.py", "what a worker does with one video"),
    "training/recipe/sections.py": ("training/recipe/test_recipe.py", "sections are parts of a recipe"),
    "service/cli/play.py": ("service/client/test_jpeg.py", "films are played into a stream there"),
    "service/client/shared.py": ("service/client/test_clients.py", "what both clients have in common"),
    "service/clips/pose_arrays.py": ("service/clips/test_pose_clip.py", "what the reader of clips gives"),
    "service/clips/read_worker.py": ("service/clips/test_clip_reader.py", "the other side of the reader"),
    "service/sources/whole_pictures.py": ("service/sources/test_rtsp.py", "a real camera sends pictures in pieces"),
    "service/protocol/image_facts.py": (
        "service/protocol/test_image_file.py",
        "one kind of file each, through the one reader",
    ),
    "service/protocol/jpeg_file.py": (
        "service/protocol/test_image_file.py",
        "one kind of file each, through the one reader",
    ),
    "service/protocol/png_file.py": (
        "service/protocol/test_image_file.py",
        "one kind of file each, through the one reader",
    ),
    "service/protocol/webp_file.py": (
        "service/protocol/test_image_file.py",
        "one kind of file each, through the one reader",
    ),
    "service/cli/tokens.py": ("service/access/test_control.py", "tokens, as an operator makes them"),
    "service/http/login.py": ("service/access/test_control.py", "a browser signs in to a whole server"),
    "service/http/monitoring.py": ("service/access/test_control.py", "beside a whole server"),
    "service/websocket/identity.py": ("service/access/test_control.py", "who opened a WebSocket of a whole server"),
    "service/streams/admitted_stream.py": ("service/streams/test_hub.py", "what the hub hands out"),
    "service/streams/loaded_bundle.py": ("service/streams/test_bundle_registry.py", "what the registry holds"),
    "service/websocket/closing.py": ("service/websocket/test_endpoint.py", "how a connection ends"),
    "service/websocket/connection.py": ("service/websocket/test_endpoint.py", "one connection of the endpoint"),
    "training/cli/calibrate.py": ("training/cli/test_command.py", "a verb of the command"),
    "training/cli/evaluate.py": ("training/cli/test_command.py", "a verb of the command"),
    "training/cli/export_people.py": ("training/export/test_people.py", "a verb of the command"),
    "training/cli/export.py": ("training/cli/test_command.py", "a verb of the command"),
    "training/cli/options.py": ("training/cli/test_command.py", "options that verbs share"),
    "training/cli/prepare.py": ("training/cli/test_command.py", "a verb of the command"),
    "training/cli/upgrade.py": ("training/export/test_upgrade.py", "a verb of the command"),
    "training/cli/weights.py": ("training/cli/test_command.py", "a verb of the command"),
    "training/evaluate/page_tables.py": ("training/evaluate/test_page.py", "parts of the page"),
    "training/evaluate/plots.py": ("training/evaluate/test_report.py", "pictures of the report"),
    "training/evaluate/set_report.py": ("training/evaluate/test_evaluation.py", "a schema; evaluation fills it"),
    "training/new.py": ("training/cli/test_new.py", "run as users run it"),
    "training/progress.py": ("training/cli/test_progress.py", "an interface; the bar implements it"),
    # nothing that could be wrong by itself
    "models/arrays.py": ("test_architecture.py", "one alias"),
    "service/demo/plain_protocol.py": ("service/demo/test_examples.py", "an example, run as users run it"),
    "training/cli/__main__.py": ("training/cli/test_command.py", "calls `main`"),
    "service/demo/opencv_camera.py": ("service/demo/test_examples.py", "an example, run as users run it"),
    "service/demo/ros2_node.py": ("service/demo/test_examples.py", "an example, run as users run it"),
}
"""Module -> the file with its tests, and why it has no file of its own."""

SLEEPS = {
    # polls: the others wait by them
    "service/conftest.py:wait_until": "polls",
    "service/sources/cameras.py:within": "polls",
    "service/sources/cameras.py:until": "polls",
    # time itself is what the test is about
    "service/client/test_connection.py:calls": "silence for longer than the client's time-out",
    "service/client/test_jpeg.py:test_a_live_camera_gives_the_newest_frame_and_forgets_the_rest": "a slow reader",
    "service/http/test_connection.py:drip": "a sender that is too slow",
    "service/http/test_connection.py:go_on": "a sender that is too slow",
    "service/http/test_connection.py:slowly": "a sender that is slow, and fast enough",
    "service/test_patience.py:main": "a loop that is held up",
    "service/test_server.py:"
    "test_after_a_pause_of_the_process_streams_go_on_whose_data_waits": "a process that is stopped",
    "service/websocket/test_floods.py:test_only_start_counts_before_start": "silence for longer than the limit",
    "service/sources/test_rtsp.py:body": "an outage longer than the bundle's max_gap_s",
    "service/sources/test_source.py:body": "an outage longer than the bundle's max_gap_s",
    "service/http/test_sources.py:"
    "test_the_predictions_of_a_source_are_followed_through_an_outage_until_it_is_removed": "the same, over HTTP",
}
"""File and function in tests/ that sleeps for a constant time, and why it may. Every other one waits until something is
so (`wait_until`, `until`): a sleep is too short on a busy machine and too long on any other."""


def modules() -> list[str]:
    """Every module of the product; an `__init__` counts where it defines something."""
    found = []
    for wing in ("models", "service", "training"):
        for path in sorted((ROOT / wing).rglob("*.py")):
            if path.name != "__init__.py" or defines(path):
                found.append(path.relative_to(ROOT).as_posix())
    return found


def defines(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)


def mirror(module: str) -> str:
    """models/zoo/__init__.py -> models/test_zoo.py, service/logs.py -> service/test_logs.py."""
    path = Path(module)
    path = path.parent if path.name == "__init__.py" else path.with_suffix("")
    return (path.parent / f"test_{path.name}.py").as_posix()


def has_tests(file: str) -> bool:
    path = TESTS / file
    return path.exists() and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_test_file_that_mirrors_it(module: str) -> None:
    if module in TESTED_ELSEWHERE:
        file, _ = TESTED_ELSEWHERE[module]
        assert has_tests(file), f"{file} is to test {module}"
        assert not has_tests(mirror(module)), f"it has a file of its own: take {module} off the list"
    else:
        assert has_tests(mirror(module)), f"write tests/{mirror(module)}"


def test_the_exceptions_are_modules_that_there_are() -> None:
    assert set(TESTED_ELSEWHERE) - set(modules()) == set()


def sleeps(path: Path) -> Iterator[str]:
    """`file:function` of each call of a function `sleep` with a constant above 0, by the innermost function."""

    def visit(node: ast.AST, function: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
            if isinstance(child, ast.Call) and ast.unparse(child.func).rsplit(".", 1)[-1] == "sleep":
                match child.args:
                    case [ast.Constant(value=int() | float() as seconds)] if seconds > 0:
                        yield f"{path.relative_to(TESTS).as_posix()}:{inner}"
            yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "")


def test_the_search_finds_sleeps_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TESTS", tmp_path)
    (tmp_path / "x.py").write_text(
        "sleep(1)\ndef f():\n    time.sleep(0.5)\n    async def g():\n        await asyncio.sleep(2)\n"
        "        await asyncio.sleep(0)\n        time.sleep(pause_s)\n"
    )
    assert list(sleeps(tmp_path / "x.py")) == ["x.py:", "x.py:f", "x.py:g"]


def test_no_test_sleeps_but_those_on_the_list() -> None:
    """The benchmarks are no tests: they keep to a pace."""
    paths = [path for path in sorted(TESTS.rglob("*.py")) if TESTS / "benchmarks" not in path.parents]
    found = {place for path in paths for place in sleeps(path)}
    assert found == set(SLEEPS), "wait until something is so, or say in SLEEPS why time itself is meant"
