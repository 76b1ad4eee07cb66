"""One request for each reason for which the token endpoint refuses."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auth_service import client_secrets
from auth_service.administration.actor import Actor
from auth_service.administration.resources import create_resource
from auth_service.form import MAX_BODY_BYTES, MAX_PARAMETERS
from tests.audit.reasons import GAP
from tests.support.system import GRANT, RESOURCE, Registered, System

FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Refusal:
    """What is sent, as options of httpx; which client the event names; and what of the reason is told in it."""

    request: Mapping[str, Any]
    client_id: str = ""
    fills: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Callers:
    """Clients that are refused for what they are."""

    jane: Registered
    disabled: Registered
    expired: Registered
    without_grant_type: Registered
    of_two_resources: Registered
    of_many_scopes: Registered


async def callers(system: System) -> Callers:
    """Register them, and a resource that has no scope in common with the example."""
    await system.as_admin(
        lambda c: create_resource(c, Actor("test"), "spare", "https://x.example.com/spare", ["list"])
    )
    long = [f"{number}-{'s' * 250}" for number in range(30)]
    await system.as_admin(
        lambda c: create_resource(c, Actor("test"), "long", "https://x.example.com/long", long)
    )
    many = await system.register("Many", grants={"long": long})
    disabled, expired, without = [await system.register(name) for name in ("Disabled", "Expired", "Without")]
    both = await system.register("Both", grants={RESOURCE: ["read"], "spare": ["list"]})
    changes = (
        ("enabled = false", disabled),
        ("expires_at = now()", expired),
        ("grant_types = '{}'", without),
    )

    async def change_them(connection: Any) -> None:
        for change, client in changes:
            statement = f"UPDATE clients SET {change} WHERE client_id = $1"
            await connection.execute(statement, client.client_id)

    await system.as_owner(change_them)
    return Callers(system.client, disabled, expired, without, both, many)


def refusals(callers: Callers) -> dict[str, Refusal]:
    """Return a request for each reason but those that are told of the service itself."""
    jane = callers.jane
    return {**_malformed(jane), **_unproven(callers), **_not_granted(callers)}


def _malformed(jane: Registered) -> dict[str, Refusal]:
    def raw(body: bytes, **headers: str) -> Refusal:
        return Refusal({"content": body, "headers": {"Content-Type": FORM_TYPE, **headers}})

    def header(value: str) -> Refusal:
        return Refusal({"data": GRANT, "headers": {"Authorization": value}})

    in_body = {"client_id": jane.client_id, "client_secret": jane.secret}
    basic = "Basic " + base64.b64encode(f"{jane.client_id}:{jane.secret}".encode()).decode()
    return {
        "ParametersInUri": Refusal({"data": GRANT, "params": {"client_secret": jane.secret}}),
        f"{GAP} Content-Type headers": Refusal({"content": b"grant_type=client_credentials"}, fills=("0",)),
        "wrong Content-Type": Refusal({"json": GRANT}),
        "TooManyParameters": raw(b"&".join([b"a=b"] * (MAX_PARAMETERS + 1))),
        "UndecodableForm": raw(b"grant_type=\xff"),
        "BodyTooLarge": raw(b"a=" + b"b" * MAX_BODY_BYTES),
        "RepeatedParameter": raw(b"scope=read&scope=write"),
        "RepeatedAuthorization": Refusal(
            {"data": GRANT, "headers": [("Authorization", basic), ("Authorization", basic)]}
        ),
        "TwoAuthenticationMethods": Refusal({"data": {**GRANT, **in_body}, "auth": jane.basic}),
        "DifferentClientIds": Refusal({"data": {**GRANT, "client_id": "other"}, "auth": jane.basic}),
        "MalformedBasic": header("Basic %"),
        "no colon": header("Basic " + base64.b64encode(b"nobody").decode()),
        "MalformedCredentials": header("Basic " + base64.b64encode(b"nobody:%00").decode()),
        "MissingGrantType": Refusal({"data": {"scope": "read"}, "auth": jane.basic}, jane.client_id),
        "UnsupportedGrantType": Refusal(
            {"data": {"grant_type": "password"}, "auth": jane.basic}, jane.client_id
        ),
    }


def _unproven(callers: Callers) -> dict[str, Refusal]:
    jane = callers.jane

    def by(client_id: str, secret: str, known: str = "", shown: str = "") -> Refusal:
        return Refusal(
            {"data": GRANT, "auth": Registered(client_id, secret).basic}, known, (shown or client_id,)
        )

    mistyped = jane.secret[:-1] + ("a" if jane.secret[-1] != "a" else "b")
    wrong = client_secrets.generate().value
    # An id is shown as far as it helps to find a typo.
    shown = (
        f"{jane.client_id[:16]!a}… of {len(jane.client_id)} characters" if len(jane.client_id) > 16 else ""
    )
    return {
        "no credentials": Refusal({"data": GRANT}),
        "another scheme than Basic": Refusal({"data": GRANT, "headers": {"Authorization": "Negotiate abc"}}),
        "empty client_id or client_secret": Refusal(
            {"data": GRANT, "headers": {"Authorization": "Basic " + base64.b64encode(b"nobody:").decode()}}
        ),
        f"unknown client {GAP}": by("nobody", wrong, shown="'nobody'"),
        f"one of our secrets, mistyped, for client {GAP}": by(
            jane.client_id, mistyped, shown=shown or f"{jane.client_id!a}"
        ),
        f"wrong, revoked or expired secret for client {GAP}": by(jane.client_id, wrong, jane.client_id),
        f"client {GAP} is disabled": by(
            callers.disabled.client_id, callers.disabled.secret, callers.disabled.client_id
        ),
        f"client {GAP} has expired": by(
            callers.expired.client_id, callers.expired.secret, callers.expired.client_id
        ),
    }


def _not_granted(callers: Callers) -> dict[str, Refusal]:
    def asks(client: Registered, *fills: str, **form: Any) -> Refusal:
        request = {"data": {**GRANT, **form}, "auth": client.basic}
        return Refusal(request, client.client_id, fills)

    jane, both, without = callers.jane, callers.of_two_resources, callers.without_grant_type
    return {
        f"client {GAP} may not use {GAP}": asks(without, without.client_id, "client_credentials"),
        f"client {GAP} named no resource and has no default": asks(both, both.client_id),
        f"client {GAP} asked for a resource it may not call": asks(jane, jane.client_id, resource="spare"),
        "no scope is granted for every requested resource": asks(both, resource=[RESOURCE, "spare"]),
        "TokenTooLong": asks(callers.of_many_scopes),
        "malformed scope": asks(jane, scope="read\x01"),
        "a scope that is unknown or not granted": asks(jane, scope="write"),
    }
