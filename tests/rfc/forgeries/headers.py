"""Headers that ask for another algorithm, another key, another meaning (RFC 8725 §2.1, §3)."""

from __future__ import annotations

import base64
import hashlib
import secrets

from tests.rfc.forgeries.forger import (
    Forger,
    Rows,
    pem,
    shown,
    spki,
    unsigned,
    with_claims,
    with_header,
    with_hmac,
)
from tests.support.tokens import LEFT_OUT, base64url, encode, unbase64url

HOSTILE_KIDS = {
    "SQL": "' OR '1'='1' UNION SELECT 'key' --",
    "a path": "../../../../dev/null",
    "a device": "/dev/null",
    "a command": "|cat /etc/passwd",
    "a URL": "http://127.0.0.1:1/key",
    "NUL": "\0",
    "a line end": "key\r\nX-Injected: 1",
    "letters of another script": "ключ",
    "a lone surrogate": "\ud800",
    "a log format": "%s%n{0}${jndi:ldap://127.0.0.1:1/a}",
    "an unknown name": "another-key",
}
OTHER_TYPES = (
    *("JWT", "jwt", "at jwt", "at+jwt ", " at+jwt", "at+jwt; v=1", "application/jwt", ""),
    *("application/at+jwt+json", "application/application/at+jwt"),
    *("dpop+jwt", "logout+jwt", "client-authentication+jwt"),
)


def rows() -> Rows:
    """Return all of them."""
    yield from _algorithms()
    yield from _confusions()
    yield from _names_of_keys()
    yield from _keys_in_the_token()
    yield from _types()
    yield from _extensions()


def _algorithms() -> Rows:
    for name in ("none", "None", "NONE", "nOnE"):
        yield f"alg {name}, unsigned", unsigned(name), "alg"
        yield f"alg {name}, signed all the same", with_header(alg=name), "alg"
    for name in ("ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "Ed25519", "es256", "ES256 ", ""):
        yield f"ES256 named {name!r}", with_header(alg=name), "alg"
    for value in (None, 1, True, ["ES256"], {"alg": "ES256"}, LEFT_OUT):
        yield f"alg is {shown(value)}", with_header(alg=value), "alg"
    yield "HS256 with the public key in PEM", with_hmac(pem), "alg 'HS256'"
    yield "HS256 with the PEM stripped", with_hmac(lambda key: pem(key).strip()), "alg 'HS256'"
    yield "HS256 with the public key in DER", with_hmac(spki), "alg 'HS256'"
    yield "HS256 with the JWK", with_hmac(lambda key: encode(key.jwk())), "alg 'HS256'"
    yield "HS256 with the coordinate x", with_hmac(lambda key: unbase64url(key.jwk()["x"])), "alg 'HS256'"
    yield "HS256 with nothing", with_hmac(lambda _key: b""), "alg 'HS256'"
    yield "HS256 with the RSA key in PEM", with_hmac(pem, key="rs256"), "alg 'HS256'"
    yield "HMAC named ES256", with_hmac(pem, algorithm="ES256"), "signature"
    yield "HMAC named RS256", with_hmac(pem, key="rs256", algorithm="RS256"), "signature"


def _confusions() -> Rows:
    """One of the issuer's keys under the name of another."""
    yield "EdDSA under the kid of ES256", lambda f: f.eddsa.token(f.claims(), kid=f.es256.kid), "alg 'EdDSA'"
    yield "ES256 under the kid of EdDSA", lambda f: f.es256.token(f.claims(), kid=f.eddsa.kid), "alg 'ES256'"
    yield "RS256 under the kid of ES256", lambda f: f.rs256.token(f.claims(), kid=f.es256.kid), "alg 'RS256'"
    yield (
        "EdDSA named ES256 under the kid of ES256",
        lambda f: f.eddsa.token(f.claims(), kid=f.es256.kid, alg="ES256"),
        "signature",
    )
    yield (
        "ES256 named EdDSA under the kid of EdDSA",
        lambda f: f.es256.token(f.claims(), kid=f.eddsa.kid, alg="EdDSA"),
        "signature",
    )
    yield (
        "RS256 named ES256 under the kid of ES256",
        lambda f: f.rs256.token(f.claims(), kid=f.es256.kid, alg="ES256"),
        "signature",
    )
    yield (
        "ES256 under the kid of the other ES256",
        lambda f: f.es256.token(f.claims(), kid=f.second_es256.kid),
        "signature",
    )


def _names_of_keys() -> Rows:
    for name, kid in HOSTILE_KIDS.items():
        yield f"kid is {name}", with_header(kid=kid), "no such key"
    yield (
        "kid with a space after it",
        lambda f: f.es256.token(f.claims(), kid=f.es256.kid + " "),
        "no such key",
    )
    yield "kid in other case", lambda f: f.es256.token(f.claims(), kid=f.es256.kid.swapcase()), "no such key"
    for value in ("", "k" * 5000, None, 0, 1.5, True, ["key-1"], {"kid": "key-1"}, LEFT_OUT):
        yield f"kid is {shown(value)}", with_header(kid=value), "kid"


def _keys_in_the_token() -> Rows:
    """The forger's own key, offered in every way that JOSE knows (RFC 8725 §3.10)."""
    yield "own key under the issuer's kid", lambda f: f.own.token(f.claims(), kid=f.es256.kid), "signature"
    yield "own key under its own kid", lambda f: f.own.token(f.claims()), "no such key"
    yield "jwk under its own kid", lambda f: f.own.token(f.claims(), jwk=f.own.jwk()), "no such key"
    yield "jwk without a kid", lambda f: f.own.token(f.claims(), kid=LEFT_OUT, jwk=f.own.jwk()), "kid"
    yield (
        "jwk under the issuer's kid",
        lambda f: f.own.token(f.claims(), kid=f.es256.kid, jwk=f.own.jwk(kid=f.es256.kid)),
        "signature",
    )
    yield (
        "x5c under the issuer's kid",
        lambda f: f.own.token(f.claims(), kid=f.es256.kid, x5c=[base64.b64encode(spki(f.own)).decode()]),
        "signature",
    )
    yield (
        "x5t under the issuer's kid",
        lambda f: f.own.token(
            f.claims(), kid=f.es256.kid, x5t=base64url(hashlib.sha256(spki(f.own)).digest())
        ),
        "signature",
    )


def _types() -> Rows:
    for name in OTHER_TYPES:
        yield f"typ is {name!r}", with_header(typ=name), "typ"
    for value in (None, 1, ["at+jwt"], {"typ": "at+jwt"}, LEFT_OUT):
        yield f"typ is {shown(value)}", with_header(typ=value), "typ"


def _extensions() -> Rows:
    for value in (["exp"], ["b64"], ["urn:example:must-understand"], [], "exp", None):
        yield f"crit is {shown(value)}", with_header(crit=value), "crit"
    yield "b64 is false", with_header(b64=False, crit=["b64"]), "crit"
    yield "b64 is false and not critical", with_header(b64=False), "b64"
    yield "b64 is true", with_header(b64=True), "b64"
    yield "enc in a signed token", with_header(enc="A256GCM"), "enc"
    yield "JWE", _encrypted, "5 segments"
    yield "JWE cut to three segments", lambda f: ".".join(_encrypted(f).split(".")[:3]), "enc"
    # RFC 7800 §3.1: whoever brings such a token must prove more than Bearer proves.
    yield "bound to a key", with_claims(cnf={"jkt": "0" * 43}), "bound to a key"
    yield "bound to a certificate", with_claims(cnf={"x5t#S256": "0" * 43}), "bound to a key"


def _encrypted(forger: Forger) -> str:
    header = {"alg": "dir", "enc": "A256GCM", "kid": forger.es256.kid, "typ": "at+jwt"}
    parts = (b"", secrets.token_bytes(12), secrets.token_bytes(200), secrets.token_bytes(16))
    return ".".join([base64url(encode(header)), *(base64url(part) for part in parts)])
