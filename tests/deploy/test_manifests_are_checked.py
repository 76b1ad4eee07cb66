"""tools/manifests: what would not work in a cluster is said here, in one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.manifests.checks import faults
from tools.manifests.kustomizations import ManifestError, build, roots

MANIFESTS = Path("deploy/kubernetes")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the manifests, to be broken; without what somebody made beside them."""
    for name in ("base", "migrations", "example"):
        shutil.copytree(MANIFESTS / name, tmp_path / name, ignore=shutil.ignore_patterns("*.env"))
    return tmp_path


def said_of(folder: Path) -> list[str]:
    """Return the sentences that the check has for a folder."""
    try:
        return [fault for root in roots(folder) for fault in faults(build(root))]
    except ManifestError as error:
        return [str(error)]


def change(file: Path, old: str, new: str) -> None:
    """Replace the first ``old`` of a file, which must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_ours_are_sound(folder: Path) -> None:
    """Both kustomizations that are applied, which include all that there is."""
    assert [root.relative_to(folder).as_posix() for root in roots(folder)] == [
        "example",
        "example/migrations",
    ]
    assert said_of(folder) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        # A field that no schema has, a value that the field cannot have, a version that is no more.
        (
            "base/auth.yaml",
            "readOnlyRootFilesystem:",
            "readOnlyRootFileSystem:",
            "'readOnlyRootFileSystem' was unexpected",
        ),
        (
            "example/network.yaml",
            "operator: In, values: [auth, resource]",
            "operator: Exists",
            "knows In alone",
        ),
        ("base/resource.yaml", "minReplicas: 2", "minReplicas: two", "at spec.minReplicas: 'two' is not"),
        ("base/auth.yaml", "autoscaling/v2", "autoscaling/v2beta2", "Kubernetes 1.30 knows no such kind"),
        # What leads nowhere.
        (
            "base/auth.yaml",
            "  selector: { app.kubernetes.io/name: steelcut,",
            "  selector: { app.kubernetes.io/name: steel,",
            "the Service auth: its selector matches no pod",
        ),
        (
            "base/network.yaml",
            "component: resource }",
            "component: resources }",
            "auth-gives-keys: its podSelector of ingress matches no pod",
        ),
        (
            "base/auth-admin.yaml",
            "serviceAccountName: auth-admin",
            "serviceAccountName: admin",
            "there is no ServiceAccount admin",
        ),
        (
            "base/resource.yaml",
            "Deployment, name: resource",
            "Deployment, name: resources",
            "there is no Deployment resources",
        ),
        (
            "base/resource.yaml",
            "targetPort: http",
            "targetPort: https",
            "Deployment resource has no port https",
        ),
        ("base/auth.yaml", "/healthz, port: http", "/healthz, port: web", "Deployment auth has no port web"),
        (
            "base/auth.yaml",
            "path: /readyz",
            "path: /ready",
            "a probe asks /ready, which the service does not answer",
        ),
        (
            "example/ingress.yaml",
            "name: resource, port",
            "name: documents, port",
            "there is no Service documents",
        ),
        # What the image is not.
        (
            "base/auth.yaml",
            "-m, auth_service]",
            "-m, auth]",
            "python -m auth is no command of docker-compose.yml",
        ),
        (
            "base/auth.yaml",
            "image: steelcut",
            "image: steel",
            "its image is steel, and docker-compose.yml makes steelcut",
        ),
        ("base/auth.yaml", "runAsUser: 10001", "runAsUser: 1000", "it does not run as 10001:10001"),
        (
            "base/auth.yaml",
            "Port: 8000",
            "Port: 8001",
            "its port http is 8001, and the image listens on 8000",
        ),
        ("base/auth.yaml", "Links: false", "Links: true", "a Service would set AUTH_PORT"),
        # Settings.
        (
            "base/kustomization.yaml",
            "AUTH_DATABASE_POOL",
            "AUTH_POOL",
            "AUTH_POOL_SIZE is no setting of python -m auth_service",
        ),
        (
            "base/kustomization.yaml",
            "POOL_SIZE=5",
            "POOL_SIZE=few",
            "AUTH_DATABASE_POOL_SIZE: input should be a valid integer",
        ),
        (
            "example/kustomization.yaml",
            "RESOURCE_BASE_URL=https://api.example.com",
            "RESOURCE_LEEWAY_SECONDS=9",
            "RESOURCE_BASE_URL: is still the placeholder",
        ),
        (
            "example/kustomization.yaml",
            "//api.example.com",
            "//api.example.com/",
            "RESOURCE_BASE_URL: must not end in a slash",
        ),
        (
            "base/kustomization.yaml",
            "AUTH_METRICS_PORT=9100",
            "AUTH_METRICS_PORT=9200",
            "its port metrics is none of its setting",
        ),
        (
            "base/auth.yaml",
            "key: AUTH_DATABASE_URL",
            "key: AUTH_URL",
            "the Secret auth-secrets has no AUTH_URL",
        ),
        (
            "example/auth.env.example",
            "#AUTH_PREVIOUS_MASTER_KEY=",
            "AUTH_OLD_MASTER_KEY=change-me",
            "AUTH_OLD_MASTER_KEY, which no container takes",
        ),
        (
            "example/auth.env.example",
            "KEY=change-me",
            "KEY=AAAA",
            "AUTH_MASTER_KEY must be change-me, which the services refuse",
        ),
        # Kustomizations.
        (
            "example/kustomization.yaml",
            "- name: resource-secrets",
            "- name: secrets",
            "no generator makes the Secret resource-secrets",
        ),
        (
            "example/kustomization.yaml",
            "- ingress.yaml",
            "- gateway.yaml",
            "resources lists gateway.yaml, which is not there",
        ),
        ("base/kustomization.yaml", "  - network.yaml\n", "", "resources does not list network.yaml"),
        (
            "example/kustomization.yaml",
            "namespace:",
            "nameSpace:",
            "nameSpace is no field that this check knows",
        ),
        (
            "example/kustomization.yaml",
            "- name: steelcut",
            "- name: steel",
            "images names steel, which no container has",
        ),
        (
            "example/kustomization.yaml",
            "- name: auth-settings",
            "- name: auth",
            "auth is to be merged into one that is not there",
        ),
        (
            "example/kustomization.yaml",
            "[resource.env]",
            "[documents.env]",
            "no documents.env.example says what must be in it",
        ),
        (
            "base/network.yaml",
            "name: dns",
            "name: default-deny",
            "the NetworkPolicy default-deny is there twice",
        ),
        (
            "base/auth.yaml",
            "runAsNonRoot: true",
            "runAsNonRoot: true\n        runAsNonRoot: false",
            "runAsNonRoot stands twice",
        ),
        ("base/auth.yaml", "spec:", "spec", "it cannot be read"),
    ],
)
def test_what_would_not_work_is_said(folder: Path, file: str, old: str, new: str, sentence: str) -> None:
    """In one sentence for each object that it spoils, of which the first is looked at."""
    change(folder / file, old, new)
    assert sentence in said_of(folder)[0]


def test_make_check_fails_with_one_sentence(folder: Path) -> None:
    """And with nothing else: no traceback."""
    command = [sys.executable, "-m", "tools.manifests", str(folder)]
    change(folder / "base/auth.yaml", "maxUnavailable: 0", "maxUnavailible: 0")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "base/auth.yaml: the Deployment auth, at spec.strategy.rollingUpdate: Additional" in done.stderr
