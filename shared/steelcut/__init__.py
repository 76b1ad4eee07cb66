"""Steelcut: OAuth 2.0 client credentials, for those who call and those who guard.

To call, ``ClientCredentials`` and, for scripts, ``fetch_json`` and ``request_token``; to guard, ``Guard``,
``GuardMiddleware`` and ``Verifier``. This much needs httpx and PyJWT's cryptography alone; ``steelcut.service`` is what
the two services stand on and needs the extra ``server``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelcut.claims import Claims as Claims
    from steelcut.client import ClientCredentials as ClientCredentials
    from steelcut.client import RequestRefused as RequestRefused
    from steelcut.client import Retries as Retries
    from steelcut.client import SecretUnavailable as SecretUnavailable
    from steelcut.client import Token as Token
    from steelcut.client import TokenCache as TokenCache
    from steelcut.client import fetch as fetch
    from steelcut.client import fetch_json as fetch_json
    from steelcut.client import fetch_json_async as fetch_json_async
    from steelcut.client import request_token as request_token
    from steelcut.client import request_token_async as request_token_async
    from steelcut.errors import BearerError as BearerError
    from steelcut.errors import InsufficientScope as InsufficientScope
    from steelcut.errors import InvalidToken as InvalidToken
    from steelcut.errors import MalformedAuthorization as MalformedAuthorization
    from steelcut.errors import NoCredentials as NoCredentials
    from steelcut.errors import OAuthError as OAuthError
    from steelcut.errors import TemporarilyUnavailable as TemporarilyUnavailable
    from steelcut.exchange import ClientError as ClientError
    from steelcut.exchange import Exchange as Exchange
    from steelcut.exchange import UnexpectedAnswer as UnexpectedAnswer
    from steelcut.exchange import Unreachable as Unreachable
    from steelcut.guard import Guard as Guard
    from steelcut.guard import GuardMiddleware as GuardMiddleware
    from steelcut.guard import bearer_token as bearer_token
    from steelcut.jwks import KeySource as KeySource
    from steelcut.profiles import TokenProfile as TokenProfile
    from steelcut.trust import TrustedIssuer as TrustedIssuer
    from steelcut.verifier import Verifier as Verifier

# Imported when first asked for: a program that only guards need not load what only callers need, nor the auth
# service an HTTP client.
_HOMES = {
    "steelcut.client": (
        "ClientCredentials",
        "RequestRefused",
        "Retries",
        "SecretUnavailable",
        "Token",
        "TokenCache",
        "fetch",
        "fetch_json",
        "fetch_json_async",
        "request_token",
        "request_token_async",
    ),
    "steelcut.claims": ("Claims",),
    "steelcut.errors": (
        "BearerError",
        "InsufficientScope",
        "InvalidToken",
        "MalformedAuthorization",
        "NoCredentials",
        "OAuthError",
        "TemporarilyUnavailable",
    ),
    "steelcut.exchange": ("ClientError", "Exchange", "UnexpectedAnswer", "Unreachable"),
    "steelcut.guard": ("Guard", "GuardMiddleware", "bearer_token"),
    "steelcut.jwks": ("KeySource",),
    "steelcut.profiles": ("TokenProfile",),
    "steelcut.trust": ("TrustedIssuer",),
    "steelcut.verifier": ("Verifier",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the table above is the one place that names them


if not TYPE_CHECKING:  # to a type checker, a name that is not listed above is a mistake

    def __getattr__(name: str) -> Any:
        """Import ``name`` from where it lives (PEP 562)."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'steelcut' has no attribute {name!r}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Name what can be imported."""
    return __all__
