"""Public keys from JWK Sets: which are taken, for which algorithm, and which are not."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from steelcut.jose import Malformed
from steelcut.jwk import MAX_KEYS, read_key, read_key_set
from tests.support.tokens import LEFT_OUT, IssuerKey, base64url, encode, unbase64url

EC_KEY = IssuerKey.generate("ES256")
RSA_KEY = IssuerKey.generate("RS256")
ED_KEY = IssuerKey.generate("EdDSA")
ALL_KEYS = pytest.mark.parametrize("key", [EC_KEY, RSA_KEY, ED_KEY], ids=lambda key: key.algorithm)

# RFC 7515 appendices A.2 and A.3, RFC 8037 appendix A.4.
RSA_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-"
    "Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
    "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
    "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
    "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
    "DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)
RS256_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL"
    "mNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--"
    "f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
    "xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhW"
    "kWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
ES256_TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL"
    "mNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
    "F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
EDDSA_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
    "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
VECTORS = {
    "RS256": ({"kty": "RSA", "e": "AQAB", "n": RSA_MODULUS}, RS256_TOKEN),
    "ES256": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        ES256_TOKEN,
    ),
    "EdDSA": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        EDDSA_TOKEN,
    ),
}


@pytest.mark.parametrize("algorithm", VECTORS)
def test_examples_of_the_rfcs_verify(algorithm: str) -> None:
    """The signed examples of RFC 7515 and RFC 8037 verify under their published keys, and altered ones do not."""
    jwk, token = VECTORS[algorithm]
    key = read_key({**jwk, "kid": "example"})
    signing_input, _, signature = token.rpartition(".")
    assert key is not None
    assert key.algorithm == algorithm
    assert key.verify(signing_input.encode(), unbase64url(signature))
    assert not key.verify(signing_input.encode() + b"A", unbase64url(signature))
    assert not key.verify(signing_input.encode(), unbase64url(signature)[:-1])


@ALL_KEYS
def test_key_verifies_what_its_other_half_signed(key: IssuerKey) -> None:
    """A key read from a JWK Set verifies its issuer's signatures and nobody else's."""
    other = IssuerKey.generate(key.algorithm)
    public = read_key_set(encode({"keys": [key.jwk()]}))[key.kid]
    assert public.verify(b"text", key.sign(b"text"))
    assert not public.verify(b"text", other.sign(b"text"))


def _rsa_jwk(bits: int) -> dict[str, Any]:
    return IssuerKey("key-1", "RS256", rsa.generate_private_key(65537, bits)).jwk()


def _p384_jwk() -> dict[str, Any]:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    x, y = (base64url(number.to_bytes(48, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "key-1"}


UNUSABLE: dict[str, Any] = {
    "a number": 7,
    "null": None,
    "a string": "key",
    "no members": {},
    "no kid": EC_KEY.jwk(kid=LEFT_OUT),
    "an empty kid": EC_KEY.jwk(kid=""),
    "a huge kid": EC_KEY.jwk(kid="k" * 257),
    "a number as kid": EC_KEY.jwk(kid=1),
    "a list as kid": EC_KEY.jwk(kid=["key-1"]),
    "a shared secret": {"kty": "oct", "k": base64url(b"s" * 32), "kid": "key-1", "alg": "HS256"},
    "an unknown type": EC_KEY.jwk(kty="LWE"),
    "a type that is no text": EC_KEY.jwk(kty=["EC"]),
    "no type": EC_KEY.jwk(kty=LEFT_OUT),
    "no curve": EC_KEY.jwk(crv=LEFT_OUT),
    "another curve": _p384_jwk(),
    "a mislabelled curve": {**_p384_jwk(), "crv": "P-256"},
    "a curve of another type": EC_KEY.jwk(crv="Ed25519"),
    "an RSA key with a curve": RSA_KEY.jwk(crv="P-256"),
    "a key for encryption": EC_KEY.jwk(use="enc"),
    "a use that is no text": EC_KEY.jwk(use=["sig"]),
    "operations without verify": EC_KEY.jwk(key_ops=["sign"]),
    "operations that are no list": EC_KEY.jwk(key_ops="verify"),
    "another algorithm": EC_KEY.jwk(alg="ES384"),
    "an algorithm of another type": RSA_KEY.jwk(alg="PS256"),
    "no algorithm at all": RSA_KEY.jwk(alg="none"),
    "null as algorithm": EC_KEY.jwk(alg=None),
    "a point off the curve": EC_KEY.jwk(y=EC_KEY.jwk()["x"]),
    "a coordinate too short": EC_KEY.jwk(x=EC_KEY.jwk()["x"][:-4]),
    "a coordinate too long": EC_KEY.jwk(x=base64url(b"\0" + unbase64url(EC_KEY.jwk()["x"]))),
    "a coordinate with padding": EC_KEY.jwk(x=EC_KEY.jwk()["x"] + "="),
    "a coordinate outside the alphabet": EC_KEY.jwk(x="!" + EC_KEY.jwk()["x"][1:]),
    "a coordinate beyond ASCII": EC_KEY.jwk(x="é" + EC_KEY.jwk()["x"][1:]),
    "a coordinate that is no text": EC_KEY.jwk(x=12345),
    "no coordinate": EC_KEY.jwk(y=LEFT_OUT),
    "a short RSA key": _rsa_jwk(1024),
    "a huge RSA modulus": RSA_KEY.jwk(n=base64url(b"\xff" * 2048)),
    "a huge RSA exponent": RSA_KEY.jwk(e=base64url(b"\xff" * 64)),
    "an even RSA exponent": RSA_KEY.jwk(e=base64url(b"\x04")),
    "an RSA exponent of one": RSA_KEY.jwk(e=base64url(b"\x01")),
    "no RSA modulus": RSA_KEY.jwk(n=LEFT_OUT),
    "a short Ed25519 key": ED_KEY.jwk(x=ED_KEY.jwk()["x"][:-4]),
    "Ed448": ED_KEY.jwk(crv="Ed448"),
    "X25519": ED_KEY.jwk(crv="X25519"),
}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_key_is_skipped_and_breaks_nothing(jwk: Any) -> None:
    """A key that cannot be used is not taken, and the good one beside it is."""
    good = IssuerKey.generate(kid="good")
    assert set(read_key_set(encode({"keys": [jwk, good.jwk()]}))) == {"good"}


@ALL_KEYS
def test_optional_members_may_be_absent_and_unknown_ones_present(key: IssuerKey) -> None:
    """`use`, `alg` and `key_ops` need not be there, and a member that nobody knows does not matter."""
    bare = key.jwk(use=LEFT_OUT, alg=LEFT_OUT, key_ops=["verify", "sign"], x5c=["!"], **{"urn:x": {"a": [1]}})
    assert set(read_key_set(encode({"keys": [bare], "more": 1}))) == {"key-1"}


def test_two_keys_of_one_kid_are_both_distrusted() -> None:
    """Which of two keys a name means cannot be known, so neither is trusted, and a third one is."""
    twins = [EC_KEY.jwk(kid="twin"), IssuerKey.generate().jwk(kid="twin")]
    assert set(read_key_set(encode({"keys": [*twins, EC_KEY.jwk(kid="only")]}))) == {"only"}


def test_usable_key_is_distrusted_beside_an_unusable_one_of_its_kid() -> None:
    """A name counts as taken twice although one of its keys could not be used anyway."""
    keys = [EC_KEY.jwk(kid="twin"), RSA_KEY.jwk(kid="twin", use="enc"), EC_KEY.jwk(kid="only")]
    assert set(read_key_set(encode({"keys": keys}))) == {"only"}


def test_private_member_is_not_kept() -> None:
    """A private key that was published by mistake is read as a public one and shows nowhere."""
    secret = base64url(b"d" * 32)
    key = read_key_set(encode({"keys": [EC_KEY.jwk(d=secret)]}))["key-1"]
    assert "public" not in repr(key)
    assert secret not in repr(key)
    assert not hasattr(key._public_key, "sign")


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [NaN]}',
        b"<html>",
        b"\xff\xfe",
        b"[" * 100_000,
        encode({"keys": [EC_KEY.jwk(kid=str(number)) for number in range(MAX_KEYS + 1)]}),
        encode({"keys": [EC_KEY.jwk(use="enc")]}),
    ],
    ids=lambda document: document[:24],
)
def test_no_key_set_is_malformed(document: bytes) -> None:
    """What is no JWK Set, is one without a usable key or is too large is refused as a whole."""
    with pytest.raises(Malformed):
        read_key_set(document)
