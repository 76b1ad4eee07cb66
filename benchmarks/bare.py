"""The bare baselines: the least that an answer of its kind costs under plain uvicorn, and nothing around it.

Usage: python -m benchmarks.bare constant | sign | sign_directly | verify | verify_directly PORT, with what it
needs as JSON on its standard input.
"""

from __future__ import annotations

import base64
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

Application = Callable[["HTTPScope", "ASGIReceiveCallable", "ASGISendCallable"], Awaitable[None]]

_JSON: Final = (b"content-type", b"application/json")
_LIFETIME_SECONDS: Final = 3600
_ISSUER: Final = "https://issuer.example"
_AUDIENCE: Final = "https://api.example/orders"


def constant(needs: Mapping[str, Any]) -> Application:
    """Answer 200 with the text ``body``, whatever is asked."""
    body = needs["body"].encode()
    headers = [_JSON, (b"content-length", str(len(body)).encode())]

    async def app(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001
        await _answer(send, headers, body)

    return app


def sign(needs: Mapping[str, Any]) -> Application:  # noqa: ARG001
    """Parse the form, sign one ES256 token by PyJWT, and answer as RFC 6749 §5.1 has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _token_endpoint(lambda claims: jwt.encode(claims, key, algorithm="ES256", headers={"kid": "1"}))


def sign_directly(needs: Mapping[str, Any]) -> Application:  # noqa: ARG001
    """Do as ``sign`` does, with cryptography itself instead of PyJWT."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(SHA256())
    header = _base64url(orjson.dumps({"typ": "JWT", "alg": "ES256", "kid": "1"}))

    def token(claims: dict[str, Any]) -> str:
        signed = header + b"." + _base64url(orjson.dumps(claims))
        r, s = decode_dss_signature(key.sign(signed, algorithm))
        return (signed + b"." + _base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()

    return _token_endpoint(token)


def verify(needs: Mapping[str, Any]) -> Application:
    """Verify one ES256 token per request by PyJWT: signature by the public ``jwk``, times, issuer, audience."""
    key = jwt.PyJWK(needs["jwk"]).key
    issuer, audience = needs["issuer"], needs["audience"]
    body = needs["body"].encode()
    headers = [_JSON, (b"content-length", str(len(body)).encode())]

    async def app(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001
        sent = dict(scope["headers"])[b"authorization"]
        token = sent.removeprefix(b"Bearer ")
        jwt.decode(token, key, algorithms=["ES256"], issuer=issuer, audience=audience)
        await _answer(send, headers, body)

    return app


def verify_directly(needs: Mapping[str, Any]) -> Application:
    """Do as ``verify`` does, with cryptography itself instead of PyJWT, and by the same checks of the claims."""
    key = jwt.PyJWK(needs["jwk"]).key
    issuer, audience = needs["issuer"], needs["audience"]
    algorithm = ec.ECDSA(SHA256())
    body = needs["body"].encode()
    headers = [_JSON, (b"content-length", str(len(body)).encode())]

    async def app(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001
        token = dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer ")
        signed, _, signature = token.rpartition(b".")
        header, _, payload = signed.partition(b".")
        head = orjson.loads(_octets(header))
        if head["alg"] != "ES256" or "crit" in head:
            raise ValueError(head)
        numbers = _octets(signature)
        r, s = int.from_bytes(numbers[:32], "big"), int.from_bytes(numbers[32:], "big")
        key.verify(encode_dss_signature(r, s), signed, algorithm)
        claims = orjson.loads(_octets(payload))
        now = time.time()
        if not (claims["iat"] <= now < claims["exp"] and claims.get("nbf", 0) <= now):
            raise ValueError(claims)
        aud = claims["aud"]
        if claims["iss"] != issuer or audience not in (aud if isinstance(aud, list) else (aud,)):
            raise ValueError(claims)
        await _answer(send, headers, body)

    return app


BASELINES: Final = {
    "constant": constant,
    "sign": sign,
    "sign_directly": sign_directly,
    "verify": verify,
    "verify_directly": verify_directly,
}


def _token_endpoint(token_of: Callable[[dict[str, Any]], str]) -> Application:
    async def app(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:  # noqa: ARG001
        content = b""
        more = True
        while more:
            message: Any = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        form = dict(parse_qsl(content.decode()))
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "sub": "client",
            "aud": _AUDIENCE,
            "client_id": "client",
            "scope": form.get("scope", "read"),
            "iat": now,
            "exp": now + _LIFETIME_SECONDS,
            "jti": uuid.uuid4().hex,
        }
        answer = {"access_token": token_of(claims), "token_type": "Bearer", "expires_in": _LIFETIME_SECONDS}
        body = orjson.dumps(answer)
        length = (b"content-length", str(len(body)).encode())
        await _answer(send, [_JSON, length, (b"cache-control", b"no-store")], body)

    return app


async def _answer(send: ASGISendCallable, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def _octets(base64url: bytes) -> bytes:
    # As much padding as any needs; what is too much is passed over.
    return base64.urlsafe_b64decode(base64url + b"==")


def main() -> None:
    """Serve the baseline that the command line names, on 127.0.0.1."""
    name, port = sys.argv[1:]
    app = BASELINES[name](orjson.loads(sys.stdin.buffer.read() or b"{}"))
    uvicorn.run(
        app,
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
