"""Fixtures: the real wrk, and one that only says what it was told to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.programs import NotToBeHadError, Program, find

# Notes where it was sent, and writes a result as the script's `done` would.
FEIGNED = """#!/bin/sh
for word in "$@"; do case "$word" in http*) url="$word" ;; esac; last="$word"; done
echo "$url $last" >> "{folder}/sent"
cat "{folder}/result.json" > "$WRK_RESULT"
"""
RESULT = (
    '{"requests": 500, "microseconds": 1000000, "bytes": 100000, "p50": 2000, "p99": 5000, "longest": 9000,'
    ' "errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}, "statuses": {"200": 500}}'
)


@pytest.fixture(scope="session")
def real_wrk() -> Program:
    """The program wrk: of this machine, or brought by the first run, which then takes seconds more."""
    try:
        return find("wrk")
    except NotToBeHadError as reason:
        pytest.skip(f"no wrk: {reason}")


@pytest.fixture
def feigned_wrk(tmp_path: Path) -> Program:
    """A program that loads nothing, and says that 500 requests were answered by 200 within a second."""
    program = tmp_path / "wrk"
    program.write_text(FEIGNED.format(folder=tmp_path), encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "result.json").write_text(RESULT, encoding="utf-8")
    return Program(program)
