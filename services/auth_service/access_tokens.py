"""RFC 9068 access tokens, signed. Pure: grant, key and clock in, token out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from auth_service.signing_keys import base64url

if TYPE_CHECKING:
    from auth_service.grants import Grant
    from auth_service.signing_keys import SigningKey


# Never the same twice (RFC 7519 §4.1.7): as many as a UUID has.
_ID_OCTETS: Final = 16


@dataclass(slots=True)
class AccessToken:
    """A signed token.

    ``token_id`` is its ``jti``, the only part of it that may be logged; ``expires_at`` its ``exp``, in Unix seconds.
    """

    value: str = field(repr=False)
    token_id: str
    expires_at: int


def sign(grant: Grant, key: SigningKey, *, issuer: str, now: float) -> AccessToken:
    """Sign the claims of RFC 9068 §2.2; ``now`` is Unix time in seconds.

    ``sub`` is the client itself (§2.2, grants without a resource owner); ``aud`` is a string when there is one
    resource (RFC 7519 §4.1.3).
    """
    issued_at = int(now)
    expires_at = issued_at + grant.lifetime_seconds
    token_id = base64url(os.urandom(_ID_OCTETS)).decode()
    claims = {
        "iss": issuer,
        "sub": grant.client_id,
        "aud": grant.audience[0] if len(grant.audience) == 1 else grant.audience,
        "client_id": grant.client_id,
        "scope": " ".join(grant.scopes),
        "iat": issued_at,
        "exp": expires_at,
        "jti": token_id,
    }
    signing_input = key.header_segment + b"." + base64url(orjson.dumps(claims))
    signature = base64url(key.sign(signing_input))
    return AccessToken((signing_input + b"." + signature).decode("ascii"), token_id, expires_at)
