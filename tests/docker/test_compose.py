"""docker-compose.yml: valid, every setting reachable, nothing open that need not be."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from inkling.service.settings import CONFIG_VARIABLE, FIELDS, PREFIX, Settings
from tests.docker.conftest import ROOT

FILE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_it_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_every_setting_can_be_given_from_the_environment(compose: dict[str, Any]) -> None:
    expected = {PREFIX + name.upper() for name in FIELDS} | {CONFIG_VARIABLE}
    for name in ("service-cpu", "service-gpu"):
        assert set(compose["services"][name]["environment"]) == expected


def test_what_is_passed_on_with_a_default_is_passed_on_under_its_own_name(compose: dict[str, Any]) -> None:
    fixed = {"INKLING_HOST": "0.0.0.0", "INKLING_PORT": "8000"}  # noqa: S104 - inside the container
    for name, value in compose["services"]["service-cpu"]["environment"].items():
        assert value is None or value == fixed.get(name) or value.startswith((f"${{{name}-", f"${{{name}:-"))


def test_the_profiles_are_those_documented_and_plain_up_starts_the_cpu_service(compose: dict[str, Any]) -> None:
    profiles = {name: service["profiles"] for name, service in compose["services"].items()}
    assert profiles == {
        "service-cpu": ["cpu"], "service-gpu": ["gpu"], "prometheus": ["monitoring"], "grafana": ["monitoring"],
    }  # fmt: skip
    assert "COMPOSE_PROFILES=cpu" in (ROOT / ".env").read_text().splitlines()


def test_no_port_but_the_services_is_open_to_other_machines(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service["ports"]:
            assert name.startswith("service-") or port.startswith("127.0.0.1:")


def test_every_container_is_limited_read_only_unprivileged_and_restarted(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"
        assert "privileged" not in service


def test_only_the_gpu_service_reserves_a_device(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        reserved = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        assert [device["capabilities"] for device in reserved] == ([["gpu"]] if name == "service-gpu" else [])


def test_a_container_has_longer_to_stop_than_the_drain_takes(compose: dict[str, Any]) -> None:
    for name in ("service-cpu", "service-gpu"):
        grace_s = int(compose["services"][name]["stop_grace_period"].removesuffix("s"))
        assert grace_s >= Settings.model_fields["drain_s"].default + 8  # what server and hub take after it


def test_the_service_has_one_name_whichever_profile_runs(compose: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    ((target,),) = [scrape["targets"] for job in config["scrape_configs"] for scrape in job["static_configs"]]
    for name in ("service-cpu", "service-gpu"):
        service = compose["services"][name]
        assert service["networks"]["default"]["aliases"] == [target.split(":")[0]]
        assert service["environment"]["INKLING_METRICS_PORT"] == f"${{INKLING_METRICS_PORT:-{target.split(':')[1]}}}"


def test_files_and_volumes_that_are_mounted_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service["volumes"]:
            source = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", mount).split(":")[0]
            assert (ROOT / source).is_dir() if source.startswith("./") else source in compose["volumes"]


def test_images_are_built_here_or_have_an_exact_version(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    for service in compose["services"].values():
        if "build" in service:
            assert f" AS {service['build']['target']}\n" in dockerfile
        else:
            assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
