"""Read kustomizations as kustomize would, as far as ours go; what they do not use is refused rather than guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = "kustomization.yaml"
FIELDS: Final = {
    "": {"apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator", "secretGenerator"},
    "images": {"name", "newName", "newTag", "digest"},
    "configMapGenerator": {"name", "behavior", "literals"},
    "secretGenerator": {"name", "envs"},
}
# Of a file that the operator makes, this one is kept here; it says what must be in it.
EXAMPLE: Final = ".example"
PLACEHOLDER: Final = "change-me"


class ManifestError(Exception):
    """The manifests cannot be read; the text is a sentence."""


@dataclass(frozen=True)
class Resource:
    """One document of one file."""

    file: Path
    document: dict[str, Any]

    @property
    def kind(self) -> str:
        """What it is."""
        return str(self.document.get("kind"))

    @property
    def name(self) -> str:
        """What it is called among its kind."""
        return str(self.document.get("metadata", {}).get("name"))

    @property
    def spec(self) -> dict[str, Any]:
        """What it shall be like."""
        spec: dict[str, Any] = self.document.get("spec", {})
        return spec

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"{self.file}: the {self.kind} {self.name}"


@dataclass(frozen=True)
class Built:
    """What one kustomization makes, with all that it includes."""

    resources: list[Resource] = field(default_factory=list)
    # By name, without the hash of the content that kustomize appends.
    config_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    # The file of each entry: for sentences.
    images: dict[str, Path] = field(default_factory=dict)

    def named(self, kind: str) -> dict[str, Resource]:
        """Return the resources of a kind by their names."""
        return {resource.name: resource for resource in self.resources if resource.kind == kind}


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML forbids it, and the second would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"{min(twice)} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def roots(folder: Path) -> list[Path]:
    """Return the folders of the kustomizations that no other one includes: those that are applied."""
    found = {path.parent.resolve(): path.parent for path in sorted(folder.rglob(FILE))}
    included = {
        (place / str(name)).resolve()
        for place in found.values()
        for name in _mapping(place / FILE).get("resources") or []
    }
    if not found:
        raise ManifestError(f"{folder}: there is no {FILE} in it.")
    return [place for resolved, place in found.items() if resolved not in included]


def build(folder: Path) -> Built:
    """Return what the kustomization in ``folder`` makes. Raises ``ManifestError``."""
    file = folder / FILE
    content = _mapping(file)
    _check_fields(file, "", content)
    built = Built()
    listed = [folder / str(name) for name in content.get("resources") or []]
    for path in listed:
        _include(built, path, file)
    if forgotten := sorted({*folder.glob("*.yaml")} - {file, *listed}):
        raise ManifestError(f"{file}: resources does not list {forgotten[0].name}.")
    for entry in _entries(file, content, "configMapGenerator"):
        _generate(file, built.config_maps, entry, dict(_pairs(file, entry.get("literals") or [])))
    for entry in _entries(file, content, "secretGenerator"):
        lines = [line for name in entry.get("envs") or [] for line in _env_lines(folder / str(name), file)]
        _generate(file, built.secrets, entry, dict(_pairs(file, lines)))
    for entry in _entries(file, content, "images"):
        built.images[str(entry["name"])] = file
    return built


def _include(built: Built, path: Path, by: Path) -> None:
    if path.is_dir():
        inner = build(path)
        built.resources.extend(inner.resources)
        built.config_maps.update(inner.config_maps)
        built.secrets.update(inner.secrets)
        built.images.update(inner.images)
    elif path.is_file():
        built.resources.extend(Resource(path, document) for document in _documents(path))
    else:
        raise ManifestError(f"{by}: resources lists {path.name}, which is not there.")
    named = [(resource.kind, resource.name) for resource in built.resources]
    for resource in built.resources:
        if named.count((resource.kind, resource.name)) > 1:
            raise ManifestError(f"{resource} is there twice.")


def _generate(
    file: Path, made: dict[str, dict[str, str]], entry: dict[str, Any], data: dict[str, str]
) -> None:
    name, merges = str(entry["name"]), entry.get("behavior", "create") == "merge"
    if merges != (name in made):
        raise ManifestError(
            f"{file}: {name} is {'to be merged into one that is not there' if merges else 'made twice'}."
        )
    made[name] = made.get(name, {}) | data


def _env_lines(path: Path, by: Path) -> list[str]:
    """Return the lines of what the operator made, or of the example of it that is kept here."""
    example = path.with_name(path.name + EXAMPLE)
    if not example.is_file():
        raise ManifestError(f"{by}: envs lists {path.name}, and no {example.name} says what must be in it.")
    lines = example.read_text(encoding="utf-8").splitlines()
    for name, value in _pairs(example, lines):
        if value != PLACEHOLDER:
            raise ManifestError(f"{example}: {name} must be {PLACEHOLDER}, which the services refuse.")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else lines


def _pairs(file: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in map(str, lines):
        name, equals, value = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals:
            raise ManifestError(f"{file}: {name} has no value.")
        yield name, value


def _entries(file: Path, content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = content.get(name) or []
    for entry in entries:
        _check_fields(file, name, entry)
    return entries


def _check_fields(file: Path, where: str, content: dict[str, Any]) -> None:
    if unknown := sorted(content.keys() - FIELDS[where]):
        place = f"in {where}, " if where else ""
        raise ManifestError(f"{file}: {place}{unknown[0]} is no field that this check knows.")
    if where and "name" not in content:
        raise ManifestError(f"{file}: an entry of {where} has no name.")


def _mapping(file: Path) -> dict[str, Any]:
    documents = _documents(file)
    if len(documents) != 1:
        raise ManifestError(f"{file}: there must be one document in it.")
    return documents[0]


def _documents(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as opened:
            # A SafeLoader, with one refusal more.
            documents = [each for each in yaml.load_all(opened, _Loader) if each is not None]
    except (OSError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ManifestError(f"{file}: it cannot be read: {said}.") from None
    if not all(isinstance(each, dict) for each in documents):
        raise ManifestError(f"{file}: a document in it is no mapping.")
    return documents
