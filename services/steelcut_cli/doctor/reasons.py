"""The reasons in the audit log for which tokens were refused, in words, and what to do about each."""

from __future__ import annotations

import re
from typing import Final

from auth_service import errors
from steelcut.errors import OAuthError

# What stands in a reason for what differs each time.
GAP: Final = "…"
# The reason, what it means, what to do.
_REASONS: Final = (
    (
        "unknown client …",
        "There is no client of this id: it was deleted, mistyped, or belongs to another deployment.",
        "`steelcut clients list`; see also that the caller asks the right issuer.",
    ),
    (
        "wrong, revoked or expired secret for client …",
        "The client is known, and its secret is none that is live.",
        "`steelcut secrets list CLIENT_ID` shows which are live; `steelcut secrets add CLIENT_ID` makes one more.",
    ),
    (
        "one of our secrets, mistyped, for client …",
        "The secret has our prefix and a wrong checksum: it was cut off or changed on its way, as by a shell.",
        "Give it anew, whole and in one line; without a copy: `steelcut secrets add CLIENT_ID`.",
    ),
    (
        "client … is disabled",
        "Somebody has disabled the client: `steelcut audit search --action client.disable` tells who and when.",
        "`steelcut clients enable CLIENT_ID`, if it may have tokens again.",
    ),
    (
        "client … has expired",
        "The client was registered for a limited time, which is over.",
        "`steelcut clients update CLIENT_ID --expires WHEN`, if it may go on.",
    ),
    (
        "no credentials",
        "The request has neither an Authorization header nor client_id and client_secret in its body.",
        "See that the caller has its id and secret, and that no proxy takes the header away.",
    ),
    (
        "empty client_id or client_secret",
        "One of the two is empty, as when a variable is not set where the caller runs.",
        "See the caller's environment.",
    ),
    (
        "another scheme than Basic",
        "The Authorization header is not Basic (RFC 6749 §2.3.1): often a token is sent to the token endpoint.",
        "Send id and secret by Basic, or in the body.",
    ),
    (
        "no colon",
        "What the Basic header holds has no colon between id and secret (RFC 7617 §2).",
        "Encode ID:SECRET in base64, both form-encoded before (RFC 6749 §2.3.1).",
    ),
    (
        "… Content-Type headers",
        "The request has several of them, or none.",
        "Send one: application/x-www-form-urlencoded.",
    ),
    (
        "wrong Content-Type",
        "The parameters did not come as a form: often as JSON.",
        "Send them as application/x-www-form-urlencoded (RFC 6749 §4.4.2).",
    ),
    (
        "client … may not use …",
        "The client may not use this grant type.",
        "`steelcut clients show CLIENT_ID`.",
    ),
    (
        "client … named no resource and has no default",
        "The client may call several resources and did not say which one the token is for.",
        "Send resource=…, or `steelcut clients update CLIENT_ID --default-resource NAME`.",
    ),
    (
        "client … asked for a resource it may not call",
        "The resource is not registered under that name, or not granted to this client.",
        "`steelcut resources list`; `steelcut clients update CLIENT_ID --grant RESOURCE=SCOPE`.",
    ),
    (
        "malformed scope",
        "The scope holds characters that no scope has, or more than one space between two.",
        "Separate scopes by one space (RFC 6749 §3.3).",
    ),
    (
        "a scope that is unknown or not granted",
        "One of the scopes is not granted to this client for every resource that it asked for.",
        "`steelcut clients show CLIENT_ID`; `steelcut clients update CLIENT_ID --grant RESOURCE=SCOPE`.",
    ),
    (
        "no scope is granted for every requested resource",
        "The client asked for several resources and no scope, and has none that all of them know.",
        "Ask for one token for each resource.",
    ),
    (
        "too many imported secrets wait to be verified",
        "Slow hashes of imported secrets are computed a few at a time, and too many were waiting.",
        "Rotate the clients' secrets, which makes them fast, or raise AUTH_IMPORTED_SECRET_THREADS.",
    ),
    (
        "an imported secret could not be verified: …",
        "The hash of an imported secret could not be computed on this machine.",
        "Rotate the client's secret: `steelcut secrets rotate CLIENT_ID`.",
    ),
    (
        "no active signing key: run `steelcut keys create`",
        "There is no key that signs.",
        "`steelcut keys create`, then `steelcut doctor`.",
    ),
    (
        "the active signing key does not open with this master key",
        "The master key of this replica is not the one under which the key that signs lies.",
        "Give it the right AUTH_MASTER_KEY, and during a change of it the old one as AUTH_PREVIOUS_MASTER_KEY.",
    ),
    (
        "the signing keys were not read for too long",
        "The auth database was away for longer than a replica may sign without reading whether its key is in force.",
        "`steelcut doctor` looks at the database; AUTH_STALE_SECONDS is part of how long a replica goes on.",
    ),
    (
        "database: …",
        "The auth database did not answer in time, and the client was not known well enough to go on without it.",
        "`steelcut doctor` looks at the database; AUTH_STALE_SECONDS says for how long known clients go on without it.",
    ),
    (
        "TooManyFailures",
        "Too many authentications of this client id or from this address failed before.",
        "`steelcut audit search --outcome invalid_client` shows who guesses. Behind a proxy: AUTH_TRUSTED_PROXIES.",
    ),
    (
        "QuotaExceeded",
        "The client has had as many tokens as AUTH_QUOTA_TOKENS lets it have.",
        "Let it keep each token until shortly before it expires: `steelcut clients wasteful`.",
    ),
)
_PATTERNS: Final = tuple(
    (re.compile(".*".join(map(re.escape, reason.split(GAP))), re.DOTALL), meaning, advice)
    for reason, meaning, advice in _REASONS
)


def explain_reason(reason: str) -> tuple[str, str]:
    """Return what a reason means and what to do; the reason itself where nothing more is known of it."""
    for pattern, meaning, advice in _PATTERNS:
        if pattern.fullmatch(reason):
            return meaning, advice
    # A refusal of which the caller is told all that there is: the log has the name of its class.
    refusal = getattr(errors, reason, None)
    if isinstance(refusal, type) and issubclass(refusal, OAuthError):
        return refusal.description, "Correct the request."
    return reason, "See the log of the service, under the same trace id."
