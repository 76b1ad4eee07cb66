"""Both services as they answer over HTTP, under the URLs by which clients and resource servers see them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from steelcut.discovery import AUTHORIZATION_SERVER, check_issuer, check_resource_identifier, well_known
from steelcut.exchange import Answer, ClientError, Exchange, printable
from steelcut.jose import Malformed
from steelcut.jwk import read_key_set
from steelcut.metadata import jwks_uri_of, token_endpoint
from steelcut_cli.doctor.clock_reading import Reading
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, unset, warning

if TYPE_CHECKING:
    from steelcut_cli.doctor.environment import Environment

TIMEOUT_SECONDS: Final = 5.0
# RFC 9110 §5.6.7: a Date header shows whole seconds; and servers write it anew once a second.
DATE_SECONDS: Final = 2.0
ISSUERS: Final = ("AUTH_ISSUER", "RESOURCE_ISSUER", "STEELCUT_ISSUER")
_REACH: Final = (
    "Start it, or see that this URL leads to it from here: DNS, proxy, firewall. Run this where callers are."
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back from ``url``: an answer and the clock behind it, or why none came."""

    url: str
    answer: Answer | None
    problem: str = ""
    clock: Reading | None = None

    def document(self) -> dict[str, Any] | None:
        """Return the JSON object of a good answer."""
        if self.answer is None or self.answer.status != 200:
            return None
        return self.answer.json_object()

    def failure(self) -> str:
        """Say, in a sentence, why there is no document."""
        if self.answer is None:
            return self.problem
        what = "" if self.answer.status != 200 else ", and not with a JSON object"
        return f"{self.url} answered with status {self.answer.status}{what}."


@dataclass(frozen=True, slots=True)
class Services:
    """What both services answer; None is what nobody said where to ask for.

    ``kids`` are the keys of today's key set at ``jwks_uri``, None when it could not be had.
    """

    exchange: Exchange
    auth: Heard | None
    metadata: Heard | None
    resource: Heard | None
    jwks_uri: str | None
    kids: frozenset[str] | None


def visit(environment: Environment) -> Services:
    """Ask both services for what they say of themselves; raises nothing."""
    exchange = Exchange()
    issuer, base_url = _usable(environment.issuer), environment.base_url
    auth = metadata = jwks_uri = kids = None
    if issuer is not None:
        parts = urlsplit(issuer)
        # The probe belongs to the process, not to the issuer's path.
        auth = ask(exchange, f"{parts.scheme}://{parts.netloc}/readyz")
        metadata = ask(exchange, well_known(issuer, AUTHORIZATION_SERVER))
        jwks_uri, kids = _key_set(exchange, metadata.document())
    resource = ask(exchange, f"{base_url}/readyz") if base_url is not None else None
    return Services(exchange, auth, metadata, resource, jwks_uri, kids)


def ask(exchange: Exchange, url: str) -> Heard:
    """Send one GET, and read the clock of who answers from its Date header (RFC 9110 §6.6.1)."""
    begin = time.time()
    try:
        answer = exchange.send("GET", url, timeout=TIMEOUT_SECONDS)
    except ClientError as error:
        return Heard(url, None, str(error))
    return Heard(url, answer, clock=_clock(answer, begin, time.time()))


def check(environment: Environment, services: Services) -> Iterator[Finding]:
    """Say whether both are ready, and whether the issuer is who it must be."""
    yield from _readiness("auth service", services.auth, ISSUERS)
    yield _metadata(environment, services)
    yield from _readiness("resource service", services.resource, ("RESOURCE_BASE_URL",))
    if environment.jwks_uri is not None:
        yield _keys_elsewhere(environment.jwks_uri, services)


def _readiness(name: str, heard: Heard | None, variables: tuple[str, ...]) -> Iterator[Finding]:
    if heard is None:
        yield unset(name, *variables)
        return
    if heard.answer is None:
        yield failed(name, heard.problem, _REACH)
        return
    checks = (heard.answer.json_object() or {}).get("checks")
    if not isinstance(checks, dict):
        yield _not_shown(name, heard.answer)
        return
    said = {printable(str(what)): printable(str(how)) for what, how in checks.items()}
    wrong = "; ".join(f"{what}: {how}" for what, how in said.items() if how != "ok")
    if heard.answer.status != 200:
        yield failed(name, f"It is not ready. {wrong}.", "Its log says more.")
    elif wrong:
        yield warning(name, f"It does a part of its work. {wrong}.", "Its log says more.")
    else:
        yield ok(name, f"It is ready at {heard.url.removesuffix('/readyz')}: {', '.join(said)}.")


def _not_shown(name: str, answer: Answer) -> Finding:
    found = f"{answer.url} answered with status {answer.status}, and not as the probe of a service does."
    if answer.status in {401, 403, 404}:
        # A proxy may well keep it from callers.
        return warning(name, found, "See that the proxy before it leads there, unless it hides the probe.")
    return failed(name, found, "See what answers there: the service, or a proxy that does not reach it.")


def _metadata(environment: Environment, services: Services) -> Finding:
    name, heard, issuer = "issuer metadata", services.metadata, environment.issuer
    if heard is None:
        if issuer is None:
            return unset(name, *ISSUERS)
        return failed(name, f"{printable(issuer)} cannot be an issuer.", "It must be https, or on loopback.")
    document = heard.document()
    if document is None:
        return failed(name, heard.failure(), _REACH if heard.answer is None else "See what answers there.")
    named = document.get("issuer")
    if named != issuer:
        # RFC 8414 §3.3
        return failed(
            name,
            f"The service at {issuer} calls itself {printable(str(named))}, so that nobody may believe it.",
            "Set AUTH_ISSUER of the service, and RESOURCE_ISSUER and STEELCUT_ISSUER, to one URL, to the letter.",
        )
    try:
        token_endpoint(document)
        jwks_uri_of(document)
    except ClientError as error:
        return failed(name, str(error))
    return ok(name, f"It names exactly {issuer}.")


def _keys_elsewhere(jwks_uri: str, services: Services) -> Finding:
    """Compare what the resource service reads with what the issuer publishes (ADR 0006)."""
    name = "RESOURCE_JWKS_URI"
    heard = ask(services.exchange, jwks_uri)
    kids = _kids(heard)
    if heard.answer is None:
        return not_checked(
            name, heard.problem, "It may be for the resource service alone to reach: run this beside it."
        )
    if kids is None:
        return failed(name, f"{jwks_uri} gives no key set.", "Let it lead to the key set of the issuer.")
    if services.kids is None:
        return not_checked(name, "The issuer's own key set cannot be had, to compare them.")
    if kids != services.kids:
        return failed(
            name,
            f"{jwks_uri} has {', '.join(sorted(kids))}, and the issuer publishes {', '.join(sorted(services.kids))}.",
            "Let it lead to the key set of the issuer, past whatever caches it.",
        )
    return ok(name, "It has the keys that the issuer publishes.")


def _key_set(exchange: Exchange, metadata: dict[str, Any] | None) -> tuple[str | None, frozenset[str] | None]:
    if metadata is None:
        return None, None
    try:
        jwks_uri = jwks_uri_of(metadata)
    except ClientError:
        return None, None
    return jwks_uri, _kids(ask(exchange, jwks_uri))


def _kids(heard: Heard) -> frozenset[str] | None:
    if heard.answer is None or heard.answer.status != 200:
        return None
    try:
        return frozenset(read_key_set(heard.answer.body))
    except Malformed:
        return None


def _clock(answer: Answer, begin: float, end: float) -> Reading | None:
    try:
        shown = parsedate_to_datetime(answer.headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    moment = shown if shown.tzinfo else shown.replace(tzinfo=UTC)
    return Reading.between(begin, end, moment.timestamp(), DATE_SECONDS)


def _usable(issuer: str | None) -> str | None:
    try:
        return None if issuer is None else check_issuer(issuer)
    except ValueError:
        return None


def may_be_asked(identifier: str) -> bool:
    """Say whether ``identifier`` is a URL that a token may be sent to: https, or on loopback."""
    try:
        check_resource_identifier(identifier)
    except ValueError:
        return False
    return True


def unreachable(name: str) -> Finding:
    """Say that a check needs a service that does not answer."""
    return not_checked(name, "The service does not answer: see above.")
