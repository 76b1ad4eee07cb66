"""Who calls, whom they ask and for what: from arguments, and else from the STEELCUT_* variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from steelcut.client.reach import is_url
from steelcut.client.secret import Secret
from steelcut.client.wire import AUTHENTICATIONS, Authentication
from steelcut.discovery import check_issuer, check_resource_identifier, check_url

PREFIX: Final = "STEELCUT_"
_SECRET: Final = "CLIENT_SECRET"  # noqa: S105 - the name of a variable
# Each has an argument of its own, or is not the caller's to choose.
_OWN_PARAMETERS: Final = ("grant_type", "client_id", "client_secret", "scope")


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a token request says, and to whom. One of ``token_url``, ``issuer`` and ``found_by`` is there."""

    client_id: str
    secret: Secret = field(repr=False)
    token_url: str | None
    issuer: str | None
    found_by: str | None
    resources: tuple[str, ...]
    scope: str | None
    authentication: Authentication | None
    parameters: Mapping[str, str] = field(repr=False)

    @property
    def identity(self) -> list[Any]:
        """What tells the tokens of this client from all others; nothing secret."""
        server = [self.token_url, self.issuer, self.found_by]
        return [*server, self.client_id, self.resources, self.scope, dict(self.parameters)]


def configure(  # noqa: PLR0913 - what ClientCredentials takes
    *,
    client_id: str | None,
    client_secret: str | Callable[[], str] | None,
    client_secret_file: str | os.PathLike[str] | None,
    token_url: str | None,
    issuer: str | None,
    resource: str | Iterable[str],
    scope: str | None,
    authentication: Authentication | None,
    parameters: Mapping[str, str] | None,
) -> Configuration:
    """Complete the arguments from the environment. Raises ``ValueError`` that says what to give."""
    name = client_id or _variable("CLIENT_ID")
    if not name:
        raise ValueError("give client_id, or set STEELCUT_CLIENT_ID")
    secret = _secret(client_secret, client_secret_file)
    if token_url is None and issuer is None:
        # An issuer that is given beats a token endpoint of the environment, which is another server's.
        token_url = _variable("TOKEN_URL")
        issuer = None if token_url else _variable("ISSUER")
    more = dict(parameters or {})
    _check(authentication, more)
    resources = (resource,) if isinstance(resource, str) else tuple(resource)
    if not resources and "resource" not in more:
        resources = tuple(filter(None, [_variable("RESOURCE")]))
    if resources and "resource" in more:
        raise ValueError("give resource either by its name or among the parameters, not both")
    found_by = None
    if token_url is not None:
        check_url(token_url, "token URL")
        issuer = None
    elif issuer is not None:
        check_issuer(issuer)
    else:
        found_by = _finding(resources)
    return Configuration(
        name,
        secret,
        token_url,
        issuer,
        found_by,
        resources,
        scope or _variable("SCOPE"),
        authentication,
        more,
    )


def _finding(resources: tuple[str, ...]) -> str:
    """Return the resource whose metadata names the server (RFC 9728 §3)."""
    if len(resources) != 1 or not is_url(resources[0]):
        raise ValueError(
            "give the issuer or token_url (or set STEELCUT_ISSUER or STEELCUT_TOKEN_URL), or the URL of one resource, "
            "whose metadata names its issuer"
        )
    return check_resource_identifier(resources[0])


def _secret(
    client_secret: str | Callable[[], str] | None, client_secret_file: str | os.PathLike[str] | None
) -> Secret:
    if client_secret is not None and client_secret_file is not None:
        raise ValueError("give client_secret or client_secret_file, not both")
    if client_secret is not None:
        return Secret.of(client_secret)
    if client_secret_file is not None:
        return Secret.in_file(client_secret_file)
    value, file = _pair(_SECRET)
    if value:
        return Secret.of(value)
    if file:
        return Secret.in_file(file)
    raise ValueError(
        "give client_secret or client_secret_file, or set STEELCUT_CLIENT_SECRET or STEELCUT_CLIENT_SECRET_FILE"
    )


def _check(authentication: str | None, parameters: Mapping[str, str]) -> None:
    if authentication is not None and authentication not in AUTHENTICATIONS:
        raise ValueError(f"authentication must be one of {', '.join(AUTHENTICATIONS)}, or None")
    for taken in _OWN_PARAMETERS:
        if taken in parameters:
            raise ValueError(f"{taken} is not to be given among the parameters")


def _variable(name: str) -> str | None:
    """Return the value of ``STEELCUT_<name>``, or what is in the file that ``STEELCUT_<name>_FILE`` names."""
    value, file = _pair(name)
    if not file:
        return value
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        raise ValueError(f"{PREFIX}{name}_FILE cannot be read: {cause}") from None


def _pair(name: str) -> tuple[str | None, str | None]:
    value, file = os.environ.get(PREFIX + name), os.environ.get(f"{PREFIX}{name}_FILE")
    if value and file:
        raise ValueError(f"{PREFIX}{name} and {PREFIX}{name}_FILE are both set: keep one of them")
    return value or None, file or None
