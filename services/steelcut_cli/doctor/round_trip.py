"""The whole way once: a token from the auth service, then a document from the resource service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from steelcut.client import ClientCredentials, Retries
from steelcut.client.errors import RequestRefused
from steelcut.errors import OAuthError
from steelcut.exchange import ClientError, printable
from steelcut.jose import Malformed, decode_base64url, read_object
from steelcut.jwks import KeySource
from steelcut.trust import TrustedIssuer
from steelcut.verifier import Verifier
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, warning
from steelcut_cli.doctor.services import TIMEOUT_SECONDS, may_be_asked
from steelcut_cli.doctor.temporary_client import temporary_client
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from auth_service.queries.resources import ResourceRow
    from steelcut.client import Token
    from steelcut_cli.doctor.audiences import Resources
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.services import Services

NAME: Final = "token round trip"
ADMIN_URL: Final = "AUTH_ADMIN_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Traveller:
    """Who makes the trip, and where to; None of ``resource``, ``scope`` and ``document_url`` is what is not said."""

    client_id: str
    secret: str = field(repr=False)
    resource: str | None = None
    scope: str | None = None
    document_url: str | None = None


def check(
    environment: Environment,
    services: Services,
    resources: Resources,
    traveller: Traveller | None,
    *,
    read_only: bool,
) -> Iterator[Finding]:
    """Travel as ``traveller``, or else as a client that is made for it, unless nothing may be changed."""
    issuer = environment.issuer
    if issuer is None or services.metadata is None or services.metadata.document() is None:
        yield not_checked(NAME, "The issuer cannot be asked: see above.")
    elif traveller is not None:
        yield from _travel(environment, issuer, traveller)
    elif read_only:
        yield not_checked(
            NAME,
            "No client was named, and nothing may be changed.",
            "Name one: --client-id, --client-secret-file.",
        )
    elif ADMIN_URL not in environment.urls:
        found = (
            f"{ADMIN_URL} cannot be used."
            if is_set(ADMIN_URL)
            else f"Neither a client nor {ADMIN_URL} is set."
        )
        yield not_checked(
            NAME,
            found,
            f"Set STEELCUT_CLIENT_ID and STEELCUT_CLIENT_SECRET, or {ADMIN_URL} for a temporary client.",
        )
    elif not resources.usable():
        yield not_checked(
            NAME,
            "No registered resource lies under RESOURCE_BASE_URL, to ask a token for.",
            "See the audiences above.",
        )
    else:
        yield from _travel_once(environment, issuer, resources.usable()[0])


def _travel_once(environment: Environment, issuer: str, resource: ResourceRow) -> list[Finding]:
    findings: list[Finding] = []
    try:
        with temporary_client(environment.urls[ADMIN_URL], resource) as client:
            traveller = Traveller(
                client.client_id, client.secret, client.resource, client.scope, resource.identifier
            )
            findings += _travel(environment, issuer, traveller)
    except Refusal as refusal:
        # Of making it nothing is to be undone, of deleting it something is.
        made = bool(findings)
        findings.append(failed("temporary client", str(refusal)) if made else not_checked(NAME, str(refusal)))
    return findings


def _travel(environment: Environment, issuer: str, traveller: Traveller) -> Iterator[Finding]:
    name = "token request"
    begin = time.monotonic()
    try:
        credentials = _credentials(issuer, traveller)
        token = credentials.token()
    except (ClientError, ValueError) as error:
        yield failed(name, _sentence(error), _advice(error))
        return
    took = (time.monotonic() - begin) * 1000
    audience = _audience(token)
    said = f" for {printable(audience)}" if audience else ""
    yield ok(name, f"{traveller.client_id} got a token{said} with the scope {token.scope} in {took:.0f} ms.")
    if audience is not None:
        yield _verification(environment, issuer, token, audience)
    yield _document(environment, traveller, credentials, audience)


def _credentials(issuer: str, traveller: Traveller) -> ClientCredentials:
    return ClientCredentials(
        traveller.client_id,
        traveller.secret,
        issuer=issuer,
        resource=[traveller.resource] if traveller.resource else [],
        scope=traveller.scope,
        timeout=TIMEOUT_SECONDS,
        retries=Retries(attempts=2, timeout=TIMEOUT_SECONDS),
    )


def _audience(token: Token) -> str | None:
    """Return for whom a token is by its own word, None of one that nobody but its issuer can read."""
    try:
        claims = read_object(decode_base64url(token.value.split(".")[1].encode()))
    except (IndexError, Malformed):
        return None
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    return first if isinstance(first, str) else None


def _verification(environment: Environment, issuer: str, token: Token, audience: str) -> Finding:
    name = "token verification"
    reported: list[str] = []
    keys = KeySource(issuer, report=reported.append)
    verifier = Verifier(
        TrustedIssuer(issuer, keys=keys), audience=audience, leeway_seconds=environment.leeway_seconds
    )
    try:
        verifier.verify(token.value)
    except OAuthError as refusal:
        return failed(
            name, f"By the issuer's own keys the token is not valid here: {refusal.reason}.", *reported[:1]
        )
    return ok(name, "Signature, times and claims are good by the issuer's keys and this machine's clock.")


def _document(
    environment: Environment, traveller: Traveller, credentials: ClientCredentials, audience: str | None
) -> Finding:
    name = "document request"
    url = traveller.document_url or audience
    if url is None or not may_be_asked(url):
        return not_checked(name, "Where the document is, is not known.", "Set STEELCUT_DOCUMENT_URL.")
    if traveller.document_url is None and not _is_ours(environment, url):
        return not_checked(
            name,
            f"{printable(url)} does not lie under RESOURCE_BASE_URL.",
            "Set STEELCUT_DOCUMENT_URL to have it asked.",
        )
    begin = time.monotonic()
    try:
        document = credentials.fetch(url)
    except (ClientError, ValueError) as error:
        if isinstance(error, RequestRefused) and error.status == 404:
            return warning(
                name,
                f"{url} took the token, and has no document.",
                "`steelcut documents publish` puts one there.",
            )
        return failed(name, _sentence(error), _advice_on_document(error, url, audience))
    took = (time.monotonic() - begin) * 1000
    return ok(name, f"{url} answered 200 with {len(document)} bytes in {took:.0f} ms.")


def _is_ours(environment: Environment, url: str) -> bool:
    base = environment.base_url
    return base is None or (urlsplit(url)[:2] == urlsplit(base)[:2] and url.startswith(base))


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if isinstance(error, ClientError) else f"{text[:1].upper()}{text[1:]}."


def _advice(error: Exception) -> str:
    if isinstance(error, RequestRefused) and error.trace_id:
        return f"`steelcut doctor explain {error.trace_id}` says why."
    return ""


def _advice_on_document(error: Exception, url: str, audience: str | None) -> str:
    if not isinstance(error, RequestRefused):
        return "Start the resource service, or see that this URL leads to it from here."
    if error.error == "invalid_token" and audience is not None and not url.startswith(audience):
        return f"The token is for {printable(audience)}: ask for one for this document, by STEELCUT_RESOURCE."
    meaning = f"`steelcut doctor explain {error.error}` says what it means."
    if error.trace_id:
        return f"The log of the resource service has the true reason, under this trace id. {meaning}"
    return meaning
