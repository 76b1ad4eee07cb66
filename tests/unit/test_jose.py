"""The strict readers of JOSE text."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import orjson
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


CHANGES: list[Callable[[Any], object]] = [
    lambda value: value.__setitem__("a", 1),
    lambda value: value.__delitem__("a"),
    lambda value: value.__ior__({"a": 1}),
    lambda value: value.update(a=1),
    lambda value: value.setdefault("z", 1),
    lambda value: value.pop("a"),
    lambda value: value.popitem(),
    lambda value: value.clear(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_object_cannot_be_changed(change: Callable[[Any], object]) -> None:
    """Nor can an object in it: what was signed is shared by all who ask."""
    value = read_object(b'{"a": {"a": [1]}}')
    for shared in (value, value["a"]):
        with pytest.raises(TypeError, match="only a copy of it"):
            change(shared)
    assert value == {"a": {"a": [1]}}


COPIES: list[Callable[[Any], Any]] = [
    dict,
    copy.copy,
    copy.deepcopy,
    lambda value: value.copy(),
    lambda value: value | {},
    lambda value: pickle.loads(pickle.dumps(value)),  # noqa: S301 - our own
    lambda value: json.loads(json.dumps(value)),
    lambda value: json.loads(orjson.dumps(value)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_copy_of_an_object_is_a_dict_of_ones_own(copied: Callable[[Any], Any]) -> None:
    """However it is made; and whatever writes JSON takes an object."""
    value = copied(read_object(b'{"a": {"b": [1]}}'))
    value["c"] = 2
    assert value == {"a": {"b": [1]}, "c": 2}
