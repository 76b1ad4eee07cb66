"""Where the tokens come from: a token endpoint that was named, or found by metadata (RFC 8414, RFC 9728)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from steelcut import metadata
from steelcut.client.configuration import Configuration
from steelcut.client.reach import same_origin
from steelcut.client.wire import Authentication
from steelcut.discovery import check_issuer, check_url
from steelcut.exchange import ClientError, Exchange, UnexpectedAnswer


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A token endpoint and how to authenticate to it."""

    url: str
    authentication: Authentication


class EndpointFinder:
    """Finds the token endpoint once, and again after it was given up.

    The secret goes where this says. So nobody has a say in it but who made the configuration, and whom that names:
    the issuer for its endpoint, the resource for its issuer. Of a challenge only the place of the resource's own
    metadata is taken, on the resource's own origin.
    """

    def __init__(self, configuration: Configuration, exchange: Exchange, timeout: float) -> None:
        """Ask within ``timeout`` seconds for each document."""
        self._configuration = configuration
        self._exchange = exchange
        self._timeout = timeout
        self._found: Endpoint | None = None
        self._hint: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether nothing need be asked before a token can be."""
        return self._found is not None or self._configuration.token_url is not None

    @property
    def depends_on_resource(self) -> bool:
        """Whether the resource says whom to ask."""
        return self._configuration.found_by is not None

    def hint(self, resource_metadata: str | None) -> None:
        """Note where a challenge says that the resource describes itself (RFC 9728 §5.1), if it may say so."""
        resource = self._configuration.found_by
        if resource_metadata is None or resource is None:
            return
        try:
            place = httpx.URL(check_url(resource_metadata, "metadata URL"))
        except (ValueError, httpx.InvalidURL):
            return
        if same_origin(place, httpx.URL(resource)):
            self._hint = resource_metadata

    def endpoint(self) -> Endpoint:
        """Return the endpoint, after asking for it if need be; blocks. Raises a :class:`ClientError`."""
        found = self._found
        if found is None:
            found = self._found = self._find()
        return found

    def give_up(self) -> None:
        """Ask again before the next token: what is remembered did not do."""
        self._found = None

    def _find(self) -> Endpoint:
        configuration = self._configuration
        if configuration.token_url is not None:
            return Endpoint(configuration.token_url, configuration.authentication or "client_secret_basic")
        if configuration.issuer is not None:
            return self._of_issuer(configuration.issuer)
        return self._of_resource(configuration.found_by or "")

    def _of_issuer(self, issuer: str) -> Endpoint:
        document = metadata.issuer_metadata(self._exchange, issuer, timeout=self._timeout)
        url = metadata.token_endpoint(document)
        return Endpoint(url, self._configuration.authentication or _authentication(document))

    def _of_resource(self, resource: str) -> Endpoint:
        document = metadata.resource_metadata(self._exchange, resource, url=self._hint, timeout=self._timeout)
        failure: ClientError | None = None
        for issuer in _issuers(document, resource):
            try:
                return self._of_issuer(issuer)
            except ClientError as error:
                failure = failure or error
        raise failure or UnexpectedAnswer(
            f"The metadata of {resource} names no authorization server that can be used."
        )


def _issuers(document: dict[str, Any], resource: str) -> list[str]:
    """Return the issuers that a resource names (RFC 9728 §2), without those that cannot be meant for us."""
    named = document.get("authorization_servers")
    issuers = []
    for issuer in named if isinstance(named, list) else ():
        try:
            check_issuer(issuer)
            # A resource elsewhere must not send the secret to whoever listens on this machine.
            if urlsplit(issuer).scheme == "https" or urlsplit(resource).scheme == "http":
                issuers.append(issuer)
        except (ValueError, TypeError, AttributeError):
            continue
    return issuers[:4]


def _authentication(document: dict[str, Any]) -> Authentication:
    """Return the method to use where none was asked for: Basic, unless only the other is offered (RFC 8414 §2)."""
    offered = document.get("token_endpoint_auth_methods_supported")
    if not isinstance(offered, list) or "client_secret_basic" in offered:
        return "client_secret_basic"
    return "client_secret_post" if "client_secret_post" in offered else "client_secret_basic"
