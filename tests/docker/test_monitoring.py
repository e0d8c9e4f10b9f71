"""The board and the alerts: valid, tested, and about metrics that a live server has."""

from __future__ import annotations

import contextlib
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from inkling.service.server import bind
from tests.docker.conftest import DOCKER, ROOT, stream
from tests.docker.promql import board, names, queries, rules
from tests.service.conftest import WAIT_S, Running, wait_until
from tests.support import skip_unless

UNIT_TESTS = Path(__file__).parent / "alerts.test.yml"


def tool(name: str) -> str:
    path = shutil.which(name)
    skip_unless(path is not None, f"{name} is not installed (Debian's package prometheus)")
    return str(path)


def check(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def scraped(server: Running) -> set[str]:
    """Names of all samples."""
    text = httpx.get(f"{server.url}/metrics").text
    return {re.split(r"[ {]", line, maxsplit=1)[0] for line in text.splitlines() if not line.startswith("#")}


def test_every_metric_that_an_alert_names_is_in_a_live_servers_metrics(live: Running) -> None:
    missing = {rule["alert"]: names(rule["expr"]) - scraped(live) for rule in rules()}
    assert {alert: absent for alert, absent in missing.items() if absent} == {}
    assert all(names(rule["expr"]) for rule in rules())


def test_every_metric_that_the_board_names_is_in_a_live_servers_metrics(live: Running) -> None:
    missing = {panel: names(expression) - scraped(live) for panel, expression in queries()}
    assert {panel: absent for panel, absent in missing.items() if absent} == {}
    assert all(names(expression) for _, expression in queries())


def test_every_label_value_that_an_alert_compares_with_exists(live: Running) -> None:
    text = httpx.get(f"{live.url}/metrics").text
    compared = [
        f'{label}="{value}"'
        for rule in rules()
        for label, values in re.findall(r'(cause|code|state)!?=~?"([^"]+)"', rule["expr"])
        for value in values.split("|")
    ]
    assert len(compared) >= 3
    assert [pair for pair in compared if pair not in text] == []


def test_the_search_for_names_leaves_nothing_out() -> None:
    text = 'sum by (le) (rate(inkling_a_bucket{code="inkling_no"}[5m])) / process_b or up{job="inkling"}'
    assert names(text) == {"inkling_a_bucket", "process_b"}


def test_prometheus_takes_the_shipped_configuration() -> None:
    check(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", str(DOCKER / "prometheus/prometheus.yml"))


def test_each_alert_passes_its_unit_tests() -> None:
    check(tool("promtool"), "test", "rules", str(UNIT_TESTS))


def test_each_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    cases = [case for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


def test_each_alert_has_a_runbook_line() -> None:
    for rule in rules():
        file, anchor = rule["annotations"]["runbook"].split("#")
        headings = re.findall(r"^#+ (\w+)$", (ROOT / file).read_text(), re.MULTILINE)
        assert anchor == rule["alert"].lower()
        assert rule["alert"] in headings


def test_the_board_is_what_its_list_of_panels_gives() -> None:
    module = runpy.run_path(str(DOCKER / "grafana" / "build.py"))
    assert module["BOARD"].read_text() == module["text"](), "run python docker/grafana/build.py"


def test_the_boards_panels_do_not_overlap_and_use_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


@contextlib.contextmanager
def prometheus(server: Running, directory: Path) -> Iterator[str]:
    """Debian's Prometheus with the shipped configuration, but for the server's address and shorter intervals."""
    program = tool("prometheus")
    shutil.copytree(DOCKER / "prometheus", directory / "etc")
    config: dict[str, Any] = yaml.safe_load((directory / "etc/prometheus.yml").read_text())
    assert config["scrape_configs"][0]["static_configs"] == [{"targets": ["inkling:9100"]}]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [server.url.removeprefix("http://")]
    config["global"] = dict.fromkeys(config["global"], "1s")
    (directory / "etc/prometheus.yml").write_text(yaml.safe_dump(config))
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, f"--config.file={directory}/etc/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            process.terminate()
            process.wait(WAIT_S)


def ask(url: str, expression: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/query", params={"query": expression})
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def is_up(url: str) -> bool:
    try:
        return [row["value"][1] for row in ask(url, 'up{job="inkling"}')] == ["1"]
    except httpx.HTTPError:
        return False


def scrapes(url: str) -> float:
    """How often the server was read so far."""
    return sum(float(row["value"][1]) for row in ask(url, 'count_over_time(up{job="inkling"}[1h])'))


def test_prometheus_scrapes_a_live_server_and_every_panel_of_the_board_shows_something(
    live: Running, tmp_path: Path
) -> None:
    with prometheus(live, tmp_path) as url:
        wait_until(lambda: is_up(url))
        for _ in range(3):  # scrapes between which counters rise
            before = scrapes(url)
            stream(live)
            wait_until(lambda: scrapes(url) > before)  # noqa: B023 - called in this round only
        wait_until(lambda: not [panel for panel, expression in queries() if not ask(url, expression)])
        alerts = httpx.get(f"{url}/rules").json()["data"]["groups"][0]["rules"]
        assert {rule["name"] for rule in alerts} == {rule["alert"] for rule in rules()}
        assert {rule["health"] for rule in alerts} == {"ok"}
        firing = httpx.get(f"{url}/alerts").json()["data"]["alerts"]
        assert {alert["labels"]["alertname"] for alert in firing} >= {"InklingBundleBroken", "InklingSourceDown"}


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_the_board_shows_the_quantiles_of_every_stage(quantile: float) -> None:
    asked = {expression for _, expression in queries() if f"histogram_quantile({quantile}," in expression}
    stages = {name for expression in asked for name in names(expression)}
    assert stages >= {f"inkling_{stage}_seconds_bucket" for stage in ("queue", "step", "latency", "decode")}
