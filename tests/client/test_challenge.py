"""WWW-Authenticate as resources send it, and as somebody would who means harm (RFC 9110 §11.6.1)."""

from __future__ import annotations

import time

import pytest

from steelcut.client.challenge import MAX_CHARACTERS, bearer_challenge

CASES: list[tuple[str, str, dict[str, str] | None]] = [
    ("ours", 'Bearer error="invalid_token", scope="a b"', {"error": "invalid_token", "scope": "a b"}),
    ("without quotes", "Bearer error=invalid_token", {"error": "invalid_token"}),
    ("any case", 'bEARER Error="x"', {"error": "x"}),
    ("spaces", '  Bearer \t error = "x" ,\tscope="y"  ', {"error": "x", "scope": "y"}),
    ("empty elements", 'Bearer error="x",, ,scope="y",', {"error": "x", "scope": "y"}),
    (
        "comma within",
        'Bearer error_description="a, b=c", error="x"',
        {"error_description": "a, b=c", "error": "x"},
    ),
    ("escapes", r'Bearer a="say \"x\" \\"', {"a": 'say "x" \\'}),
    ("first of several", 'Bearer a="1", Bearer a="2"', {"a": "1"}),
    ("first value counts", 'Bearer error="x", error="y"', {"error": "x"}),
    ("behind others", 'Basic realm="a, Bearer b=c", Negotiate, Bearer error="x"', {"error": "x"}),
    ("before others", 'Bearer error="x", Basic realm="r"', {"error": "x"}),
    ("behind a token68", 'Negotiate oYG2MIGz==, Bearer error="x"', {"error": "x"}),
    ("alone", "Bearer", {}),
    ("alone before others", 'Bearer, Basic realm="x"', {}),
    ("another", 'Basic realm="Bearer error=x"', None),
    ("longer name", 'BearerX error="x"', None),
    ("nothing", "", None),
    ("no scheme", 'error="invalid_token"', None),
    ("open quote", 'Bearer error="x', {}),
    ("open escape", 'Bearer error="x\\', {}),
    ("no value", "Bearer error=, scope=y", {"scope": "y"}),
    ("too much", 'Bearer error="x" "y"', {}),
]


@pytest.mark.parametrize(
    ("header", "parameters"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_bearer_challenge_is_found(header: str, parameters: dict[str, str] | None) -> None:
    """Among those of other schemes, and only what it says itself."""
    assert bearer_challenge(header) == parameters


@pytest.mark.parametrize(
    "piece",
    ["a", " ", ",", '"', '\\"', "a=", 'a="', 'a="b",', "a ", "Bearer ", 'Bearer a="\\', "\t=", "a\t"],
    ids=repr,
)
def test_header_takes_time_in_proportion(piece: str) -> None:
    """What a resource sends cannot keep its caller busy."""
    begin = time.process_time()
    for start in ("", "Bearer ", 'Bearer a="'):
        bearer_challenge(start + piece * (200_000 // len(piece)))
    assert time.process_time() - begin < 0.5


def test_what_lies_far_behind_is_not_looked_at() -> None:
    """No resource that is in its senses sends so much."""
    assert bearer_challenge("Bearer a=b" + "," * MAX_CHARACTERS + 'error="x"') == {"a": "b"}
