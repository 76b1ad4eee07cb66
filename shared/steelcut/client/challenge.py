"""What a resource says when it refuses a request: the Bearer challenge of WWW-Authenticate (RFC 6750 §3)."""

from __future__ import annotations

import re
from typing import Final

# A header of a stranger: each pattern takes time in proportion to it (possessive, so nothing is tried twice).
_ELEMENT: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - RFC 9110 §5.6.2, a syntax
_SCHEME: Final = re.compile(rf"[ \t]*+({_TOKEN})(?:[ \t]++(?=[^ \t=])|[ \t]*+$)")
_PARAMETER: Final = re.compile(rf'[ \t]*+({_TOKEN})[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|{_TOKEN})[ \t]*+')
_ESCAPED: Final = re.compile(r"\\(.)")
MAX_CHARACTERS: Final = 16_384


def bearer_challenge(header: str) -> dict[str, str] | None:
    """Return the parameters of the first Bearer challenge in a WWW-Authenticate header, None when there is none.

    ``error``, ``scope``, ``resource_metadata`` … by their names in lower case (RFC 9110 §11.6.1, RFC 9728 §5.1).
    The header may hold the challenges of other schemes too.
    """
    parameters: dict[str, str] | None = None
    for element in _ELEMENT.findall(header[:MAX_CHARACTERS]):
        scheme = _SCHEME.match(element)
        if scheme:
            if parameters is not None:
                break
            parameters = {} if scheme[1].lower() == "bearer" else None
        found = _PARAMETER.fullmatch(element, scheme.end() if scheme else 0)
        if parameters is not None and found:
            parameters.setdefault(found[1].lower(), _unquoted(found[2]))
    return parameters


def challenge_parameters(header: str) -> dict[str, str]:
    """Return the same, and nothing when there is no Bearer challenge."""
    return bearer_challenge(header) or {}


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
