"""tools/node_packages.py: what is installed for Node is what was pinned, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import node_packages
from tools.node_packages import PackageError

# npm takes a folder where it takes a version: a package without a registry.
MANIFEST = "package.json"


def package(folder: Path, **content: object) -> Path:
    """Write a package, or a manifest, which is one too."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps(content))
    return manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest that pins two packages, one of them with a scope, by version and hash."""
    versions = {}
    for name in ("@house/needed", "needing"):
        needs = {"@house/needed": "1.0.0"} if name == "needing" else {}
        package(tmp_path / "source" / name, name=name, version="1.0.0", dependencies=needs)
        versions[name] = f"file:{tmp_path / 'source' / name}"
    manifest = package(tmp_path / "pinned", dependencies=versions)
    node_packages.pin(manifest)
    return manifest


def installed(folder: Path) -> set[str]:
    """Name what lies in ``folder``'s node_modules."""
    modules = folder / "node_modules"
    return {str(found.parent.relative_to(modules)) for found in modules.rglob(MANIFEST)}


def test_all_that_is_pinned_is_installed_and_nothing_else(manifest: Path, tmp_path: Path) -> None:
    """What an earlier run left is gone."""
    package(tmp_path / "node" / "node_modules" / "forgotten", name="forgotten")
    node_packages.install(manifest, tmp_path / "node")
    assert installed(tmp_path / "node") == {"@house/needed", "needing"}


def test_another_archive_than_the_pinned_one_is_not_unpacked(manifest: Path, tmp_path: Path) -> None:
    """A package that changed behind its version is refused before any of it, or of the others, is there."""
    content = node_packages.read(manifest)
    content["integrity"]["needing"] = content["integrity"]["@house/needed"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(PackageError, match="The archive of needing has another hash"):
        node_packages.install(manifest, tmp_path / "node")
    assert installed(tmp_path / "node") == set()


def test_what_a_package_needs_must_be_pinned_too(manifest: Path, tmp_path: Path) -> None:
    """Otherwise its version would be chosen on the day of the installation."""
    content = node_packages.read(manifest)
    del content["dependencies"]["@house/needed"]
    manifest.write_text(json.dumps(content))
    with pytest.raises(PackageError, match="needing needs @house/needed: pin it"):
        node_packages.install(manifest, tmp_path / "node")


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    """The reason is npm's own."""
    manifest = package(tmp_path, dependencies={"missing": f"file:{tmp_path / 'nowhere'}"}, integrity={})
    with pytest.raises(PackageError, match=r"npm could not download missing@file:(?s:.*)nowhere"):
        node_packages.install(manifest, tmp_path / "node")


def test_the_manifest_pins_exact_versions_and_their_hashes() -> None:
    """No range is left for a registry to decide, and no version was changed without its hash."""
    content = node_packages.read(node_packages.MANIFEST)
    for version in content["dependencies"].values():
        assert [part.isdigit() for part in version.split(".")] == [True] * 3
    assert content["integrity"].keys() == content["dependencies"].keys()
