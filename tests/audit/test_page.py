"""docs/audit.md tells every action and every reason that the code has, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from auth_service.audit import MAX_WAITING
from auth_service.queries.audit_reading import AuditEvent
from tests.audit.reasons import actions, reasons

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the one table under a heading, without its head."""
    section = re.split(r"\n##+ ", PAGE.split(f"# {heading}\n", 1)[1])[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return lines[2:]


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return [short or long for long, short in re.findall(r"`` (.+?) ``|`([^`]+)`", cell)]


def test_page_has_every_action() -> None:
    """Who filters by an action finds its name there."""
    told = [action for cells in rows("What is done") for action in quoted(cells[0])]
    assert len(told) == len(set(told))
    assert set(told) == actions()


def test_page_has_every_reason_under_its_error() -> None:
    """Who reads a reason in the log finds it there."""
    told = {quoted(reason)[0]: quoted(error)[0] for error, reason in rows("Why a token was refused")}
    assert told == reasons()


def test_page_has_every_field() -> None:
    """Those of the JSON lines and of the admin API."""
    told = [name for cells in rows("What an event holds") for name in quoted(cells[0])]
    assert set(told) == set(AuditEvent.__annotations__)


def test_page_tells_the_limit_of_memory() -> None:
    """How long an outage may last is reckoned by it."""
    assert f"{MAX_WAITING:,} events" in PAGE
