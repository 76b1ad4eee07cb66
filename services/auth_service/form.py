"""The strict form body of the token endpoint (RFC 6749 §3.2 and Appendix B, RFC 8707 §2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from starlette.requests import ClientDisconnect

from auth_service.errors import (
    BodyTooLarge,
    FormTooSlow,
    NotAForm,
    RepeatedParameter,
    TooManyParameters,
    UndecodableForm,
)

if TYPE_CHECKING:
    from starlette.types import Receive

MAX_BODY_BYTES = 64 * 1024
MAX_PARAMETERS = 32
# For all of a form: whoever sends it drop by drop holds a place meanwhile.
FORM_SECONDS = 10.0
MEDIA_TYPE = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Form:
    """The parameters of a token request. Those sent without a value are absent (RFC 6749 §3.2)."""

    parameters: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, None when it was not sent."""
        return self.parameters.get(name)


async def read_form(content_types: list[str], receive: Receive) -> Form:
    """Read and parse the body of a request with these Content-Type headers.

    Raises ``InvalidRequest`` in one of its kinds, and ``ClientDisconnect``.
    """
    check_content_type(content_types)
    return parse_form(await _read_body(receive))


def check_content_type(values: list[str]) -> None:
    """Refuse every media type but the form's; the only parameter it may have is ``charset=utf-8``."""
    if len(values) != 1:
        raise NotAForm(f"{len(values)} Content-Type headers")
    if values[0] == MEDIA_TYPE:
        return
    media_type, *parameters = (part.strip().lower() for part in values[0].split(";"))
    allowed = ("", "charset=utf-8", 'charset="utf-8"')
    if media_type != MEDIA_TYPE or any(parameter not in allowed for parameter in parameters):
        raise NotAForm("wrong Content-Type")


def parse_form(body: bytes) -> Form:
    """Turn the bytes of a body into parameters (WHATWG URL §5.1, in UTF-8 alone).

    ``resource`` may be repeated (RFC 8707 §2), nothing else may (RFC 6749 §3.2). Raises ``UndecodableForm``,
    ``TooManyParameters`` or ``RepeatedParameter``.
    """
    if body.count(b"&") >= MAX_PARAMETERS:
        raise TooManyParameters
    parameters: dict[str, str] = {}
    resources: list[str] = []
    try:
        for pair in body.decode("utf-8").split("&"):
            name, _, value = pair.partition("=")
            if not value:
                continue
            if "%" in pair or "+" in pair:
                name, value = (unquote_plus(part, errors="strict") for part in (name, value))
            if name == "resource":
                resources.append(value)
            elif name in parameters:
                raise RepeatedParameter
            else:
                parameters[name] = value
    except UnicodeDecodeError:
        raise UndecodableForm from None
    return Form(parameters, tuple(resources))


async def _read_body(receive: Receive) -> bytes:
    # Not Starlette's Request.body(): that one keeps whatever is sent.
    # The first piece is there at once, empty if nothing has come yet (`steelcut.service.http.answer`).
    body, more = await _piece(receive)
    # Nearly all come in one piece, which is not copied, and starts no clock.
    if more:
        try:
            async with asyncio.timeout(FORM_SECONDS):
                while more and len(body) <= MAX_BODY_BYTES:
                    piece, more = await _piece(receive)
                    body += piece
        except TimeoutError:
            raise FormTooSlow from None
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return body


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)
