"""How many tokens were issued, to whom too often, and what the steps of it took."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from steelcut.service.telemetry.counting import Durations

if TYPE_CHECKING:
    from auth_service.grants import Grant

# Of so many grants it is known until when a token of theirs is young; the ones used longest ago leave.
GRANTS: Final = 20_000
# So many clients are counted by their ids, the others together under none: a label has its price.
CLIENTS: Final = 10_000

# The steps of one token in so many are put into the histograms: each costs as much as a step of its own.
SAMPLED: Final = 8


class TokenCounts:
    """Counts the tokens of one process, each as it is issued.

    ``early`` are those that were issued while one for the same client, audience and scopes had more than half of its
    life ahead: a client that keeps its tokens asks for none of them, but the first in each of its processes.
    """

    def __init__(self, *, by_client: bool) -> None:
        """Count by client, too, where that is asked for."""
        self.early = self.stale = self.over_quota = 0
        # By client: tokens, and those of them that were early.
        self.issued_to: Counter[str] | None = Counter() if by_client else None
        self.early_to: Counter[str] = Counter()
        self._number = 0
        # Of the steps of one token in SAMPLED.
        self.form_seconds = Durations()
        self.authenticate_seconds = Durations()
        self.sign_seconds = Durations()
        # By the hash of a grant, which is enough to count by: the Unix time until which its token is young.
        self._young_until: dict[int, float] = {}

    def issued(self, grant: Grant, now: float) -> None:
        """Count a token; ``now`` is Unix time in seconds."""
        young = self._young_until
        key = hash((grant.client_id, grant.audience, grant.scopes))
        early = now < young.get(key, 0.0)
        if early:
            self.early += 1
        else:
            # Taken out first, so that the oldest stand first.
            young.pop(key, None)
            if len(young) >= GRANTS:
                del young[next(iter(young))]
            young[key] = now + grant.lifetime_seconds / 2
        if self.issued_to is not None:
            self._count_client(self.issued_to, grant.client_id, early=early)

    def took(
        self, began: float, form_read: float, authenticated: float, granted: float, signed: float
    ) -> None:
        """Take the moments between the steps of a token, in seconds of ``time.perf_counter``."""
        if self._number % SAMPLED == 0:
            self.form_seconds.add(form_read - began)
            self.authenticate_seconds.add(authenticated - form_read)
            self.sign_seconds.add(signed - granted)
        self._number += 1

    def _count_client(self, issued_to: Counter[str], client_id: str, *, early: bool) -> None:
        name = client_id if client_id in issued_to or len(issued_to) < CLIENTS else ""
        issued_to[name] += 1
        self.early_to[name] += early
