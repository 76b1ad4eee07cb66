"""Where an issuer and a protected resource describe themselves, and which URLs may name them.

RFC 8414 §2 and §3, RFC 9728 §1.2 and §3, RFC 8707 §2.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

AUTHORIZATION_SERVER = "oauth-authorization-server"
PROTECTED_RESOURCE = "oauth-protected-resource"
OPENID_CONFIGURATION = "openid-configuration"


def is_loopback(host: str | None) -> bool:
    """Say whether ``host`` can only be this machine: ``localhost``, 127.0.0.0/8 or ::1."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_issuer(issuer: str) -> str:
    """Return ``issuer`` unchanged if it may identify an authorization server (RFC 8414 §2).

    Raises ``ValueError`` with a sentence that says what is wrong with it.
    """
    parts = _absolute(issuer, "issuer")
    if parts.query or parts.fragment or "?" in issuer or "#" in issuer:
        raise ValueError("the issuer must have no query and no fragment")
    return issuer


def check_resource_identifier(identifier: str) -> str:
    """Return ``identifier`` unchanged if it may identify a protected resource (RFC 9728 §1.2, RFC 8707 §2).

    Raises ``ValueError`` with a sentence that says what is wrong with it.
    """
    parts = _absolute(identifier, "resource identifier")
    if parts.fragment or "#" in identifier:
        raise ValueError("the resource identifier must have no fragment")
    return identifier


def check_jwks_uri(jwks_uri: str, issuer: str) -> str:
    """Return ``jwks_uri`` unchanged if ``issuer`` may publish its keys there (RFC 8414 §2).

    Plain http is for the loopback address, and only for an issuer that lives there itself.
    Raises ``ValueError`` with a sentence that says what is wrong with it.
    """
    parts = _absolute(jwks_uri, "jwks_uri")
    if parts.scheme == "http" and urlsplit(issuer).scheme != "http":
        raise ValueError("the jwks_uri of an https issuer must be https")
    return jwks_uri


def check_url(url: str, what: str) -> str:
    """Return ``url`` unchanged if a secret may be sent to it: https, or http on this very machine.

    ``what`` names it in the sentence of the ``ValueError`` that is raised otherwise.
    """
    _absolute(url, what)
    return url


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Return where the metadata of ``issuer`` may be: RFC 8414 §3.1 first, then OpenID Connect Discovery 1.0 §4.1.

    Both take away a slash at the end of the issuer; OpenID's segment goes behind the path.
    """
    bare = issuer.rstrip("/")
    return well_known(bare, AUTHORIZATION_SERVER), f"{bare}/.well-known/{OPENID_CONFIGURATION}"


def well_known(identifier: str, name: str) -> str:
    """Return the metadata URL of ``identifier``: the well-known segment goes between host and path.

    ``http://host/a`` and ``oauth-authorization-server`` give
    ``http://host/.well-known/oauth-authorization-server/a`` (RFC 8414 §3.1, RFC 9728 §3.1).
    """
    parts = urlsplit(identifier)
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{path}{query}"


def _absolute(url: str, what: str) -> SplitResult:
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(f"the {what} must be printable ASCII without spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"the {what} is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"the {what} must be an absolute https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the {what} must carry no user name or password")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"the {what} must be https, except on the loopback address of this machine")
    return parts
