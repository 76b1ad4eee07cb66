"""Where a request came from, when trusted proxies stand before the service (RFC 7239, X-Forwarded-For)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# More hops than any chain of proxies has.
_MAX_HOPS: Final = 32
# As the system writes an address of IPv4 within one of IPv6.
_MAPPED: Final = "::ffff:"


class TrustedProxies:
    """Addresses whose word about the caller counts; nobody else's does."""

    def __init__(self, networks: Sequence[Network]) -> None:
        """Trust ``networks``."""
        self._networks = tuple(networks)

    def tell_caller(self, scope: Scope) -> None:
        """Put the caller's address into ``scope["client"]``, in the place of a trusted proxy's."""
        client = scope.get("client")
        if client and self._trusts(client[0]):
            scope["client"] = (self._caller(scope, client[0]), 0)

    def _caller(self, scope: Scope, peer: str) -> str:
        """Return the rightmost address that is no trusted proxy's; what cannot be read ends the search."""
        by_name = {
            name: b",".join(value for header, value in scope["headers"] if header == name).decode("latin-1")
            for name in (b"x-forwarded-for", b"forwarded")
        }
        listed = by_name[b"x-forwarded-for"], by_name[b"forwarded"]
        if all(listed):
            # One of them is the proxy's, and nobody knows which.
            return peer
        hops = (listed[0] or listed[1]).split(",")[-_MAX_HOPS:]
        caller = peer
        for hop in reversed(hops):
            address = _address(hop if listed[0] else _for(hop))
            if address is None:
                return caller
            caller = address
            if not self._trusts(address):
                return caller
        return caller

    def _trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def parse_address(text: str) -> Address | None:
    """Read an address, None of what is none.

    One of IPv4 within one of IPv6, as a socket of both families shows it (RFC 4291 §2.5.5.2), is the IPv4 address.
    """
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def as_told(address: str) -> str:
    """Return a peer's address as logs and the audit tell it: one of IPv4 in its own form, whatever the socket is."""
    if address.startswith(_MAPPED):
        return str(parse_address(address) or address)
    return address


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks with commas between. Raises ``ValueError`` with a sentence."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "must be addresses or networks with commas between, as in 10.0.0.1,fd00::/8"
        ) from None


def _for(element: str) -> str:
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip('"')
    return ""


def _address(text: str) -> str | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = parse_address(text)
    return None if parsed is None else str(parsed)
