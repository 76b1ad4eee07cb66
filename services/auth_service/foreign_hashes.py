"""Hashes of client secrets that other servers made: recognised, brought into passlib's form, verified.

These secrets may be guessable, so their hashes are slow on purpose, and whoever verifies one does so off the event
loop (``imported_secrets``). They have a ``CryptContext`` of their own: a slow hash then cannot meet the fast path by
mistake, whatever lies in the database.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from passlib.context import CryptContext

SCHEMES: Final = (
    "argon2",
    "bcrypt",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "pbkdf2_sha1",
    "scrypt",
    "bcrypt_sha256",
    "django_pbkdf2_sha256",
    "django_pbkdf2_sha1",
    "django_bcrypt_sha256",
)

MAX_HASH_CHARACTERS: Final = 1000
# bcrypt has never looked at more, and current implementations refuse more instead of ignoring it.
_BCRYPT_BYTES: Final = 72
_DIGEST_BYTES: Final = {"sha1": 20, "sha256": 32, "sha512": 64}
_SCRYPT_BYTES: Final = 32

_MEBIBYTE: Final = 1024 * 1024
_MAX_MEMORY_BYTES: Final = 256 * _MEBIBYTE
_MAX_PASSES: Final = 16
_MAX_LANES: Final = 16
_MAX_BCRYPT_ROUNDS: Final = 15
_MAX_PBKDF2_ROUNDS: Final = 5_000_000


@functools.cache
def _context() -> CryptContext:
    # Not before it is needed: a process that serves native secrets alone loads none of the slow hashes.
    return CryptContext(schemes=SCHEMES)


class UnusableHash(ValueError):
    """A stored secret that this server cannot verify; the message is a clause without the hash."""


def recognised(text: str) -> str:
    """Return the form in which the hash ``text`` is stored and verified: its own, or passlib's of the same bits.

    Knows argon2 (PHC string), bcrypt, PBKDF2 in passlib's and in Hydra's notation, scrypt, and Django's
    ``pbkdf2_sha256``, ``pbkdf2_sha1``, ``argon2``, ``bcrypt``, ``bcrypt_sha256`` and ``scrypt``.

    Raises ``UnusableHash`` for anything else, for secrets in clear, and for hashes so expensive that verifying one
    would be an outage.
    """
    if len(text) > MAX_HASH_CHARACTERS:
        raise UnusableHash(f"the stored secret has more than {MAX_HASH_CHARACTERS} characters")
    for pattern, rewrite in _REWRITTEN.items():
        found = pattern.fullmatch(text)
        if found is not None:
            text = rewrite(found)
            break
    scheme = _context().identify(text)
    if scheme is None:
        raise UnusableHash(_why_unknown(text))
    parsed = _parsed(scheme, text)
    _check_cost(scheme, parsed)
    # Some makers of bcrypt leave rubbish in the unused bits, at which passlib would complain at each verification.
    return str(parsed.to_string()) if "bcrypt" in scheme else text


def verify(unverified_secret: str, stored_hash: str) -> bool:
    """Compare a presented secret with a stored hash: up to seconds of one core and 256 MiB. Thread-safe.

    A stored hash that cannot be read matches nothing.
    """
    scheme = _context().identify(stored_hash)
    if scheme is None:
        return False
    secret = unverified_secret[:_BCRYPT_BYTES] if scheme == "bcrypt" else unverified_secret
    try:
        return bool(_context().verify(secret, stored_hash))
    except (ValueError, TypeError, NotImplementedError):
        # Swallowed, because passlib's messages quote the hash.
        return False


def _parsed(scheme: str, text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = _context().handler(scheme).from_string(text)
    except (ValueError, TypeError, NotImplementedError):
        raise UnusableHash(f"the {scheme} hash is malformed") from None
    if not parsed.checksum:
        raise UnusableHash(f"the {scheme} hash has settings and no digest")
    if scheme == "argon2" and parsed.data:
        raise UnusableHash("the argon2 hash has associated data, which nothing here could supply")
    return parsed


def _check_cost(scheme: str, parsed: Any) -> None:
    if scheme == "argon2":
        dear = (
            parsed.memory_cost * 1024 > _MAX_MEMORY_BYTES
            or parsed.rounds > _MAX_PASSES
            or parsed.parallelism > _MAX_LANES
        )
    elif scheme == "scrypt":
        memory = 128 * parsed.block_size * 2**parsed.rounds
        dear = memory > _MAX_MEMORY_BYTES or parsed.parallelism > _MAX_LANES
    elif "bcrypt" in scheme:
        dear = parsed.rounds > _MAX_BCRYPT_ROUNDS
    else:
        dear = parsed.rounds > _MAX_PBKDF2_ROUNDS
    if dear:
        raise UnusableHash(f"the {scheme} hash costs too much to verify at a token request")


def _why_unknown(text: str) -> str:
    if re.match(r"(md5|sha1|crypt|unsalted_\w+)\$", text):
        return "the hash is a fast one of Django's early days: give the client a fresh secret"
    if text.startswith("!"):
        return "the secret is marked unusable"
    return "the stored secret is in clear or of no hash that this server verifies"


def _hydra_pbkdf2(found: re.Match[str]) -> str:
    # PBKDF2 makes its output block by block, so the first ones of a longer output are a hash by themselves.
    digest, rounds = found["digest"], found["rounds"]
    salt, output = _decoded(found["salt"]), _decoded(found["output"])
    size = _DIGEST_BYTES.get(digest)
    if size is None:
        raise UnusableHash(f"PBKDF2 with {digest} is not verified here: sha1, sha256 and sha512 are")
    if len(output) != int(found["length"]):
        raise UnusableHash("the PBKDF2 hash is malformed: its output is not as long as it says")
    if len(output) < size:
        raise UnusableHash(f"the PBKDF2 output is shorter than the {size} bytes of its digest")
    name = "pbkdf2" if digest == "sha1" else f"pbkdf2-{digest}"
    return f"${name}${rounds}${_adapted(salt)}${_adapted(output[:size])}"


def _django_scrypt(found: re.Match[str]) -> str:
    # The last step of scrypt is PBKDF2, so the same holds of its output; passlib takes 32 bytes.
    cost, output = int(found["cost"]), _decoded(found["output"].rstrip("="))
    if cost & (cost - 1) or len(output) < _SCRYPT_BYTES:
        raise UnusableHash("the scrypt hash is malformed")
    salt = _encoded(found["salt"].encode())
    parameters = f"ln={cost.bit_length() - 1},r={found['block']},p={found['lanes']}"
    return f"$scrypt${parameters}${salt}${_encoded(output[:_SCRYPT_BYTES])}"


# Notations that passlib does not read, of hashes that it verifies.
_REWRITTEN: Final[Mapping[re.Pattern[str], Callable[[re.Match[str]], str]]] = {
    re.compile(
        r"\$pbkdf2-(?P<digest>sha\d+)\$i=(?P<rounds>\d{1,9}),l=(?P<length>\d{1,4})\$(?P<salt>[\w+/]*)\$(?P<output>[\w+/]+)",
        re.ASCII,
    ): _hydra_pbkdf2,
    re.compile(
        r"scrypt\$(?P<cost>\d{1,9})\$(?P<salt>[\x21-\x23\x25-\x7e]+)\$(?P<block>\d{1,4})\$(?P<lanes>\d{1,4})"
        r"\$(?P<output>[\w+/]+={0,2})",
        re.ASCII,
    ): _django_scrypt,
    # Django's argon2$argon2id$… and bcrypt$$2b$…: a word before what is a complete hash.
    re.compile(r"(?:argon2(?=\$argon2)|bcrypt\$(?=\$2))(?P<hash>\$.*)"): lambda found: found["hash"],
}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise UnusableHash("the hash is not well-formed base64") from None


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _adapted(data: bytes) -> str:
    """Return base64 as passlib's PBKDF2 has it: a dot for the plus, no padding."""
    return _encoded(data).replace("+", ".")
