"""One token from the authorization server, with as many requests as the retries allow."""

from __future__ import annotations

from steelcut.client.configuration import Configuration
from steelcut.client.endpoint import EndpointFinder
from steelcut.client.errors import RequestRefused, SecretUnavailable
from steelcut.client.retries import TEMPORARY, Retries
from steelcut.client.wire import Token, authenticated, read_token, token_form
from steelcut.exchange import ClientError, Exchange, Unreachable


class TokenRequest:
    """Asks for a token (RFC 6749 §4.4.2); blocks."""

    def __init__(
        self,
        configuration: Configuration,
        finder: EndpointFinder,
        exchange: Exchange,
        retries: Retries,
        timeout: float,
    ) -> None:
        """Bound each request by ``timeout`` seconds."""
        self._configuration = configuration
        self._finder = finder
        self._exchange = exchange
        self._retries = retries
        self._timeout = timeout

    def __call__(self) -> Token:
        """Return a new token. Raises a :class:`ClientError`, and what a function raises that returns the secret."""
        attempts = self._retries.begin()
        while True:
            try:
                return self._attempt()
            except ClientError as error:
                if not isinstance(error, RequestRefused):
                    self._finder.give_up()
                pause = attempts.pause(error.retry_after) if _is_temporary(error) else None
                if pause is None:
                    raise
            self._retries.sleep(pause)

    def _attempt(self) -> Token:
        secret = self._configuration.secret.read()
        try:
            return self._ask(secret)
        except RequestRefused as error:
            # Rotated between our reading and the server's: the new one is there by now.
            if error.error != "invalid_client":
                raise
            another = self._configuration.secret.read()
            if another == secret:
                raise
        return self._ask(another)

    def _ask(self, secret: str) -> Token:
        configuration = self._configuration
        endpoint = self._finder.endpoint()
        form = token_form(configuration.resources, configuration.scope, configuration.parameters)
        headers, form = authenticated(form, configuration.client_id, secret, endpoint.authentication)
        answer = self._exchange.send("POST", endpoint.url, headers=headers, form=form, timeout=self._timeout)
        try:
            return read_token(answer)
        except RequestRefused as error:
            refusal = error
        if secret in refusal.error + refusal.description:
            refusal = RequestRefused(
                refusal.url, answer.status, "invalid_request", "The server's words repeat the client secret."
            )
        raise refusal


def _is_temporary(error: ClientError) -> bool:
    """Say whether the same may succeed later."""
    return isinstance(error, Unreachable | SecretUnavailable) or error.status in TEMPORARY
