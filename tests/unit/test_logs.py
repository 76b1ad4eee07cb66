"""A log line is written whatever its values are, and does not grow with them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from steelcut.service.telemetry.logs import make_logger


class WithoutRepr:
    """Fails when it is shown."""

    def __repr__(self) -> str:
        """Fail."""
        raise ValueError


def fail() -> None:
    """Fail with a text that is not well-formed."""
    raise ValueError("\ud800" * 2)


def authenticate(secret: str) -> None:
    """Fail with ``secret`` at hand."""
    if secret:
        raise ValueError("not this one")


def circle() -> list[Any]:
    """Return a list that holds itself."""
    around: list[Any] = []
    around.append(around)
    return around


ODD = {
    "not a number": (float("nan"), None),
    "bytes": (b"\xff\n", repr(b"\xff\n")),
    "lone surrogate": ("a\ud800b", "a\\ud800b"),
    "lone surrogate within": (("\ud800",), repr(("\ud800",))),
    "more than 64 bits": (2**64, str(2**64)),
    "circle": (circle(), "[[...]]"),
    "no repr": (WithoutRepr(), "<WithoutRepr without a repr>"),
    "line ends": ("a\r\nb", "a\r\nb"),
    "NUL": ("a\0b", "a\0b"),
}
LONG = {
    "text": "a" * 1_000_000,
    "bytes": b"\xff" * 1_000_000,
    "list": ["a" * 1_000_000],
    "mapping": {"a" * 1_000_000: 1},
    "surrogates": "\ud800" * 1_000_000,
}


def logged(value: Any, *, warning: bool = False) -> tuple[str, dict[str, Any]]:
    """Return the text of one line and what it says."""
    stream = io.StringIO()
    logger = make_logger("test", "json", stream)
    (logger.warning if warning else logger.info)("said", value=value, beside=1)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text, json.loads(text)


@pytest.mark.parametrize("warning", [False, True], ids=["info", "warning"])
@pytest.mark.parametrize("name", ODD)
def test_odd_value_is_written(name: str, *, warning: bool) -> None:
    """In one line of JSON, with the service, the level and the time that every line has."""
    value, shown = ODD[name]
    _, line = logged(value, warning=warning)
    assert line["value"] == shown
    assert (line["event"], line["service"], str(line["beside"])) == ("said", "test", "1")
    assert line["level"] == ("warning" if warning else "info")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", LONG)
def test_line_does_not_grow_with_what_is_sent(name: str) -> None:
    """A megabyte is cut, in whatever form it comes."""
    text, line = logged(LONG[name])
    assert len(text) < 5000
    assert line["value"].endswith("…")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/\x1b[2Ja", r"/\x1b[2Ja"),
        ("/\x9b31m", r"/\x9b31m"),
        ("a\r\nb [info] forged", r"a\r\nb [info] forged"),
        ("a\0\x07b", r"a\x00\x07b"),
        ("\u202etxt", r"\u202etxt"),
        ("\ud800", r"\ud800"),
        ("/müsli", "/müsli"),
    ],
)
def test_columns_command_no_terminal(value: str, shown: str) -> None:
    """What a caller sends, in a path for one, moves no cursor and begins no line; letters stay what they are."""
    stream = io.StringIO()
    logger = make_logger("test", "console", stream)
    logger.info("request", path=value)
    logger.info(value)
    first, second = stream.getvalue().splitlines()
    assert f"path={shown}" in first.replace("'", "").replace("\\\\", "\\")
    assert shown in second
    assert stream.getvalue().replace("\n", "").isprintable()


def test_traceback_in_columns_shows_no_variables() -> None:
    """A terminal is no place for the credentials that a function has at hand."""
    stream = io.StringIO()
    logger = make_logger("test", "console", stream)
    try:
        authenticate(secret="hunter2")
    except ValueError:
        logger.exception("failed")
    assert "ValueError: not this one" in stream.getvalue()
    assert "hunter2" not in stream.getvalue().replace('secret="hunter2"', "")


def test_traceback_with_an_odd_text_is_written() -> None:
    """The error is what one looks for."""
    stream = io.StringIO()
    logger = make_logger("test", "json", stream)
    try:
        fail()
    except ValueError:
        logger.exception("failed")
    assert "ValueError: \\ud800\\ud800" in json.loads(stream.getvalue())["exception"]
