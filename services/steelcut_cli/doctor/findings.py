"""What a check found, and how it is told."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rich.text import Text

from steelcut_cli import output


class State(enum.StrEnum):
    """How one check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red", State.NOT_CHECKED: "dim"}
_WIDTH = max(map(len, State))


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``found`` says what is so, ``advice`` what to do; both are sentences, and hold no secret."""

    check: str
    state: State
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """Say that nothing is to be done."""
    return Finding(check, State.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Say that it works, and may not tomorrow."""
    return Finding(check, State.WARNING, found, advice)


def failed(check: str, found: str, advice: str = "") -> Finding:
    """Say that it does not work."""
    return Finding(check, State.FAILED, found, advice)


def not_checked(check: str, found: str, advice: str = "") -> Finding:
    """Say that what it takes to check is not there."""
    return Finding(check, State.NOT_CHECKED, found, advice)


def unset(check: str, *variables: str) -> Finding:
    """Say which of ``variables`` to set, any one of them, so that ``check`` can be made."""
    if len(variables) == 1:
        return not_checked(check, f"{variables[0]} is not set.", "Set it to have this checked.")
    return not_checked(
        check, "What it takes is not set.", f"Set {' or '.join(variables)} to have this checked."
    )


def show(findings: Iterable[Finding], *, as_json: bool) -> list[Finding]:
    """Print each finding as soon as it is there, or all of them as JSON; return them."""
    shown = []
    for finding in findings:
        shown.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        output.json_document({**counts(shown), "findings": [asdict(finding) for finding in shown]})
    return shown


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each state, by names that JSON and people can read."""
    states = [finding.state for finding in findings]
    return {state.name.lower(): states.count(state) for state in State}


def _print(finding: Finding) -> None:
    said = f"{finding.check}: {finding.found} {finding.advice}".rstrip()
    line = Text.assemble((f"{finding.state:<{_WIDTH}}", _STYLES[finding.state]), "  ", output.cell(said))
    output.console().print(line)
