"""The resources that clients of a source may be granted: those that exist here, and those that an import makes."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from auth_service.administration.errors import Invalid
from auth_service.administration.granting import RESOURCE_NAME
from auth_service.administration.limits import check_lifetime, checked_scopes
from auth_service.transfer.records import Refused, ResourceRecord, clause, in_order
from steelcut.discovery import check_resource_identifier

_MAX_IDENTIFIER = 2000


class _Origin(enum.Enum):
    HERE = enum.auto()
    # Described by the source in full.
    DECLARED = enum.auto()
    # Known from what clients are granted: its scopes are all that they are granted.
    MADE = enum.auto()


@dataclass(frozen=True, slots=True)
class Declared:
    """What became of a resource that a source describes: new, here already, or, with a ``reason``, refused."""

    place: str
    resource: ResourceRecord
    is_new: bool
    reason: str = ""


class Catalogue:
    """Finds resources by short name or identifier; makes those that are missing when it is given a ``base_url``."""

    def __init__(self, existing: Iterable[ResourceRecord], base_url: str | None = None) -> None:
        """``base_url`` is what a short name is put behind to make the identifier of a new resource."""
        self._base_url = base_url
        self._resources: dict[str, ResourceRecord] = {}
        self._origins: dict[str, _Origin] = {}
        self._names: dict[str, str] = {}
        self._refused: set[str] = set()
        self.declared: list[Declared] = []
        for resource in existing:
            self._keep(resource, _Origin.HERE)

    def new(self, granted: Iterable[str]) -> list[ResourceRecord]:
        """Return the resources to make: those that a source describes, and of the others the ``granted`` ones."""
        used = {name for name in granted if self._origins[name] is _Origin.MADE}
        used |= {name for name, origin in self._origins.items() if origin is _Origin.DECLARED}
        return [self._resources[name] for name in sorted(used)]

    def declare(self, place: str, resource: ResourceRecord) -> None:
        """Take a resource that the source describes in full. A different one of the same name is not touched."""
        known = self._resources.get(resource.name)
        reason = ""
        if known is None:
            reason = self._reason_against(resource) or _reason_against_scopes(resource)
        elif known != resource:
            reason = "another resource of this name exists, of another identifier, other scopes or another lifetime"
        if reason:
            self._refused.add(resource.name)
        elif known is None:
            self._keep(resource, _Origin.DECLARED)
        self.declared.append(Declared(place, resource, known is None and not reason, reason))

    def grant(self, references: Sequence[str], scopes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Grant ``scopes`` at every resource of ``references`` that knows them. Raises ``Refused``.

        Each scope must be known to one of them; a resource that is made knows all.
        """
        wanted = _valid(scopes)
        targets = [self._find(reference) for reference in dict.fromkeys(references)]
        grants = {
            target.name: [scope for scope in wanted if self._knows(target, scope)] for target in targets
        }
        idle = [name for name, known in grants.items() if not known]
        if idle:
            raise Refused(f"the resource {idle[0]} knows none of its scopes")
        lost = set(wanted).difference(*grants.values())
        if lost:
            raise Refused(f"no resource of it knows the scope {min(lost)}")
        return self._granted(targets, grants)

    def grant_exactly(self, grants: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Grant at each resource its own scopes. Raises ``Refused``."""
        targets = [self._find(reference) for reference in grants]
        found: dict[str, list[str]] = {}
        for target, scopes in zip(targets, grants.values(), strict=True):
            for scope in _valid(scopes):
                if not self._knows(target, scope):
                    raise Refused(f"the resource {target.name} has no scope {scope}")
                found.setdefault(target.name, []).append(scope)
        return self._granted(targets, found)

    def _knows(self, target: ResourceRecord, scope: str) -> bool:
        return scope in target.scopes or self._origins.get(target.name, _Origin.MADE) is _Origin.MADE

    def _granted(
        self, targets: Iterable[ResourceRecord], grants: Mapping[str, Sequence[str]]
    ) -> dict[str, tuple[str, ...]]:
        """Keep what is to be made. Only now, when the client can no longer be refused for its grants."""
        for target in targets:
            if self._origins.get(target.name, _Origin.MADE) is _Origin.MADE:
                known = self._resources.get(target.name, target)
                scopes = in_order([*known.scopes, *grants[target.name]])
                self._keep(replace(known, scopes=scopes), _Origin.MADE)
        return {name: in_order(scopes) for name, scopes in grants.items()}

    def _keep(self, resource: ResourceRecord, origin: _Origin) -> None:
        self._resources[resource.name] = resource
        self._origins[resource.name] = origin
        self._names[resource.name] = self._names[resource.identifier] = resource.name

    def _find(self, reference: str) -> ResourceRecord:
        if reference in self._refused:
            raise Refused(f"its resource {reference} is refused")
        name = self._names.get(reference)
        if name is not None:
            return self._resources[name]
        if self._base_url is None:
            raise Refused(f"there is no resource {reference[:100]!a}")
        resource = _resource_for(reference, self._base_url)
        reason = self._reason_against(resource)
        if reason:
            raise Refused(f"no resource {reference[:100]!a} can be made: {reason}")
        return resource

    def _reason_against(self, resource: ResourceRecord) -> str:
        if RESOURCE_NAME.fullmatch(resource.name) is None:
            return "a resource name is letters, digits, '.', '_', '~' and '-', at most 128 of them"
        if len(resource.identifier) > _MAX_IDENTIFIER:
            return f"a resource identifier has at most {_MAX_IDENTIFIER} characters"
        try:
            check_resource_identifier(resource.identifier)
        except ValueError as error:
            return str(error)
        other = self._names.get(resource.name) or self._names.get(resource.identifier)
        return f"the resource {other} has its name or its identifier" if other else ""


def _resource_for(reference: str, base_url: str) -> ResourceRecord:
    if "://" not in reference:
        return ResourceRecord(reference, f"{base_url}/{reference}", ())
    parts = urlsplit(reference)
    # An audience is often the URL of an API: its last segment is what people call it.
    name = parts.path.rstrip("/").rpartition("/")[2] or parts.netloc.replace(":", "-")
    return ResourceRecord(name, reference, ())


def _reason_against_scopes(resource: ResourceRecord) -> str:
    try:
        checked_scopes(resource.scopes)
        check_lifetime(resource.token_lifetime_seconds)
    except Invalid as error:
        return str(error)
    return (
        ""
        if set(resource.default_scopes) <= set(resource.scopes)
        else "a default scope of it is none of its scopes"
    )


def _valid(scopes: Sequence[str]) -> list[str]:
    try:
        return checked_scopes(scopes)
    except Invalid as error:
        raise Refused(clause(str(error))) from None
