"""Whether the replicas can count together what they limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from auth_service.limits.counters import PATIENCE_SECONDS, redis_answers
from steelcut.service.refusal import Refusal
from steelcut_cli.doctor.findings import Finding, ok, warning

if TYPE_CHECKING:
    from steelcut_cli.doctor.environment import Environment

NAME: Final = "limits"


def check(environment: Environment) -> Iterator[Finding]:
    """Ask the Redis of AUTH_LIMITS_URL; without one there is nothing to check."""
    url = environment.limits_url
    if url is None:
        return
    try:
        answers = asyncio.run(redis_answers(url.get_secret_value()))
    except Refusal as refusal:
        yield warning(NAME, str(refusal), "Until then the service does not start.")
        return
    if answers:
        yield ok(NAME, "Redis answers: all replicas count together.")
    else:
        yield warning(
            NAME,
            f"The Redis of AUTH_LIMITS_URL does not answer within {PATIENCE_SECONDS:g} s, or refuses its password.",
            "Each replica counts alone until it does: start it, or correct the URL.",
        )
