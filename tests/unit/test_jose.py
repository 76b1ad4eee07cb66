"""The strict readers of JOSE text."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steelcut.jose import Malformed, decode_base64url, read_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.binary())
def test_what_was_encoded_is_decoded(octets: bytes) -> None:
    """Every octet string comes back from its base64url."""
    assert decode_base64url(base64.urlsafe_b64encode(octets).rstrip(b"=")) == octets


@given(st.binary() | st.text("ABCDabcd0189-_+/=. \n").map(str.encode))
@example(b"QR")
@example(b"QQ==")
@example(b"+/+/")
def test_one_spelling_for_each_octet_string(segment: bytes) -> None:
    """What is accepted is the one spelling of its octets; all else is refused and nothing crashes."""
    try:
        octets = decode_base64url(segment)
    except Malformed:
        return
    assert base64.urlsafe_b64encode(octets).rstrip(b"=") == segment


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_every_json_object_is_read(value: dict[str, Any]) -> None:
    """Whatever JSON object another program writes, it is read as it was meant."""
    assert read_object(json.dumps(value).encode()) == value


@given(st.binary() | JSON.map(json.dumps).map(str.encode))
def test_noise_is_refused_and_never_a_crash(octets: bytes) -> None:
    """Anything that is no object is refused with one kind of error."""
    with contextlib.suppress(Malformed):
        assert isinstance(read_object(octets), dict)


@pytest.mark.parametrize("depth", [10_000, 200_000])
def test_nesting_is_refused_or_read_but_never_a_crash(depth: int) -> None:
    """A tower of brackets exhausts no stack."""
    with pytest.raises(Malformed):
        read_object(b'{"x":' + b"[" * depth)
