"""What an import did, client by client."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Outcome(enum.StrEnum):
    """What became of one client or resource."""

    TAKEN = "taken"
    # Here already, exactly so.
    UNCHANGED = "unchanged"
    # Here already by this very secret, and otherwise different: what an operator did here since stays.
    KEPT = "kept"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """One client or resource: where it stands in the source, and in ``notes`` what was changed or why it is refused."""

    place: str
    kind: str
    name: str
    outcome: Outcome
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was in the source. Nothing was written unless ``applied``."""

    source: str
    applied: bool
    lines: tuple[Line, ...]

    @property
    def refused(self) -> int:
        """How many were not taken."""
        return self.counts["refused"]

    @property
    def counts(self) -> dict[str, int]:
        """Clients and resources by outcome, and how many of the taken clients were changed on the way."""
        found = Counter(line.outcome.value for line in self.lines)
        changed = sum(
            1 for line in self.lines if line.outcome is Outcome.TAKEN and line.kind == "client" and line.notes
        )
        return {outcome.value: found[outcome.value] for outcome in Outcome} | {"changed": changed}

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "source": self.source,
            "applied": self.applied,
            "counts": self.counts,
            "lines": [
                {
                    "place": line.place,
                    "kind": line.kind,
                    "name": line.name,
                    "outcome": line.outcome.value,
                    "notes": list(line.notes),
                }
                for line in self.lines
            ],
        }


def worth_showing(lines: Iterable[Line]) -> list[Line]:
    """Return the lines that a person should read: refused first, then what was changed or differs."""
    order = (Outcome.REFUSED, Outcome.KEPT, Outcome.TAKEN)
    said = [line for line in lines if line.notes and line.outcome in order]
    return sorted(said, key=lambda line: order.index(line.outcome))
