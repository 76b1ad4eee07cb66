"""The signing keys: in the database, under the master key, and in the key set that the issuer publishes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from auth_service.master_key import MasterKey, SealBroken
from auth_service.queries import keys as queries
from steelcut_cli import output
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, unset, warning
from steelcut_cli.doctor.places import DOORS, ask
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from auth_service.queries.keys import KeyRow
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.places import Views
    from steelcut_cli.doctor.services import Services

MASTER_KEY: Final = "AUTH_MASTER_KEY"
# A rotation takes its steps once a minute, and one step may wait for another.
SLACK: Final = timedelta(days=1)
LONG: Final = timedelta(days=365)


def check(environment: Environment, views: Views, services: Services) -> Iterator[Finding]:
    """Say whether one key signs, whether it can be opened, who knows it, and how old it is."""
    name = "signing key"
    # Both may read the keys; the owner's URL has no business in a check that others can do.
    doors = [door for door in DOORS if door.service == "auth" and door.grants is not None]
    door = next((door for door in reversed(doors) if door in views.seen), None)
    if door is None:
        yield (
            not_checked(name, "The auth database cannot be reached: see above.")
            if any(is_set(door.variable) for door in doors)
            else unset(name, *(door.variable for door in doors))
        )
        return
    try:
        keys = ask(environment.urls[door.variable], queries.keys)
    except Refusal as refusal:
        yield not_checked(name, str(refusal))
        return
    live = [key for key in keys if key.state != "retired"]
    active = next((key for key in live if key.state == "active"), None)
    if active is None:
        yield failed(
            name, "No key signs: every token request is answered with 503.", "Run `steelcut keys create`."
        )
    else:
        yield ok(name, f"{active.kid} ({active.algorithm}) signs.")
    yield from _master_key(environment, live)
    yield _published(keys, active, services)
    if active is not None:
        now = datetime.now(UTC) + timedelta(seconds=views.seen[door].clock.offset)
        yield _age(active, now, environment.key_rotation_days)


def _master_key(environment: Environment, keys: Sequence[KeyRow]) -> Iterator[Finding]:
    name = "master key"
    if environment.keys is None:
        given = is_set(MASTER_KEY) or is_set(f"{MASTER_KEY}_KEYRING")
        yield (
            not_checked(name, f"{MASTER_KEY} cannot be used: see the configuration above.")
            if given
            else unset(name, MASTER_KEY)
        )
        return
    if not keys:
        yield not_checked(name, "There is no key to open.")
        return
    master_key = MasterKey.from_settings(environment.keys)
    shut = [key for key in keys if not _opens(master_key, key)]
    for key in shut:
        yield failed(
            name,
            f"It does not open the {key.state} key {key.kid}: that one lies under the master key with the id"
            f" {key.master_key_id}, this one is {master_key.key_id}.",
            f"Set {MASTER_KEY} to the right one, or AUTH_PREVIOUS_MASTER_KEY to the old one while it is changed. If it"
            " is lost, `steelcut keys revoke --force` makes a new key.",
        )
    behind = [key.kid for key in keys if key.master_key_id != master_key.key_id]
    if behind and not shut:
        yield warning(
            name,
            f"{' and '.join(behind)} still lie{'s' if len(behind) == 1 else ''} under AUTH_PREVIOUS_MASTER_KEY.",
            "Run `steelcut keys reseal` when every replica has both.",
        )
    elif not shut:
        yield ok(
            name,
            f"It opens {'the key' if len(keys) == 1 else f'all {len(keys)} keys'}; its id is {master_key.key_id}.",
        )


def _opens(master_key: MasterKey, key: KeyRow) -> bool:
    try:
        master_key.unseal(key.sealed_private, key.kid)
    except SealBroken:
        return False
    return True


def _published(keys: Sequence[KeyRow], active: KeyRow | None, services: Services) -> Finding:
    name = "published keys"
    if services.kids is None:
        if services.jwks_uri is None:
            return not_checked(name, "The issuer's metadata cannot be had: see above.")
        return failed(name, f"{services.jwks_uri} gives no key set.", "See the log of the auth service.")
    known = {key.kid: key for key in keys}
    strange = sorted(services.kids - known.keys())
    if strange:
        return failed(
            name,
            f"{services.jwks_uri} publishes {', '.join(strange)}, which this database does not have.",
            "The service runs on another database, or another service answers there: compare AUTH_DATABASE_URL.",
        )
    if active is not None and active.kid not in services.kids:
        return failed(
            name,
            f"{active.kid} signs, and {services.jwks_uri} does not publish it: verifiers refuse its tokens.",
            "See the log of the auth service, and what caches answers before it.",
        )
    late = [key.kid for key in keys if key.state != "retired" and key.kid not in services.kids]
    late += [kid for kid in sorted(services.kids) if known[kid].state == "retired"]
    if late:
        return warning(
            name,
            f"{services.jwks_uri} is not up to date about {', '.join(late)}.",
            "A replica reads the keys again within seconds: if this lasts, see its log and the caches before it.",
        )
    return ok(name, f"{services.jwks_uri} has {', '.join(sorted(services.kids))}, as the database does.")


def _age(active: KeyRow, now: datetime, days: int | None) -> Finding:
    name = "key age"
    age = now - (active.activated_at or active.created_at)
    signs = f"{active.kid} has signed for {output.duration(age)}"
    if days is not None and age > timedelta(days=days) + SLACK:
        return warning(
            name,
            f"{signs}, and AUTH_KEY_ROTATION_DAYS is {days}: nobody rotates.",
            "Start a process with AUTH_KEY_ROTATION_DAYS and AUTH_ADMIN_DATABASE_URL, and see its log.",
        )
    if days is None and age > LONG:
        return warning(
            name, f"{signs}, and AUTH_KEY_ROTATION_DAYS is not set.", "Set it, or run `steelcut keys rotate`."
        )
    rule = "AUTH_KEY_ROTATION_DAYS is not set" if days is None else f"AUTH_KEY_ROTATION_DAYS is {days}"
    return ok(name, f"{signs}; {rule}.")
