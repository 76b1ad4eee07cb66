"""The bill of materials: `make sbom` writes it, anybody's scanner can read it, and nothing of the lock is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import audit, sbom

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bill, as the tool writes it."""
    file = tmp_path_factory.mktemp("sbom") / "sbom.json"
    subprocess.run([sys.executable, "tools/sbom.py", str(file)], cwd=ROOT, check=True)
    return file.read_text()


@pytest.fixture(scope="module")
def bill(text: str) -> dict[str, Any]:
    """What is in it."""
    read: dict[str, Any] = json.loads(text)
    return read


def test_it_is_cyclonedx(text: str, bill: dict[str, Any]) -> None:
    """By the schema, read strictly, and about this project."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    described = bill["metadata"]["component"]
    assert (described["name"], described["version"]) == ("steelcut", metadata.version("steelcut"))


def test_each_locked_package_is_named_with_its_version_and_hashes(bill: dict[str, Any]) -> None:
    """All of them, once for each version, and nothing else."""
    locked = {(name, version) for name, versions in audit.pins(LOCK).items() for version in versions}
    named = Counter((component["name"], component["version"]) for component in bill["components"])
    assert dict(named) == dict.fromkeys(locked, 1)
    hashes = {
        one["content"]
        for component in bill["components"]
        for reference in component["externalReferences"]
        for one in reference["hashes"]
    }
    assert hashes == set(re.findall(r"--hash=sha256:(\w+)", LOCK))


def test_what_runs_is_told_from_what_only_checks(bill: dict[str, Any]) -> None:
    """A scanner of what is running shall not report the test runner."""
    scopes = {component["name"]: component["scope"] for component in bill["components"]}
    assert {scopes[name] for name in ("asyncpg", "cryptography", "fastapi", "uvicorn")} == {"required"}
    assert {scopes[name] for name in ("bandit", "hatchling", "mkdocs", "pytest")} == {"excluded"}


def test_no_place_is_named(text: str) -> None:
    """Neither a registry nor a folder of the machine: the lock holds for every mirror."""
    assert str(ROOT) not in text
    assert {component.get("purl", "")[:9] for component in json.loads(text)["components"]} == {"pkg:pypi/"}
    references = [
        reference["url"] for one in json.loads(text)["components"] for reference in one["externalReferences"]
    ]
    assert all(url.startswith("pkg:pypi/") for url in references)


def test_same_lock_gives_same_bill(bill: dict[str, Any]) -> None:
    """No time and no random number, so that two builds can be compared."""
    assert sbom.bill(ROOT / "requirements.lock") == bill


def test_what_the_schema_does_not_allow_is_not_written(bill: dict[str, Any]) -> None:
    """One sentence instead."""
    with pytest.raises(sbom.SbomError, match=r"not as CycloneDX 1\.6 wants it"):
        sbom.checked({**bill, "components": [{"name": "nameless type"}]})
