"""Whether the two services mean the same by the name of a resource.

A token has the registered identifier in its ``aud``; the resource service opens a document only to a token that has
there RESOURCE_BASE_URL with the name of the resource behind it (RFC 8707 §2, RFC 9068 §4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from auth_service.administration.admin_api import ADMIN_RESOURCE, admin_audience
from auth_service.queries import resources as registered_queries
from resource_service import queries as document_queries
from steelcut.discovery import PROTECTED_RESOURCE, well_known
from steelcut.exchange import printable
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, unset, warning
from steelcut_cli.doctor.places import DOORS, ask
from steelcut_cli.doctor.services import ask as ask_service
from steelcut_cli.doctor.services import unreachable
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from auth_service.queries.resources import ResourceRow
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.places import Service, Views
    from steelcut_cli.doctor.services import Services

# More are not looked at: whoever has so many has the same base URL for all.
MAX_RESOURCES: Final = 100
MAX_ASKED: Final = 10
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Resources:
    """What is registered at the auth service, and which names have documents; None is what cannot be known."""

    registered: list[ResourceRow] | None
    published: list[str] | None
    base_url: str | None

    def identifier(self, name: str) -> str:
        """Return what the resource service calls a resource."""
        return f"{self.base_url}/{name}"

    def usable(self) -> list[ResourceRow]:
        """Return what is registered as the resource service calls it, first what has documents there."""
        ours = [row for row in self.registered or () if row.identifier == self.identifier(row.name)]
        return sorted(ours, key=lambda row: row.name not in (self.published or ()))


def find(environment: Environment, views: Views) -> Resources:
    """Read both databases; raises nothing."""
    registered = published = None
    url = _url(environment, views, "auth")
    if url is not None:
        try:
            registered = ask(environment.urls[url], registered_queries.resources)
        except Refusal:
            registered = None
    url = _url(environment, views, "resource")
    if url is not None:
        try:
            published = ask(
                environment.urls[url], lambda c: document_queries.resource_names(c, limit=MAX_RESOURCES)
            )
        except Refusal:
            published = None
    return Resources(registered, published, environment.base_url)


def check(environment: Environment, resources: Resources) -> Iterator[Finding]:
    """Compare what is registered with RESOURCE_BASE_URL, and with what is published."""
    yield from _admin(environment, resources)
    name = "audiences"
    if resources.base_url is None:
        yield unset(name, "RESOURCE_BASE_URL")
        return
    if resources.registered is None:
        doors = [door.variable for door in DOORS if door.service == "auth"]
        yield (
            not_checked(name, "The registered resources cannot be read: see above.")
            if any(map(is_set, doors))
            else unset(name, *doors)
        )
        return
    problems = list(_differences(resources.registered, resources))
    yield from problems
    agreeing = [row.name for row in resources.usable()]
    if not agreeing and not problems:
        yield not_checked(name, f"No resource is registered or published under {resources.base_url} yet.")
    elif not problems:
        yield ok(name, f"{_some(agreeing)}: registered under {resources.base_url}, as documents are served.")


def check_metadata(environment: Environment, services: Services, resources: Resources) -> Iterator[Finding]:
    """Say whether the metadata of each resource names the issuer (RFC 9728 §3.3)."""
    name = "resource metadata"
    if services.resource is None:
        yield unset(name, "RESOURCE_BASE_URL")
        return
    if services.resource.answer is None:
        yield unreachable(name)
        return
    names = resources.published
    if names is None:
        names = [row.name for row in resources.usable()] if resources.registered is not None else None
    if not names:
        yield not_checked(
            name,
            "No resource is known there."
            if names is not None
            else "Which resources there are is not known without a database.",
            "Publish a document." if names is not None else "Set RESOURCE_DATABASE_URL to have this checked.",
        )
        return
    problems = [
        problem
        for each in names[:MAX_ASKED]
        for problem in _metadata(name, environment, services, resources.identifier(each))
    ]
    yield from problems
    if not problems:
        yield ok(name, f"{_some(names[:MAX_ASKED])}: it names {environment.issuer or 'one issuer'}.")


def _admin(environment: Environment, resources: Resources) -> Iterator[Finding]:
    row = next((row for row in resources.registered or () if row.name == ADMIN_RESOURCE), None)
    if row is None or environment.auth_issuer is None:
        return
    audience = admin_audience(environment.auth_issuer)
    if row.identifier != audience:
        yield failed(
            "admin API",
            f"The resource {ADMIN_RESOURCE} is registered as {row.identifier}, and by AUTH_ISSUER it is {audience}.",
            f"`steelcut resources update {ADMIN_RESOURCE} --identifier {audience}`, or correct AUTH_ISSUER.",
        )


def _differences(registered: list[ResourceRow], resources: Resources) -> Iterator[Finding]:
    name = "audiences"
    by_name = {row.name: row.identifier for row in registered}
    identifiers = set(by_name.values())
    published = resources.published
    if published is None:
        if not resources.usable():
            yield failed(
                name,
                f"None of the {len(registered)} registered resources lies under {resources.base_url}.",
                "Correct RESOURCE_BASE_URL, or register them: `steelcut resources create`, `update --identifier`.",
            )
        return
    for each in published:
        identifier = resources.identifier(each)
        if identifier in identifiers:
            continue
        if each in by_name:
            yield failed(
                name,
                f"{each} is registered as {by_name[each]}, and served as {identifier}: its tokens are refused.",
                f"Correct RESOURCE_BASE_URL, or `steelcut resources update {each} --identifier {identifier}`.",
            )
        else:
            yield warning(
                name,
                f"{each} has documents and is not registered: nobody can get a token for {identifier}.",
                f"`steelcut resources create {each} --identifier {identifier} --scope read`.",
            )
    for row in resources.usable():
        if row.name not in published and len(published) < MAX_RESOURCES:
            yield warning(
                name,
                f"{row.name} is registered as {row.identifier}, and has no document.",
                f"`steelcut documents publish {row.name} FILE`.",
            )


def _metadata(name: str, environment: Environment, services: Services, identifier: str) -> Iterator[Finding]:
    heard = ask_service(services.exchange, well_known(identifier, PROTECTED_RESOURCE))
    document = heard.document()
    if document is None:
        yield failed(name, heard.failure(), "A proxy before the service must lead there too (RFC 9728 §3.1).")
        return
    called = document.get("resource")
    if called != identifier:
        yield failed(
            name,
            f"The service calls {identifier} {printable(str(called))}.",
            "Set RESOURCE_BASE_URL of the service to the URL under which clients see it.",
        )
    servers = document.get("authorization_servers")
    issuer = environment.issuer
    if issuer is not None and (not isinstance(servers, list) or issuer not in servers):
        yield failed(
            name,
            f"The metadata of {identifier} does not name {issuer}, but {printable(str(servers))}.",
            "Set RESOURCE_ISSUER of the service to the issuer, to the letter.",
        )


def _url(environment: Environment, views: Views, service: Service) -> str | None:
    return next((door.variable for door in views.of(service) if door.variable in environment.urls), None)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
