"""A client-credentials request and its answer, as they go over the wire: pure, for any transport (RFC 6749 §4.4)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote_plus

from steelcut.client.errors import refusal
from steelcut.exchange import Answer, UnexpectedAnswer

# RFC 8414 §2, as far as they send a secret.
Authentication = Literal["client_secret_basic", "client_secret_post"]
AUTHENTICATIONS: Final[tuple[Authentication, ...]] = ("client_secret_basic", "client_secret_post")

# A hundred years; what lives longer than that was not meant as a number of seconds.
MAX_LIFETIME_SECONDS: Final = 3_155_760_000

Form = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as the server gave it (RFC 6749 §5.1).

    ``expires_in`` is in seconds from the moment of the answer, None when the server does not say. ``scope`` is what
    was granted, space-separated; None when the server does not say, which means: what was asked for. ``expires_at`` is
    in epoch seconds, None when nobody noted when the token came; it does not count when two tokens are compared.
    """

    value: str = field(repr=False)
    expires_in: int | None = None
    scope: str | None = None
    expires_at: float | None = field(default=None, compare=False)


def basic_credentials(client_id: str, client_secret: str) -> str:
    """Return the Authorization header: both halves form-encoded, then base64 (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def token_form(
    resource: str | Iterable[str] = (),
    scope: str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Form:
    """Return the form of a client-credentials request; ``resource`` repeats (RFC 6749 §4.4.2, RFC 8707 §2)."""
    resources = [resource] if isinstance(resource, str) else list(resource)
    form: Form = {"grant_type": "client_credentials"}
    if resources:
        form["resource"] = resources
    if scope:
        form["scope"] = scope
    return {**form, **(parameters or {})}


def authenticated(
    form: Form, client_id: str, client_secret: str, authentication: Authentication
) -> tuple[dict[str, str], Form]:
    """Return the headers and the form of a token request with the secret in one of them (RFC 6749 §2.3.1)."""
    headers = {"Accept": "application/json"}
    if authentication == "client_secret_post":
        return headers, {**form, "client_id": client_id, "client_secret": client_secret}
    return {**headers, "Authorization": basic_credentials(client_id, client_secret)}, form


def read_token(answer: Answer) -> Token:
    """Return the token in a token endpoint's answer (RFC 6749 §5.1), or raise what it says instead (§5.2)."""
    if answer.status != 200:
        raise refusal(answer, {})
    members = answer.json_object()
    value = members.get("access_token") if members else None
    if members is None or not is_token(value):
        raise UnexpectedAnswer(f"{answer.url} answered 200 without an access token.")
    token_type = members.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise UnexpectedAnswer(f"{answer.url} gave a token of another type than Bearer.")
    scope = members.get("scope")
    return Token(str(value), _seconds(members.get("expires_in")), scope if isinstance(scope, str) else None)


def is_token(value: object) -> bool:
    """Say whether ``value`` can be sent as a token: it must not end the header that it stands in."""
    return isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value) is not None


def _seconds(expires_in: object) -> int | None:
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return None
    return int(expires_in) if 0 <= expires_in <= MAX_LIFETIME_SECONDS else None
