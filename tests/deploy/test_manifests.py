"""deploy/kubernetes: what every pod must be, who gets which secret, and what the page on it makes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auth_service.audit import LAST_SECONDS
from auth_service.settings import AuthSettings
from steelcut.service.database.postgres import STATEMENT_SECONDS
from steelcut.service.process.serving import SHUTDOWN_SECONDS
from tools.manifests.checks import faults
from tools.manifests.containers import Workload
from tools.manifests.kustomizations import Built, build, roots

EXAMPLE = Path("deploy/kubernetes/example")
BUILT = [build(root) for root in roots(EXAMPLE)]
WORKLOADS = {
    resource.name: Workload.of(resource)
    for built in BUILT
    for resource in built.resources
    if "template" in resource.spec
}
SERVICES = ("auth", "auth-admin", "resource")
SERVED = ("auth", "resource")


def policies(name: str, built: Built = BUILT[0]) -> dict[str, dict[str, Any]]:
    """Return the policies that say whom pods of a component may meet, but the one for all and that for DNS."""
    component = {"matchLabels": {"app.kubernetes.io/name": "steelcut", "app.kubernetes.io/component": name}}

    def meant(selector: dict[str, Any]) -> bool:
        expressions = selector.get("matchExpressions", ())
        return selector == component or any(name in each["values"] for each in expressions)

    found = built.named("NetworkPolicy").items()
    return {policy: each.spec for policy, each in found if meant(each.spec["podSelector"])}


def variables(name: str) -> set[str]:
    """Return the secrets that a container gets, by the names of the variables."""
    return {entry["name"] for entry in WORKLOADS[name].container["env"] if "valueFrom" in entry}


def test_these_are_all() -> None:
    """What the tests below look at is every pod that is made."""
    assert WORKLOADS.keys() == {*SERVICES, "migrations"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_has_no_privilege_and_can_write_nowhere(name: str) -> None:
    """As in docker compose: not root, no capability, none to gain, a read-only file system; and no token."""
    workload = WORKLOADS[name]
    assert workload.pod["securityContext"]["runAsNonRoot"] is True
    assert workload.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert workload.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert workload.pod["automountServiceAccountToken"] is False
    assert not workload.pod.keys() & {"volumes", "hostNetwork", "hostPID", "hostIPC", "initContainers"}
    accounts = [each for built in BUILT for each in built.named("ServiceAccount").values()]
    assert [each.document["automountServiceAccountToken"] for each in accounts] == [False] * len(WORKLOADS)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_bounded(name: str) -> None:
    """What it needs is reserved, and its memory has an end."""
    resources = WORKLOADS[name].container["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


def test_each_process_gets_the_secrets_that_it_needs_and_no_other() -> None:
    """Who takes over what strangers reach has the rights of its role; the owners' passwords are in no service."""
    serving = {"AUTH_DATABASE_URL", "AUTH_MASTER_KEY", "AUTH_PREVIOUS_MASTER_KEY"}
    assert variables("auth") == serving
    assert variables("auth-admin") == {*serving, "AUTH_ADMIN_DATABASE_URL"}
    assert variables("resource") == {"RESOURCE_DATABASE_URL", "RESOURCE_PUBLISHER_DATABASE_URL"}
    assert {name for name in variables("migrations") if "MASTER" in name} == set()
    plain = [data for built in BUILT for data in built.config_maps.values()]
    assert [name for data in plain for name in data if re.search("DATABASE_URL|KEY$|PASSWORD", name)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_is_given_the_time_that_the_service_takes_to_end(name: str) -> None:
    """What preStop waits, the requests under way, the last audit events and their last try, the connections."""
    workload = WORKLOADS[name]
    waits = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    # Only what others send requests to must wait until they have heard.
    assert bool(waits) == (name in SERVED)
    needed = waits + SHUTDOWN_SECONDS + LAST_SECONDS + STATEMENT_SECONDS
    assert needed < workload.pod["terminationGracePeriodSeconds"] <= needed + 5


@pytest.mark.parametrize("name", SERVICES)
def test_a_start_may_wait_for_the_database_as_long_as_the_service_does(name: str) -> None:
    """For each of two roles, one after the other, and half as long again."""
    probe = WORKLOADS[name].container["startupProbe"]
    waits = 2 * AuthSettings.model_fields["database_wait_seconds"].default
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 1.5 * waits


@pytest.mark.parametrize("name", SERVED)
def test_a_rollout_takes_no_replica_before_another_is_ready(name: str) -> None:
    """Two at least, spread, of which a drained node takes one; their number is the autoscaler's alone."""
    (built, *_) = BUILT
    spec = built.named("Deployment")[name].spec
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in spec
    assert built.named("HorizontalPodAutoscaler")[name].spec["minReplicas"] == 2
    assert built.named("PodDisruptionBudget")[name].spec["maxUnavailable"] == 1
    spread = [each["topologyKey"] for each in WORKLOADS[name].pod["topologySpreadConstraints"]]
    assert spread == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_what_is_not_allowed_is_denied() -> None:
    """Both ways, for every pod of the namespace."""
    denied = BUILT[0].named("NetworkPolicy")["default-deny"].spec
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_each_service_meets_whom_it_must() -> None:
    """The resource service reaches no auth database, and nobody the administration."""
    assert policies("auth").keys() == {
        "auth-gives-keys",
        "from-prometheus",
        "from-the-ingress-controller",
        "to-the-auth-database",
    }
    assert policies("auth-admin").keys() == {"from-prometheus", "to-the-auth-database"}
    assert policies("auth-admin")["from-prometheus"]["ingress"][0]["ports"] == [{"port": "metrics"}]
    assert policies("resource").keys() == {
        "resource-fetches-keys",
        "from-prometheus",
        "from-the-ingress-controller",
        "to-the-resource-database",
    }
    auth, resource = (
        policies("auth")["to-the-auth-database"],
        policies("resource")["to-the-resource-database"],
    )
    assert auth["egress"][0]["to"] != resource["egress"][0]["to"]
    assert policies("migrations", BUILT[1])["migrations"].keys() == {"podSelector", "policyTypes", "egress"}


def test_git_ignores_what_the_operator_makes() -> None:
    """No secret is added by accident, of a copy of the overlay either."""
    assert "deploy/kubernetes/**/*.env" in Path(".gitignore").read_text().splitlines()


def test_the_page_makes_the_secrets_that_the_overlay_needs(tmp_path: Path) -> None:
    """Its commands, as they stand there; the result goes through the same check, with the real values."""
    scripts = re.findall(
        r"^```sh\n(.*?)^```", Path("docs/kubernetes.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (script,) = [each for each in scripts if "rm all.env" in each]
    overlay = tmp_path / "kubernetes" / "production"
    ignored = shutil.ignore_patterns("*.env")
    shutil.copytree(EXAMPLE.parent, tmp_path / "kubernetes", ignore=ignored)
    shutil.copytree(EXAMPLE, overlay, ignore=ignored)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-euc", script], cwd=overlay, env={**os.environ, "PATH": path}, check=True)
    built = [build(root) for root in roots(overlay)]
    assert [fault for each in built for fault in faults(each)] == []
    secrets = {name: data for each in built for name, data in each.secrets.items()}
    assert {name: len(data) for name, data in secrets.items()} == {
        "auth-secrets": 3,
        "resource-secrets": 2,
        "migrations-secrets": 8,
    }
    assert secrets["auth-secrets"]["AUTH_DATABASE_URL"].endswith("@auth-db.example.com:5432/steelcut_auth")
    # The Job makes the roles with the passwords that the services have.
    for name, value in (secrets["auth-secrets"] | secrets["resource-secrets"]).items():
        assert secrets["migrations-secrets"].get(name, value) == value
    assert not (overlay / "all.env").exists()
    assert {file.stat().st_mode & 0o077 for file in overlay.rglob("*.env")} == {0}
