"""Whether each database can be reached, whose roles they are, and which schema is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from steelcut.service.database import migrations
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, unset, warning
from steelcut_cli.doctor.places import DOORS

if TYPE_CHECKING:
    from steelcut_cli.doctor.places import Door, Service, View, Views

UPGRADE: Final = "Run `steelcut db upgrade`, which gives each role exactly its rights."
_NAMED: Final = 3


def check_reachability(views: Views) -> Iterator[Finding]:
    """Say through which doors the databases can be reached."""
    for door in DOORS:
        view = views.seen.get(door)
        if view is not None:
            yield _reached(door, view)
        elif door in views.shut:
            yield failed(door.name, views.shut[door], f"It is {door.variable} that leads there.")
        elif is_set(door.variable):
            yield not_checked(door.name, f"{door.variable} cannot be used: see the configuration above.")
        else:
            yield unset(door.name, door.variable)


def check_roles(views: Views) -> Iterator[Finding]:
    """Say whether each role is what it must be: it owns nothing, and may do what it needs and no more."""
    for door in DOORS:
        if door.grants is None:
            continue
        name = f"{door.service} {door.who.removesuffix(' role')} role"
        view = views.seen.get(door)
        if view is None:
            if is_set(door.variable):
                yield not_checked(name, "It cannot connect: see above.")
            continue
        problems = list(_problems(name, door, view, views))
        yield from problems
        if not problems:
            yield ok(name, f"{view.role} owns nothing and may do what it needs.")


def check_schemas(views: Views) -> Iterator[Finding]:
    """Say whether each schema is the one that this version was written for."""
    services: tuple[Service, ...] = ("auth", "resource")
    for service in services:
        name = f"{service} schema"
        doors = [door for door in DOORS if door.service == service]
        known = [view.revision for view in views.of(service).values() if view.revision != ""]
        if known:
            yield _schema(name, known[0], doors[0].package)
        elif views.of(service):
            yield not_checked(name, "No role may read the revision.", UPGRADE)
        elif any(is_set(door.variable) for door in doors):
            yield not_checked(name, "The database cannot be reached: see above.")
        else:
            yield unset(name, *(door.variable for door in doors))


def _reached(door: Door, view: View) -> Finding:
    answers = f"{view.database} answers as {view.role}."
    writes = door.who != "run-time role" or door.service == "auth"
    if view.read_only and writes:
        return failed(
            door.name,
            f"{answers} Nothing can be written there: it is a standby, or set to read only.",
            f"Let {door.variable} lead to the primary: name all hosts, and target_session_attrs=read-write.",
        )
    return ok(door.name, answers)


def _problems(name: str, door: Door, view: View, views: Views) -> Iterator[Finding]:
    if view.is_superuser:
        yield failed(
            name, f"{view.role} is a superuser.", f"Give {door.variable} a role of its own. {UPGRADE}"
        )
        return
    if view.owned:
        yield failed(
            name,
            f"{view.role} owns {_some(view.owned)}: it could change the schema and every row.",
            f"Give {door.variable} a role of its own. {UPGRADE}",
        )
        return
    if any(
        other.role == view.role
        for at, other in views.of(door.service).items()
        if at is not door and at.grants is not None and DOORS.index(at) < DOORS.index(door)
    ):
        yield failed(
            name, f"{view.role} is the run-time role.", f"Give {door.variable} a role of its own. {UPGRADE}"
        )
        return
    if view.lacking:
        yield failed(name, f"{view.role} lacks {_some(view.lacking)}.", UPGRADE)
    more = (*view.beyond, *(("CREATE on schema public",) if view.defines else ()))
    if more:
        yield warning(name, f"{view.role} may do more than it needs: {_some(more)}.", UPGRADE)


def _schema(name: str, revision: str | None, package: str) -> Finding:
    known = migrations.revisions(package)
    if revision == known[0]:
        return ok(name, f"It is at revision {revision}, the newest.")
    if revision is None:
        return failed(name, "The database is empty.", "Run `steelcut db upgrade`.")
    if revision in known:
        return failed(
            name,
            f"It is at revision {revision}, older than {known[0]}, which this version needs.",
            "Run `steelcut db upgrade` before the services of this version start.",
        )
    # During a rolling upgrade this is as it should be: a schema serves the version before it too.
    return warning(
        name,
        f"It is at revision {revision}, which this version does not know: a newer one has made it.",
        f"Upgrade the services; the newest that this version knows is {known[0]}.",
    )


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
