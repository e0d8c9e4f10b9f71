"""The manifests: valid, and in step with how the server drains."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from inkling.service.settings import FIELDS, PREFIX
from tests.docker.conftest import DOCKER

FOLDER = DOCKER / "kubernetes"
TOOL = "kustomization.yaml"
"""Read by kubectl itself: no resource, so no schema."""
MANIFESTS = sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != TOOL)
VERSIONS = ["1.30", "1.34", kubernetes_validate.latest_version()]


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return loaded


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("deployment.yaml")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_valid_by_the_schema_of(name: str, version: str) -> None:
    kubernetes_validate.validate(manifest(name), version, strict=True)


def test_a_field_that_does_not_exist_would_be_found() -> None:
    wrong = manifest("service.yaml")
    wrong["spec"]["prots"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_kustomization_names_every_manifest() -> None:
    assert sorted(manifest(TOOL)["resources"]) == MANIFESTS


def test_settings_in_the_manifests_are_settings(container: dict[str, Any]) -> None:
    (generated,) = manifest(TOOL)["configMapGenerator"]
    assert container["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    named = {literal.split("=")[0] for literal in generated["literals"]} | {entry["name"] for entry in container["env"]}
    assert named <= {PREFIX + name.upper() for name in FIELDS}


def settings() -> dict[str, str]:
    (generated,) = manifest(TOOL)["configMapGenerator"]
    return dict(literal.split("=") for literal in generated["literals"])


def test_a_pod_has_longer_to_end_than_pre_stop_and_drain_take(pod: dict[str, Any], container: dict[str, Any]) -> None:
    name, pause_s = container["lifecycle"]["preStop"]["exec"]["command"]
    assert name == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= int(pause_s) + float(settings()["INKLING_DRAIN_S"]) + 8


def test_readiness_is_asked_where_the_drain_shows_and_liveness_where_it_does_not(container: dict[str, Any]) -> None:
    paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


def test_the_environment_of_a_service_called_inkling_is_kept_out(pod: dict[str, Any]) -> None:
    assert manifest("service.yaml")["metadata"]["name"] == "inkling"
    assert pod["enableServiceLinks"] is False


def test_pods_are_added_before_they_are_full() -> None:
    (metric,) = manifest("autoscaler.yaml")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "inkling_streams"
    assert int(metric["pods"]["target"]["averageValue"]) <= 0.8 * int(settings()["INKLING_MAX_STREAMS"])


def test_everything_selects_the_deployments_pods() -> None:
    labels = manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    assert manifest("deployment.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("service.yaml")["spec"]["selector"] == labels
    assert manifest("disruption.yaml")["spec"]["selector"]["matchLabels"] == labels
    target = manifest("autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("deployment.yaml")["metadata"]["name"])


def test_the_container_is_unprivileged_and_read_only(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:" in (DOCKER / "Dockerfile").read_text()
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
