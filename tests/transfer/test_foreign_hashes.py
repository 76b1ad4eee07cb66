"""Which hashes of other servers are verified here, and which are refused with which reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auth_service.foreign_hashes import UnusableHash, recognised, verify
from tests.support.foreign import (
    HASHES,
    SECRET,
    argon2_hash,
    bcrypt_hash,
    django_scrypt,
    hydra_pbkdf2,
)


@pytest.mark.parametrize("stored", [pytest.param(make, id=name) for name, make in HASHES.items()])
def test_old_secret_verifies(stored: Callable[[], str]) -> None:
    """The stored form matches the old secret and no other, and recognising it twice changes nothing."""
    hashed = recognised(stored())
    assert verify(SECRET, hashed)
    assert not verify(SECRET + "x", hashed)
    assert not verify("", hashed)
    assert recognised(hashed) == hashed


MALFORMED = "malformed|settings and no digest"
UNUSABLE: list[tuple[str, str, str]] = [
    ("in clear", SECRET, "in clear or of no hash"),
    ("empty", "", "in clear or of no hash"),
    ("not ASCII", "é", "in clear or of no hash"),
    ("one of ours", "{SSHA256}" + "A" * 64, "in clear or of no hash"),
    ("Django's sha1", "sha1$salt$" + "0" * 40, "fast one"),
    ("Django's md5", "md5$salt$" + "0" * 32, "fast one"),
    ("Django's unusable", "!abcdef", "marked unusable"),
    ("argon2 of nothing", "$argon2id$garbage", MALFORMED),
    ("argon2 without a digest", argon2_hash().rpartition("$")[0], MALFORMED),
    ("argon2 with a NUL", argon2_hash() + "\x00", MALFORMED),
    ("argon2 with data", argon2_hash().replace("p=1$", "p=1,data=abcd$"), "associated data"),
    ("argon2 with a key id", argon2_hash().replace("p=1$", "p=1,keyid=abcd$"), MALFORMED),
    ("argon2 of 4 GiB", argon2_hash().replace("m=8,", "m=4194304,"), "costs too much"),
    ("argon2 of 1000 passes", argon2_hash().replace("t=1,", "t=1000,"), "costs too much"),
    ("bcrypt too short", "$2b$12$short", MALFORMED),
    ("bcrypt beyond ASCII", "$2b$04$" + "é" * 53, MALFORMED),
    ("bcrypt of the broken variant", bcrypt_hash(ident="2x"), MALFORMED),
    ("bcrypt of 2^31 rounds", bcrypt_hash().replace("$04$", "$31$"), "costs too much"),
    ("PBKDF2 with sha224", hydra_pbkdf2(digest="sha224", length=28), "sha224 is not verified here"),
    ("PBKDF2 cut short", hydra_pbkdf2(length=16), "shorter than the 32 bytes"),
    ("PBKDF2 of a billion rounds", hydra_pbkdf2().replace("i=10,", "i=999999999,"), "costs too much"),
    ("PBKDF2 that is no base64", hydra_pbkdf2() + "A", "base64|malformed"),
    ("scrypt of no power of two", django_scrypt().replace("scrypt$16$", "scrypt$1000$"), MALFORMED),
    ("scrypt of no cost", django_scrypt().replace("scrypt$16$", "scrypt$0$"), MALFORMED),
    ("scrypt of 2 GiB", django_scrypt().replace("scrypt$16$", f"scrypt${2**21}$"), "costs too much"),
    ("too long", "x" * 1001, "more than 1000 characters"),
]


@pytest.mark.parametrize(("stored", "reason"), [u[1:] for u in UNUSABLE], ids=[u[0] for u in UNUSABLE])
def test_unusable_hash_is_refused_and_not_quoted(stored: str, reason: str) -> None:
    """The reason says what is wrong, and holds no piece of what may be a secret in clear."""
    with pytest.raises(UnusableHash, match=reason) as refused:
        recognised(stored)
    assert stored[:8] not in str(refused.value) or len(stored) < 8
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("stored", ["", "junk", "$argon2id$garbage", "$2b$12$short", "\x00"])
def test_unreadable_hash_matches_nothing(stored: str) -> None:
    """Whatever lies in the database, a request with it fails and breaks nothing."""
    assert not verify(SECRET, stored)


def test_bcrypt_looks_at_72_bytes() -> None:
    """A longer secret is cut as it was when it was hashed, where current libraries would raise an error."""
    hashed = recognised(bcrypt_hash("s" * 100))
    assert verify("s" * 100, hashed)
    assert verify("s" * 72, hashed)
    assert not verify("s" * 71, hashed)


@pytest.mark.filterwarnings("error")
def test_unused_bits_of_bcrypt_are_cleared() -> None:
    """Some makers of bcrypt leave rubbish in the last bits of the salt, at which passlib would complain each time."""
    hashed = bcrypt_hash()
    salt_end = len("$2a$04$") + 21
    rubbish = hashed[:salt_end] + chr(ord(hashed[salt_end]) + 1) + hashed[salt_end + 1 :]
    assert recognised(rubbish) == hashed
    assert verify(SECRET, recognised(rubbish))
