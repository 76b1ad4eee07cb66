"""The text of JOSE, read strictly: base64url (RFC 7515 §2) and JSON objects (RFC 7515 §4, RFC 7519 §4)."""

from __future__ import annotations

import binascii
import json
from typing import Any, Final, NoReturn

# Beyond it nobody issues a token, and nobody reads one.
MAX_TOKEN_CHARACTERS: Final = 8192
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Malformed(ValueError):
    """The text is not what JOSE allows; the message is short, fixed and safe to log."""


class JSONObject(dict[str, Any]):
    """An object as it was signed, which cannot be changed: many may share it. A copy of it is a plain ``dict``."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("what was signed cannot be changed, only a copy of it")

    __setitem__: Any = _refuse
    __delitem__: Any = _refuse
    __ior__: Any = _refuse
    clear: Any = _refuse
    pop: Any = _refuse
    popitem: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Be copied and pickled as a ``dict``."""
        return dict, (dict(self),)


def decode_base64url(segment: bytes) -> bytes:
    """Return the octets behind ``segment``, of which there is exactly one spelling.

    Raises ``Malformed`` at padding, at anything outside the alphabet, and at trailing bits that are not zero:
    otherwise one signature could be written in several ways.
    """
    try:
        octets = binascii.a2b_base64(segment.translate(_TO_STANDARD) + b"==")
    except binascii.Error:
        raise Malformed("not base64url") from None
    # The decoder skips what it does not know; only the canonical spelling survives the way back.
    if binascii.b2a_base64(octets, newline=False).translate(_TO_URL_SAFE).rstrip(b"=") != segment:
        raise Malformed("not canonical base64url")
    return octets


def read_object(octets: bytes) -> JSONObject:
    """Return the JSON object in ``octets``, which must be UTF-8.

    Raises ``Malformed`` at anything else, at a member name that occurs twice (RFC 7515 §4 leaves the choice
    between refusing and taking the last; two readers must not see two things), at NaN and the infinities,
    and at nesting deeper than the parser can follow.
    """
    try:
        value = _DECODER.decode(octets.decode())
    except Malformed:
        raise
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError:
        raise Malformed("not JSON in UTF-8") from None
    if not isinstance(value, JSONObject):
        raise Malformed("not a JSON object")
    return value


def _once_each(members: list[tuple[str, Any]]) -> JSONObject:
    value = JSONObject(members)
    if len(value) != len(members):
        raise Malformed("a member name occurs twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


# Built once: json.loads with options builds a new decoder at every call.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once_each, parse_constant=_refuse_constant)
