"""What type checkers know about the calling side; read by mypy and pyright in `make check`, and never run.

A line whose ``ignore`` is not needed is an error to both, so each line that is marked so must be wrong to both.
"""

from __future__ import annotations

from typing import assert_type

import steelcut


def a_token_and_a_document() -> None:
    """The plain functions for scripts."""
    token = steelcut.request_token(
        client_id="id", client_secret="secret", issuer="https://auth.example.com", scope="read"
    )
    assert_type(token, steelcut.Token)
    assert_type(token.value, str)
    assert_type(token.expires_in, int | None)
    assert_type(token.scope, str | None)
    assert_type(steelcut.fetch("https://api.example.com/document", token), bytes)


def errors() -> None:
    """One family, whose members say what the server said."""
    try:
        a_token_and_a_document()
    except steelcut.RequestRefused as refused:
        assert_type(refused.error, str)
        assert_type(refused.description, str)
        assert_type(refused.status, int)
        assert_type(refused.trace_id, str | None)


def family(
    error: steelcut.RequestRefused | steelcut.Unreachable | steelcut.UnexpectedAnswer,
) -> steelcut.ClientError:
    """All that a call raises is caught by one name."""
    return error


def mistakes(token: steelcut.Token) -> None:
    """What would go wrong at run time is seen before."""
    steelcut.request_token(client_id="id")
    steelcut.fetch("https://api.example.com/", token.value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    token.value = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    steelcut.fetch_jsn()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
