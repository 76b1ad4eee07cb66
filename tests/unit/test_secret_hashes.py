"""The comparison of a secret with its stored hash, held against passlib's."""

from __future__ import annotations

import pytest
from passlib.hash import ldap_salted_sha256

from auth_service import client_secrets


@pytest.mark.parametrize("salt_size", [8, 16])
def test_comparison_is_passlibs(salt_size: int) -> None:
    """What passlib has hashed is found right, and nothing else is."""
    secret = client_secrets.generate().value
    stored = ldap_salted_sha256.using(salt_size=salt_size).hash(secret)
    assert client_secrets.verify(secret, stored)
    assert not client_secrets.verify(client_secrets.generate().value, stored)
    assert not client_secrets.verify(secret[:-1], stored)


def test_stored_hash_is_passlibs() -> None:
    """An operator can check one with passlib."""
    secret = client_secrets.generate().value
    assert ldap_salted_sha256.verify(secret, client_secrets.hash_secret(secret))
