"""The body of a request: bounded, of the right type, and JSON that can be read in one way only (RFC 8259)."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson
from starlette.requests import Request

from auth_service.admin.problems import BodyTooLarge, BodyTooSlow, MalformedRequest, WrongMediaType

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BODY_BYTES: Final = 65_536
# For all of it, as for the form of a token request.
BODY_SECONDS: Final = 10.0
_TOO_SLOW: Final = f"The body did not come within {BODY_SECONDS:g} seconds. Send the request again."
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


class ReadRequest(Request):
    """A request whose body was read and checked, for FastAPI, which would ask for both again."""

    def __init__(self, request: Request, body: bytes, document: Any) -> None:
        """Take the place of ``request``."""
        super().__init__(request.scope, request.receive)
        self._bytes = body
        self._document = document

    async def body(self) -> bytes:
        """Return the bytes."""
        return self._bytes

    async def json(self) -> Any:
        """Return what they mean."""
        return self._document


async def read_request(request: Request, *, takes_body: bool) -> ReadRequest:
    """Read the body of ``request``.

    Raises ``BodyTooLarge``, ``BodyTooSlow``, ``WrongMediaType``, and ``MalformedRequest`` also for a body where none
    belongs.
    """
    body = await _read(request)
    if not body:
        return ReadRequest(request, b"", None)
    if not takes_body:
        raise MalformedRequest("This request takes no body: send none.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongMediaType(
            "Send the body as it is, without Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )
    _check_media_type(request.headers.getlist("content-type"), request.method)
    return ReadRequest(request, body, parse(body))


def parse(body: bytes) -> Any:
    """Return the JSON value in ``body``.

    Raises ``MalformedRequest`` at what is not JSON in UTF-8, at a member that occurs twice (two readers must not see
    two things), and at numbers and characters that no other JSON reader could be trusted with.
    """
    try:
        document = _DECODER.decode(body.decode())
        # Integers beyond 64 bits, lone surrogates, nesting beyond reason.
        orjson.dumps(document)
    except _NotUnderstood as fault:
        raise MalformedRequest(f"The body is JSON that can be understood in two ways: {fault}.") from None
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not UTF-8.") from None
    except json.JSONDecodeError as fault:
        raise MalformedRequest(
            f"The body is not JSON: see line {fault.lineno}, column {fault.colno}."
        ) from None
    except (ValueError, TypeError, RecursionError):
        raise MalformedRequest(
            "The body holds what cannot be stored: an integer beyond 64 bits, half a character, or deep nesting."
        ) from None
    return document


class _NotUnderstood(ValueError):
    """JSON about which readers disagree."""


async def _read(request: Request) -> bytes:
    # Not request.body(): that one keeps whatever is sent.
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge("The body is larger than 64 KiB.")
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTooSlow(_TOO_SLOW, headers={"Connection": "close"}) from None
    return b"".join(chunks)


def _check_media_type(values: Sequence[str], method: str) -> None:
    allowed = (MERGE_PATCH, JSON) if method == "PATCH" else (JSON,)
    media_type, *parameters = (part.strip().lower() for part in values[0].split(";")) if values else ("",)
    if (
        len(values) != 1
        or media_type not in allowed
        # RFC 8259 §11: there is no such parameter, but many send it.
        or any(parameter not in {"", "charset=utf-8", 'charset="utf-8"'} for parameter in parameters)
    ):
        raise WrongMediaType(f"Send the body as {allowed[0]}.", headers={"Accept": ", ".join(allowed)})


def _once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise _NotUnderstood("a member occurs twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _NotUnderstood(f"{name} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotUnderstood("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_once_each, parse_constant=_refuse_constant, parse_float=_finite
)
