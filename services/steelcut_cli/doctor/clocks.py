"""How far the clocks of a deployment are apart.

A resource server refuses a token that was issued in its future, and takes one for its leeway after it has ended: the
clocks of the two services must not differ by more (RFC 7519 §4.1.4 to §4.1.6).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from steelcut_cli.doctor.clock_reading import Reading
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, warning

if TYPE_CHECKING:
    from steelcut_cli.doctor.places import Views
    from steelcut_cli.doctor.services import Services

# With a leeway of next to nothing, half of it would be what any network does to a measurement.
SMALL_SECONDS: Final = 1.0


def read(views: Views, services: Services) -> dict[str, Reading]:
    """Return a reading of every clock that was seen, one for each database."""
    readings = {f"clock of the {door.service} database": view.clock for door, view in views.seen.items()}
    for name, heard in (("auth", services.auth), ("resource", services.resource)):
        if heard is not None and heard.clock is not None:
            readings[f"clock of the {name} service"] = heard.clock
    return readings


def check(readings: Mapping[str, Reading], leeway: float) -> Iterator[Finding]:
    """Judge each clock by the middle one of all, this machine's among them; ``leeway`` is in seconds.

    Of two nobody can say which is wrong; then ours counts as right.
    """
    if not readings:
        yield not_checked("clocks", "No database and no service could be asked for the time: see above.")
        return
    offsets = [0.0, *(reading.offset for reading in readings.values())]
    middle = 0.0
    if len(readings) > 1:
        middle = min(statistics.median_low(offsets), statistics.median_high(offsets), key=abs)
    for name, reading in readings.items():
        yield _judge(name, Reading(reading.offset - middle, reading.uncertainty), leeway)
    if _at_least(Reading(middle, 0)) > leeway:
        yield warning(
            "clock of this machine",
            f"It is {_apart(Reading(-middle, 0))} the others, which agree.",
            "Set it by NTP: what this command says of times is wrong by as much.",
        )


def _judge(name: str, reading: Reading, leeway: float) -> Finding:
    found = f"It is {_apart(reading)} the others; the leeway is {leeway:g} s."
    if _at_least(reading) > leeway:
        return failed(
            name,
            found,
            "Set it by NTP: tokens are refused as issued in the future, or live too long; keys change too early.",
        )
    if _at_least(reading) > leeway / 2 and _at_least(reading) > SMALL_SECONDS:
        return warning(name, found, "Set it by NTP, before it is more.")
    return ok(name, found)


def _at_least(reading: Reading) -> float:
    return max(abs(reading.offset) - reading.uncertainty, 0.0)


def _apart(reading: Reading) -> str:
    if _at_least(reading) == 0:
        return f"within {max(reading.uncertainty, 0.1):.1f} s of"
    return f"{abs(reading.offset):.1f} s {'ahead of' if reading.offset > 0 else 'behind'}"
