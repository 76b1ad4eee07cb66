"""What type checkers know about the guarding side; read by mypy and pyright in `make check`, and never run.

A line whose ``ignore`` is not needed is an error to both, so each line that is marked so must be wrong to both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, assert_type

from fastapi import Depends, FastAPI, Security
from starlette.applications import Starlette
from starlette.middleware import Middleware

import steelcut
from steelcut.testing import Issuer

ISSUER = "https://auth.example.com"
AUDIENCE = "https://api.example.com"

app = FastAPI()
guard = steelcut.Guard(ISSUER, audience=AUDIENCE, scopes={"read": "See orders", "write": "Change them"})


@app.get("/orders")
async def orders(claims: Annotated[steelcut.Claims, Depends(guard("read"))]) -> dict[str, str]:
    """A route of FastAPI is given claims whose members have types."""
    assert_type(claims.client_id, str)
    assert_type(claims.scopes, frozenset[str])
    assert_type(claims.audience, tuple[str, ...])
    assert_type(claims.expires_at, float)
    assert_type(claims.raw, Mapping[str, Any])
    return {"client": claims.client_id}


@app.get("/stock")
def stock(
    claims: Annotated[steelcut.Claims, Security(guard(any_of=["read", "write"]), scopes=["list"])],
) -> str:
    """So is one that blocks."""
    return claims.subject


def refusal(error: steelcut.InvalidToken | steelcut.InsufficientScope) -> tuple[int, dict[str, str]]:
    """All that a guard raises is answered in one way."""
    assert_type(error.body(), dict[str, str | int])
    return error.status, error.headers()


async def admitted(authorization: list[str]) -> None:
    """Without a framework, in both forms."""
    assert_type(await guard.admit(authorization, ["read"], any_of=["write"]), steelcut.Claims)
    assert_type(guard.admit_sync(authorization, scopes={"read"}), steelcut.Claims)
    assert_type(guard.metadata(), dict[str, Any])


def wrapped() -> None:
    """Around any ASGI application, by its own call and by Starlette's."""
    steelcut.GuardMiddleware(app, guard, scopes=["read"], public=["/healthz"])
    starlette = Starlette(
        routes=[guard.metadata_route()],
        middleware=[Middleware(steelcut.GuardMiddleware, guard, scopes=["read"])],
    )
    starlette.add_middleware(steelcut.GuardMiddleware, guard, any_of=["read", "write"])


async def verified(token: str) -> None:
    """Several issuers, others' too, and a check of one's own."""
    verifier = steelcut.Verifier(
        [
            ISSUER,
            steelcut.TrustedIssuer.keycloak("https://keycloak.example.com/realms/orders", audience="orders"),
            steelcut.TrustedIssuer("https://other.example.com", algorithms=("RS256",)),
        ],
        audience=AUDIENCE,
        check=lambda claims: claims.client_id != "retired",
    )
    assert_type(verifier.verify(token), steelcut.Claims)
    assert_type(await verifier.verify_async(token, audience=AUDIENCE), steelcut.Claims)


def tested() -> None:
    """The issuer of tests is a context manager that gives itself."""
    with Issuer() as issuer:
        assert_type(issuer, Issuer)
        assert_type(issuer.token(audience=AUDIENCE), str)
        assert_type(issuer.bearer(audience=AUDIENCE, scope="read"), dict[str, str])


async def mistakes(claims: steelcut.Claims) -> None:
    """What would go wrong at run time, or let too many pass, is seen before."""
    steelcut.Guard(ISSUER)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    steelcut.Guard(ISSUER, audience=AUDIENCE, scope="read")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    guard(["read"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    guard.admit_sync(None, ["read"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    steelcut.Verifier(ISSUER)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    claims.client_id = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    claims.scope  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    steelcut.TrustedIssuer.entra("id", audience="x", version=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
