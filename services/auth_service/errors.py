"""What the token endpoint refuses, and in which words (RFC 6749 §5.2, RFC 8707 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from steelcut.errors import OAuthError


class InvalidRequest(OAuthError):
    """The request is malformed."""

    error = "invalid_request"
    description = "The request is malformed."


class BodyTooLarge(InvalidRequest):
    """More than 64 KiB."""

    description = "The body is larger than 64 KiB."
    status = 413


class FormTooSlow(InvalidRequest):
    """Not all of the body within 10 seconds."""

    description = "The body did not come within 10 seconds. Send the request again."
    status = 408
    # RFC 9110 §15.5.9
    extra_headers: ClassVar[Mapping[str, str]] = {"Connection": "close"}


class NotAForm(InvalidRequest):
    """RFC 6749 §4.4.2: the parameters come as a form."""

    description = "Send the parameters in the body as application/x-www-form-urlencoded in UTF-8."


class UndecodableForm(InvalidRequest):
    """Bytes that are no UTF-8."""

    description = "The form is not valid UTF-8."


class TooManyParameters(InvalidRequest):
    """More parameters than any request needs."""

    description = "The form has more than 32 parameters."


class RepeatedParameter(InvalidRequest):
    """RFC 6749 §3.2."""

    description = "A parameter appears more than once; only resource may be repeated."


class ParametersInUri(InvalidRequest):
    """RFC 6749 §2.3.1: a secret in a URI ends in logs and histories."""

    description = (
        "Credentials belong in the body or the Authorization header, never in the URI. Rotate this secret."
    )


class MissingGrantType(InvalidRequest):
    """RFC 6749 §4.4.2."""

    description = "The parameter grant_type is missing; use client_credentials."


class RepeatedAuthorization(InvalidRequest):
    """Two headers, two identities."""

    description = "Send one Authorization header."


class MalformedBasic(InvalidRequest):
    """RFC 6749 §2.3.1, RFC 7617 §2."""

    description = "The Authorization header is not Basic with base64 of client_id, a colon and client_secret."


class MalformedCredentials(InvalidRequest):
    """RFC 6749 Appendix A.1 and A.2."""

    description = "client_id and client_secret are printable ASCII of at most 255 and 1024 characters."


class TwoAuthenticationMethods(InvalidRequest):
    """RFC 6749 §2.3."""

    description = "Use one authentication method: the Authorization header or client_secret in the body."


class DifferentClientIds(InvalidRequest):
    """The body names another client than the Authorization header."""

    description = "The client_id in the body differs from the one in the Authorization header."


class InvalidClient(OAuthError):
    """Authentication failed; who, why and which half was wrong stays in the log.

    ``client_id`` is that of a registered client, for the audit log; empty when nobody knows who it was.
    """

    error = "invalid_client"
    description = "Client authentication failed."
    status = 401
    extra_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Basic realm="token", charset="UTF-8"'}

    def __init__(self, reason: str, *, client_id: str = "", kind: str = "") -> None:
        """Take the true ``reason``, for the log, and its ``kind``, for counting."""
        super().__init__(reason, kind=kind)
        self.client_id = client_id


class TooManyFailures(OAuthError):
    """Failures by this client id or from this address were too many (RFC 6585 §4; the code is argued in ADR 0031)."""

    error = "temporarily_unavailable"
    description = "Too many failed authentications. Wait as long as Retry-After says."
    status = 429

    def __init__(self, *, wait_seconds: int) -> None:
        """Ask to be left alone for so long."""
        super().__init__(headers={"Retry-After": str(wait_seconds)})


class QuotaExceeded(OAuthError):
    """The client had as many tokens as it may have in a while (RFC 6585 §4; the code is argued in ADR 0031)."""

    error = "temporarily_unavailable"
    description = "The client has had its quota of tokens. Keep a token until shortly before it expires."
    status = 429

    def __init__(self, *, wait_seconds: int, fields: Mapping[str, str]) -> None:
        """Ask to be left alone for so long; ``fields`` tell about the quota."""
        super().__init__(headers={"Retry-After": str(wait_seconds), **fields})


class UnsupportedGrantType(OAuthError):
    """A grant type that this server does not know."""

    error = "unsupported_grant_type"
    description = "This server supports the grant type client_credentials."


class UnsupportedResponseType(OAuthError):
    """RFC 6749 §4.1.2.1: nothing can be had at the authorization endpoint."""

    error = "unsupported_response_type"
    description = "This server knows no users: get a token from the token endpoint by client_credentials."


class UnauthorizedClient(OAuthError):
    """A grant type that this server knows and this client may not use."""

    error = "unauthorized_client"
    description = "This client may not use this grant type."


class InvalidScope(OAuthError):
    """RFC 6749 §3.3: malformed, unknown or not granted."""

    error = "invalid_scope"
    description = (
        "The scope is malformed, unknown, or not granted to this client for every requested resource."
    )


class TokenTooLong(InvalidScope):
    """More scopes and resources than a token holds that a resource server would take."""

    description = "The token would be too long for a resource server: ask for fewer scopes or resources."


class InvalidTarget(OAuthError):
    """RFC 8707 §2: unknown or not granted."""

    error = "invalid_target"
    description = "The resource is unknown or not granted to this client."


class TargetNeeded(InvalidTarget):
    """The client has several resources and no default."""

    description = "This client may call several resources: name one with the parameter resource."
