"""Client secrets: generated, recognised, hashed, verified.

``scut_<id>_<random>_<checksum>``: the prefix lets secret scanners find a leak, the id picks the stored row so
that any number of live secrets costs one hash, the 43 random characters carry 256 bits, and the checksum tells
a typo from a wrong secret without a look-up. With that much entropy one fast salted hash is enough: a slow one
protects guessable passwords only (NIST SP 800-63B §5.1.1.2 and §5.1.2.2 draw the line at 112 bits).
"""

from __future__ import annotations

import hmac
import secrets
import string
import zlib
from binascii import a2b_base64
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from passlib.context import CryptContext

PREFIX = "scut"
# Begins the id of a secret that came from another server. A client has at most one: the schema sees to it.
IMPORTED_PREFIX = "imported-"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 12
_RANDOM_LENGTH = 43  # 43 × log2(62) = 256 bits
# The checksum is six digits, since 62⁶ > 2³². Two at a time are read from a table: it is made at each request, and
# dividing is what takes long.
_DIGIT_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)

# Behind it stand digest and salt, in base64.
_STORED_AS: Final = "{SSHA256}"
_DIGEST_OCTETS: Final = sha256().digest_size
_CONTEXT = CryptContext(schemes=["ldap_salted_sha256"], ldap_salted_sha256__salt_size=16)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret at the only moment when it is known in clear."""

    secret_id: str
    value: str = field(repr=False)


def generate() -> NewSecret:
    """Return a fresh secret of 256 random bits."""
    secret_id = _random(_ID_LENGTH)
    body = f"{PREFIX}_{secret_id}_{_random(_RANDOM_LENGTH)}"
    return NewSecret(secret_id, f"{body}_{_checksum(body)}")


def secret_id_of(unverified_secret: str) -> str | None:
    """Return the id inside a presented secret, or None if it is not of our form or its checksum is wrong."""
    parts = unverified_secret.split("_")
    if len(parts) != 4 or parts[0] != PREFIX:
        return None
    if len(parts[1]) != _ID_LENGTH or len(parts[2]) != _RANDOM_LENGTH or not unverified_secret.isascii():
        return None
    # Public arithmetic over what the caller sent: nothing secret to compare in constant time.
    body, _, checksum = unverified_secret.rpartition("_")
    return parts[1] if checksum == _checksum(body) else None


def is_id_of_ours(secret_id: str) -> bool:
    """Tell whether ``secret_id`` is of the form that our secrets carry inside."""
    return len(secret_id) == _ID_LENGTH and all(character in _ALPHABET for character in secret_id)


def is_hash_of_ours(stored_hash: str) -> bool:
    """Tell whether ``stored_hash`` is one that ``hash_secret`` makes."""
    return bool(_CONTEXT.identify(stored_hash))


def hash_secret(secret: str) -> str:
    """Return the salted hash to store."""
    hashed: str = _CONTEXT.hash(secret)
    return hashed


def verify(unverified_secret: str, stored_hash: str) -> bool:
    """Compare a presented secret with a stored hash, in constant time."""
    # As passlib compares, without its parsing, which takes as long as forty of these hashes. Nothing is remembered of a
    # stored hash either: it would take longer the first time, and tell so that there is one.
    octets = a2b_base64(stored_hash.removeprefix(_STORED_AS))
    digest, salt = octets[:_DIGEST_OCTETS], octets[_DIGEST_OCTETS:]
    return hmac.compare_digest(sha256(unverified_secret.encode() + salt).digest(), digest)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number, last = divmod(zlib.crc32(body.encode()), len(_DIGIT_PAIRS))
    first, middle = divmod(number, len(_DIGIT_PAIRS))
    return _DIGIT_PAIRS[first] + _DIGIT_PAIRS[middle] + _DIGIT_PAIRS[last]
