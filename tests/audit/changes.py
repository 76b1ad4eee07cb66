"""Every change that can be made, and the events that it must leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import ANY

from auth_service.administration import admin_api, clients, keys, resources, secrets
from auth_service.key_life import KeyTiming
from auth_service.transfer import exporting, writing
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import Item, item
from tests.audit.house import IN_AN_HOUR, WHO, House
from tests.support.foreign import argon2_hash, old_client
from tests.support.system import RESOURCE

# Action, type and id of the object, before, after.
Event = tuple[str, str, str, Any, Any]
TIMING = KeyTiming()
ISSUER = "https://auth.example.com"
FOREIGN_HASH = argon2_hash()

JANE: Final = {
    "name": "Jane",
    "enabled": True,
    "grants": {RESOURCE: ["read"]},
    "default_resource": RESOURCE,
    "token_lifetime_seconds": None,
    "expires_at": None,
    "metadata": {},
}
NEW: Final = JANE | {"name": "New", "default_resource": None}
SPARE: Final = {
    "identifier": "https://x.example.com/spare",
    "scopes": ["read", "write"],
    "default_scopes": [],
    "token_lifetime_seconds": None,
}


@dataclass(frozen=True)
class Case:
    """A call, what must be so before it, and what it must tell the log."""

    call: Callable[[House], Awaitable[Any]]
    events: Callable[[House], list[Event]]
    prepare: str = ""


def _client(action: str, before: Any, after: Any) -> Event:
    return (action, "client", "jane", before, after)


def _key(action: str, kid: str, was: str, **after: Any) -> Event:
    return (f"key.{action}", "key", kid, {"state": was}, after)


def _secret(secret_id: str, label: str = "", expires_at: Any = None) -> dict[str, Any]:
    return {"secret_id": secret_id, "label": label, "expires_at": expires_at}


def _rotated(house: House) -> list[Event]:
    before = {"replaced": [_secret(secret_id) for secret_id in house.secret_ids]}
    ended = [_secret(secret_id, expires_at=ANY) for secret_id in house.secret_ids]
    return [_client("secret.rotate", before, _secret(ANY) | {"replaced": ended})]


def _read(catalogue: Catalogue) -> list[Item]:
    grants = catalogue.grant(["made"], ["read"])
    return [item("line 1", "old", old_client("old", FOREIGN_HASH, grants=grants))]


CASES: Mapping[str, Case] = {
    "create_client": Case(
        lambda h: clients.create_client(h.connection, WHO, "New", {RESOURCE: ["read"]}, client_id="new"),
        lambda _: [("client.create", "client", "new", None, NEW | {"secret_ids": [ANY]})],
    ),
    "update_client": Case(
        lambda h: clients.update_client(h.connection, WHO, "jane", {"name": "Joan", "metadata": {"a": "b"}}),
        lambda _: [
            _client(
                "client.update", {"name": "Jane", "metadata": {}}, {"name": "Joan", "metadata": {"a": "b"}}
            )
        ],
    ),
    "update_client: grants": Case(
        lambda h: clients.update_client(
            h.connection, WHO, "jane", {"grants": {"spare": ["write"]}, "default_resource": None}
        ),
        lambda _: [
            _client(
                "client.update",
                {"grants": {RESOURCE: ["read"]}, "default_resource": RESOURCE},
                {"grants": {"spare": ["write"]}, "default_resource": None},
            )
        ],
    ),
    "update_client: nothing": Case(
        lambda h: clients.update_client(h.connection, WHO, "jane", {"name": "Jane"}), lambda _: []
    ),
    "disable_client": Case(
        lambda h: clients.disable_client(h.connection, WHO, "jane"),
        lambda _: [_client("client.disable", {"enabled": True}, {"enabled": False})],
    ),
    "enable_client": Case(
        lambda h: clients.enable_client(h.connection, WHO, "jane"),
        lambda _: [_client("client.enable", {"enabled": False}, {"enabled": True})],
        prepare="UPDATE clients SET enabled = false",
    ),
    "delete_client": Case(
        lambda h: clients.delete_client(h.connection, WHO, "jane"),
        lambda h: [_client("client.delete", JANE | {"secret_ids": h.secret_ids}, None)],
    ),
    "add_secret": Case(
        lambda h: secrets.add_secret(h.connection, WHO, "jane", label="x"),
        lambda _: [_client("secret.add", None, _secret(ANY, "x"))],
    ),
    "expire_secret": Case(
        lambda h: secrets.expire_secret(h.connection, WHO, "jane", h.secret_ids[0], IN_AN_HOUR),
        lambda h: [
            _client(
                "secret.expire",
                _secret(h.secret_ids[0]),
                _secret(h.secret_ids[0], expires_at=IN_AN_HOUR.isoformat()),
            )
        ],
    ),
    "revoke_secret": Case(
        lambda h: secrets.revoke_secret(h.connection, WHO, "jane", h.secret_ids[0]),
        lambda h: [_client("secret.revoke", _secret(h.secret_ids[0]) | {"in_use": False}, None)],
    ),
    "rotate_secret": Case(lambda h: secrets.rotate_secret(h.connection, WHO, "jane"), _rotated),
    "rotate_own_secret": Case(lambda h: secrets.rotate_own_secret(h.connection, WHO, "jane"), _rotated),
    "create_resource": Case(
        lambda h: resources.create_resource(h.connection, WHO, "new", "https://new.example.com", ["read"]),
        lambda _: [
            (
                "resource.create",
                "resource",
                "new",
                None,
                SPARE | {"identifier": "https://new.example.com", "scopes": ["read"]},
            )
        ],
    ),
    "update_resource": Case(
        lambda h: resources.update_resource(h.connection, WHO, "spare", {"token_lifetime_seconds": 60}),
        lambda _: [
            (
                "resource.update",
                "resource",
                "spare",
                {"token_lifetime_seconds": None},
                {"token_lifetime_seconds": 60},
            )
        ],
    ),
    "update_resource: a scope that is granted": Case(
        lambda h: resources.update_resource(h.connection, WHO, RESOURCE, {"scopes": ["write"]}, force=True),
        lambda _: [
            _client("client.update", {"grants": {RESOURCE: ["read"]}}, {"grants": {RESOURCE: []}}),
            ("resource.update", "resource", RESOURCE, {"scopes": ["read", "write"]}, {"scopes": ["write"]}),
        ],
    ),
    "delete_resource": Case(
        lambda h: resources.delete_resource(h.connection, WHO, "spare"),
        lambda _: [("resource.delete", "resource", "spare", SPARE, None)],
    ),
    "delete_resource: one that is granted": Case(
        lambda h: resources.delete_resource(h.connection, WHO, RESOURCE, force=True),
        lambda _: [
            _client("client.update", {"grants": {RESOURCE: ["read"]}}, {"grants": {RESOURCE: []}}),
            _client("client.update", {"default_resource": RESOURCE}, {"default_resource": None}),
            (
                "resource.delete",
                "resource",
                RESOURCE,
                SPARE | {"identifier": f"https://x.example.com/{RESOURCE}"},
                None,
            ),
        ],
    ),
    "create_key": Case(
        lambda h: keys.create_key(h.connection, WHO, h.old, "ES256"),
        lambda h: [
            (
                "key.create",
                "key",
                ANY,
                None,
                {"algorithm": "ES256", "state": "pending", "master_key_id": h.old.key_id},
            )
        ],
    ),
    "promote_key": Case(
        lambda h: keys.promote_key(h.connection, WHO, h.pending, TIMING, force=True),
        lambda h: [
            _key("supersede", h.active, "active", state="retiring", successor=h.pending),
            _key("promote", h.pending, "pending", state="active", forced=True),
        ],
    ),
    "retire_key": Case(
        lambda h: keys.retire_key(h.connection, WHO, h.pending, TIMING),
        lambda h: [_key("retire", h.pending, "retiring", state="retired", compromised=False)],
        prepare="UPDATE signing_keys SET state = 'retiring', activated_at = now() - interval '9 days',"
        " retiring_at = now() - interval '8 days' WHERE state = 'pending'",
    ),
    "revoke_key": Case(
        lambda h: keys.revoke_key(h.connection, WHO, h.pending, h.old, "ES256", TIMING),
        lambda h: [_key("revoke", h.pending, "pending", state="retired", compromised=False)],
    ),
    "revoke_key: the one that signs": Case(
        lambda h: keys.revoke_key(h.connection, WHO, h.active, h.old, "ES256", TIMING, force=True),
        lambda h: [
            _key("revoke", h.active, "active", state="retired", compromised=True),
            _key("promote", h.pending, "pending", state="active", forced=True),
        ],
    ),
    "rotate_keys": Case(
        lambda h: keys.rotate_keys(h.connection, WHO, h.old, "ES256", TIMING),
        lambda h: [
            _key("supersede", h.active, "active", state="retiring", successor=h.pending),
            _key("promote", h.pending, "pending", state="active", forced=False),
        ],
        prepare="UPDATE signing_keys SET created_at = now() - interval '30 days'",
    ),
    "reseal_keys": Case(
        lambda h: keys.reseal_keys(h.connection, WHO, h.new),
        lambda h: [
            (
                "key.reseal",
                "key",
                kid,
                {"master_key_id": h.old.key_id},
                {"master_key_id": h.new.key_id},
            )
            for kid in (h.active, h.pending)
        ],
    ),
    "create_admin": Case(
        lambda h: admin_api.create_admin(h.connection, WHO, "Ann", ISSUER, ["audit:read"]),
        lambda _: [
            (
                "resource.create",
                "resource",
                "admin",
                None,
                SPARE | {"identifier": f"{ISSUER}/admin/v1", "scopes": sorted(admin_api.SCOPES)},
            ),
            (
                "client.create",
                "client",
                ANY,
                None,
                NEW | {"name": "Ann", "grants": {"admin": ["audit:read"]}, "secret_ids": [ANY]},
            ),
        ],
    ),
    "take": Case(
        lambda h: writing.take(
            h.connection, WHO, "test", _read, apply=True, base_url="https://m.example.com"
        ),
        lambda _: [
            (
                "resource.import",
                "resource",
                "made",
                None,
                SPARE | {"identifier": "https://m.example.com/made", "scopes": ["read"], "source": "test"},
            ),
            (
                "client.import",
                "client",
                "old",
                None,
                NEW | {"name": "old", "grants": {"made": ["read"]}, "secret_ids": [ANY], "source": "test"},
            ),
        ],
    ),
    "take: a trial": Case(
        lambda h: writing.take(
            h.connection, WHO, "test", _read, apply=False, base_url="https://m.example.com"
        ),
        lambda _: [],
    ),
    "export": Case(
        lambda h: exporting.export(h.connection, WHO, len),
        lambda _: [("client.export", "client", "*", None, None)],
    ),
}
