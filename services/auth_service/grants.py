"""What an authenticated client gets: scopes, audience, lifetime. Pure: no clock, no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from auth_service.errors import (
    InvalidScope,
    InvalidTarget,
    MissingGrantType,
    TargetNeeded,
    UnauthorizedClient,
    UnsupportedGrantType,
)

if TYPE_CHECKING:
    from auth_service.clients import Client, GrantedResource
    from auth_service.form import Form

# RFC 6749 §3.3: scope tokens with one space between.
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


class Grant(NamedTuple):
    """What goes into the access token. A tuple: one is made for every token.

    ``scopes``, ``audience`` (identifiers) and ``resources`` (the short names of the same) are never empty.
    """

    client_id: str
    scopes: tuple[str, ...]
    audience: tuple[str, ...]
    resources: tuple[str, ...]
    lifetime_seconds: int


def grant_for(client: Client, form: Form, longest_lifetime_seconds: int) -> Grant:
    """Decide a token request by its grant type (RFC 6749 §4.4.2, §5.2).

    Raises ``MissingGrantType``, ``UnsupportedGrantType``, ``UnauthorizedClient``, ``InvalidTarget`` or
    ``InvalidScope``.
    """
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise MissingGrantType
    decide = _GRANT_TYPES.get(grant_type)
    if decide is None:
        raise UnsupportedGrantType
    if grant_type not in client.grant_types:
        raise UnauthorizedClient(f"client {client.client_id} may not use {grant_type}")
    return decide(client, form, longest_lifetime_seconds)


def client_credentials(client: Client, form: Form, longest_lifetime_seconds: int) -> Grant:
    """Grant what the client asked for on its own behalf (RFC 6749 §4.4)."""
    targets = _targets(client, form.resources)
    scopes = _scopes(targets, form.get("scope"))
    lifetime_seconds = longest_lifetime_seconds
    for limited in (client.token_lifetime_seconds, *[target.token_lifetime_seconds for target in targets]):
        if limited is not None and limited < lifetime_seconds:
            lifetime_seconds = limited
    return Grant(
        client.client_id,
        scopes=scopes,
        audience=tuple([target.identifier for target in targets]),
        resources=tuple([target.name for target in targets]),
        lifetime_seconds=lifetime_seconds,
    )


_GRANT_TYPES: Mapping[str, Callable[[Client, Form, int], Grant]] = {"client_credentials": client_credentials}
SUPPORTED_GRANT_TYPES = tuple(_GRANT_TYPES)


def _targets(client: Client, requested: tuple[str, ...]) -> tuple[GrantedResource, ...]:
    """RFC 8707 §2: each one by identifier or short name; none means the only or default one."""
    if not requested:
        if client.default_target is not None:
            return (client.default_target,)
        raise TargetNeeded(f"client {client.client_id} named no resource and has no default")
    try:
        # A dict, not a set: the audience keeps the order of the request.
        return tuple(dict.fromkeys(client.targets[name] for name in requested))
    except KeyError:
        raise InvalidTarget(f"client {client.client_id} asked for a resource it may not call") from None


def _scopes(targets: tuple[GrantedResource, ...], requested: str | None) -> tuple[str, ...]:
    """RFC 6749 §3.3: what was asked for, in that order, or the defaults that every target has."""
    if requested is None:
        if len(targets) == 1:
            return targets[0].default_scopes
        defaults = _common([frozenset(target.default_scopes) for target in targets])
        if not defaults:
            raise InvalidScope("no scope is granted for every requested resource")
        return tuple(sorted(defaults))
    granted = _common([target.scopes for target in targets])
    if _SCOPE.fullmatch(requested) is None:
        raise InvalidScope("malformed scope")
    scopes = tuple(dict.fromkeys(requested.split(" ")))
    if not granted.issuperset(scopes):
        raise InvalidScope("a scope that is unknown or not granted")
    return scopes


def _common(sets: list[frozenset[str]]) -> frozenset[str]:
    return sets[0] if len(sets) == 1 else sets[0].intersection(*sets[1:])
