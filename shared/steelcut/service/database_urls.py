"""Database URLs, which may name several hosts (PostgreSQL manual, "Connection URIs")."""

from __future__ import annotations


def one_by_one(url: str) -> list[str]:
    """Return the URL of each host of ``url``, in order; all else stays as it is.

    What ``urllib`` takes apart has one host: of several, newer versions of it refuse all in which the second is an IPv6
    address.
    """
    scheme, mark, rest = url.partition("://")
    end = min((rest.index(character) for character in "/?#" if character in rest), default=len(rest))
    credentials, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}{mark}{credentials}{at}{host}{rest[end:]}" for host in hosts.split(",")]
