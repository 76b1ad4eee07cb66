"""The error codes that callers meet, in words: what each says, where it is specified, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code; ``who`` answers with it and ``status``, ``section`` is where it is specified."""

    error: str
    who: str
    status: str
    section: str
    meaning: str
    advice: str


_TOKEN_ENDPOINT: Final = "the token endpoint"  # noqa: S105 - a place
_RESOURCE: Final = "the resource server"
_BOTH: Final = "the token endpoint and the resource server"

_CODES: Final = (
    ErrorCode(
        "invalid_request",
        _BOTH,
        "400; 405, 408, 413, 415 and 431 where HTTP says more",
        "RFC 6749 §5.2, RFC 6750 §3.1",
        "The request is malformed: a parameter is missing, repeated or in the wrong place, or there is more than one"
        " way of authentication in it.",
        "Read its error_description, which names the mistake. The parameters go into the body as a form, the token into"
        " one Authorization header.",
    ),
    ErrorCode(
        "invalid_client",
        _TOKEN_ENDPOINT,
        "401",
        "RFC 6749 §5.2",
        "The client could not be authenticated: its id is unknown, its secret is wrong, revoked or expired, or the"
        " client is disabled or has expired. The caller is not told which.",
        "`steelcut doctor explain TRACE_ID` tells which, by the answer's X-Trace-Id. Then `steelcut clients show`,"
        " `steelcut secrets list`.",
    ),
    ErrorCode(
        "invalid_grant",
        "other token endpoints",
        "400",
        "RFC 6749 §5.2",
        "A code, refresh token or assertion is not valid. This server has no grant that could be answered with it.",
        "See which server was asked: STEELCUT_ISSUER, or the metadata of the issuer.",
    ),
    ErrorCode(
        "unauthorized_client",
        _TOKEN_ENDPOINT,
        "400",
        "RFC 6749 §5.2",
        "The client is known, and may not use this grant type.",
        "`steelcut clients show` tells what it may; an import may have left a client without client_credentials.",
    ),
    ErrorCode(
        "unsupported_grant_type",
        _TOKEN_ENDPOINT,
        "400",
        "RFC 6749 §5.2",
        "The grant type is not one that this server knows.",
        "Send grant_type=client_credentials.",
    ),
    ErrorCode(
        "unsupported_response_type",
        "the authorization endpoint",
        "400",
        "RFC 6749 §4.1.2.1",
        "Somebody was sent to the authorization endpoint, where users would sign in. This server knows no users.",
        "Configure the caller for the client-credentials grant.",
    ),
    ErrorCode(
        "invalid_scope",
        _TOKEN_ENDPOINT,
        "400",
        "RFC 6749 §5.2, §3.3",
        "A scope is malformed, unknown, or not granted to this client for every requested resource.",
        "`steelcut clients show` has what is granted, `steelcut scopes list` what there is; leave scope out to get the"
        " default. `steelcut clients update --grant RESOURCE=SCOPE` grants more.",
    ),
    ErrorCode(
        "invalid_target",
        _TOKEN_ENDPOINT,
        "400",
        "RFC 8707 §2",
        "A resource is unknown or not granted to this client, or the client has several and named none.",
        "Name the resource by its identifier or its short name: `steelcut resources list`, `steelcut clients show`.",
    ),
    ErrorCode(
        "temporarily_unavailable",
        _BOTH,
        "503; 429 where the caller itself asked too often",
        "RFC 6749 §4.1.2.1, ADR 0031",
        "The same request is right later: the database or the issuer's keys cannot be had, the process has too much to"
        " do, or (429) too many authentications failed or a quota of tokens is used up.",
        "Wait as long as Retry-After says. `steelcut doctor` looks at what the service stands on.",
    ),
    ErrorCode(
        "server_error",
        _BOTH,
        "500",
        "RFC 6749 §4.1.2.1",
        "The server met an error that it did not expect.",
        "The service's log has it under the trace id of the answer. Please report it.",
    ),
    ErrorCode(
        "invalid_token",
        _RESOURCE,
        "401",
        "RFC 6750 §3.1",
        "The access token is malformed, forged or expired, or meant for another resource. The caller is not told"
        " which.",
        "`steelcut doctor explain - --resource RESOURCE` tells which, with the token on standard input. Without it: the"
        " log of the resource service has the reason under the trace id.",
    ),
    ErrorCode(
        "insufficient_scope",
        _RESOURCE,
        "403",
        "RFC 6750 §3.1",
        "The token is good and grants too little: the challenge names the scope that is needed.",
        "Ask for a token with that scope; `steelcut clients update --grant RESOURCE=SCOPE` lets the client have it.",
    ),
    ErrorCode(
        "unauthorized",
        _RESOURCE,
        "401",
        "RFC 6750 §3.1",
        "The request carries no access token. In the challenge there is no code then; this one stands in the body.",
        "Send the token in the header: Authorization: Bearer TOKEN. Some proxies and redirects drop that header.",
    ),
    ErrorCode(
        "access_denied",
        "the resource server, to a proxy before it",
        "403",
        "RFC 6749 §4.1.2.1, ADR 0019",
        "The token is good, and the client's id cannot stand in a header for the service behind the proxy.",
        "Register the client anew under an id of letters, digits and hyphens.",
    ),
    ErrorCode(
        "not_found",
        _BOTH,
        "404",
        "RFC 9110 §15.5.5",
        "There is nothing at this path. Whether a document exists is told to those alone whose token opens its"
        " resource.",
        "`steelcut documents list` shows the paths of documents, the issuer's metadata those of the auth service.",
    ),
    ErrorCode(
        "precondition_failed",
        _RESOURCE,
        "412",
        "RFC 9110 §15.5.13",
        "The document is not in the state that If-Match or If-None-Match asks for: somebody else was quicker.",
        "Fetch it, and decide anew.",
    ),
)

ERROR_CODES: Final = {code.error: code for code in _CODES}
