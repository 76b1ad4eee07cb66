"""What type checkers know about the calling side; read by mypy and pyright in `make check`, and never run.

A line whose ``ignore`` is not needed is an error to both, so each line that is marked so must be wrong to both.
"""

from __future__ import annotations

from typing import Any, assert_type

import httpx

import steelcut


def two_lines() -> None:
    """The ``auth`` of a client of httpx, which gives the token itself too."""
    auth = steelcut.ClientCredentials("id", "secret", issuer="https://auth.example.com", scope="read")
    assert_type(auth.token(), steelcut.Token)
    with httpx.Client(auth=auth) as client:
        assert_type(client.get("https://api.example.com/"), httpx.Response)


async def two_lines_async(auth: steelcut.ClientCredentials) -> None:
    """The same object serves both."""
    assert_type(await auth.token_async(), steelcut.Token)
    async with httpx.AsyncClient(auth=auth) as client:
        assert_type(await client.get("https://api.example.com/"), httpx.Response)


def every_option() -> steelcut.ClientCredentials:
    """The secret may be a function, the resources many, the patience and the cache one's own."""
    return steelcut.ClientCredentials(
        client_id="id",
        client_secret=lambda: "secret",
        token_url="https://auth.example.com/token",
        resource=["https://api.example.com/a", "https://api.example.com/b"],
        authentication="client_secret_post",
        parameters={"audience": "other"},
        retries=steelcut.Retries(attempts=3),
        cache=steelcut.TokenCache(),
    )


async def functions_for_scripts() -> None:
    """In both forms; parsed JSON may be anything."""
    token = steelcut.request_token(client_id="id", client_secret="secret", issuer="https://auth.example.com")
    assert_type(token, steelcut.Token)
    assert_type(token.value, str)
    assert_type(token.expires_in, int | None)
    assert_type(token.scope, str | None)
    assert_type(await steelcut.request_token_async(client_id="id"), steelcut.Token)
    assert_type(steelcut.fetch("https://api.example.com/document", token), bytes)
    assert_type(steelcut.fetch_json("https://api.example.com/", scope="read"), Any)
    assert_type(await steelcut.fetch_json_async("https://api.example.com/"), Any)


def errors(refused: steelcut.RequestRefused) -> None:
    """What the server said."""
    assert_type(refused.error, str)
    assert_type(refused.description, str)
    assert_type(refused.status, int)
    assert_type(refused.trace_id, str | None)
    assert_type(refused.retry_after, float | None)


def family(
    error: steelcut.RequestRefused
    | steelcut.SecretUnavailable
    | steelcut.Unreachable
    | steelcut.UnexpectedAnswer,
) -> steelcut.ClientError:
    """All that a call raises is caught by one name."""
    return error


def mistakes(token: steelcut.Token, url: str) -> None:
    """What would go wrong at run time is seen before."""
    steelcut.ClientCredentials("id", secret="s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    steelcut.request_token(secret="s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    steelcut.fetch_json(url, timeout="10 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    steelcut.fetch(url, token.value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    token.value = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    steelcut.fetch_jsn()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
