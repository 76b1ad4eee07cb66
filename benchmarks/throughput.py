"""The services beside bare applications, and one answer beside another: what is measured, with its targets."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks import population
from benchmarks.baselines import bare
from benchmarks.pairs import Bench, Comparison, Plan, Side, Subject, measure_in_turns
from benchmarks.steelcut_system import Steelcut, asking_as
from benchmarks.table import Row
from benchmarks.traffic import Traffic
from tests.support.system import DOCUMENT

if TYPE_CHECKING:
    from tests.support.system import Registered

# How many times its median the slowest of a hundred requests may take.
P99_OF_P50: Final = 3.0
# A client or a key that is read again now and then, as its age wants it, is no query per request.
SELDOM: Final = 0.01
# Two that ought to be equal: how closely a run must tell their ratio, and how many times as many pairs it takes for it.
TOLD_WITHIN: Final = 0.02
MORE_PAIRS: Final = 3
# What nobody judges is told closely enough by these; a run of half an hour has room for more rows instead.
PAIRS_WITHOUT_TARGET: Final = 3
KIB: Final = 1024


@dataclass(frozen=True)
class Measurement:
    """A subject of ours and what it is beside; each of these with its target, a ratio of requests per second.

    ``reads_per_request`` is the target for the queries that a request makes, ``bounded_p99`` whether there is one for
    p99; None and False where nothing is demanded. ``no_slower`` is for a ratio whose target lies where it ought to be:
    the target is missed when the ratio is lower by more than the run can err, or is not told to ``TOLD_WITHIN``.
    """

    subjects: Callable[[Steelcut], Sequence[Subject]]
    at_least: Sequence[float | None]
    reads_per_request: float | None = None
    bounded_p99: bool = False
    no_slower: bool = False

    def plan(self, plan: Plan) -> Plan:
        """Return how often and how long this one is measured, where ``plan`` is for most."""
        if self.no_slower:
            return replace(plan, pairs=plan.pairs * MORE_PAIRS)
        wanted = any(target is not None for target in self.at_least)
        return plan if wanted else replace(plan, pairs=min(plan.pairs, PAIRS_WITHOUT_TARGET))


@dataclass(frozen=True)
class Measured:
    """What came of a measurement, under its name."""

    name: str
    measurement: Measurement
    sides: Sequence[Side]

    @property
    def comparisons(self) -> Sequence[Comparison]:
        """Ours beside each of the others."""
        return [Comparison(self.sides[0], other) for other in self.sides[1:]]

    @property
    def strangers(self) -> float:
        """How many cores others kept busy, the median of all windows."""
        return statistics.median(window.strangers for side in self.sides for window in side.windows)

    def figures(self) -> dict[str, Any]:
        """Return all of it as JSON values; ``ratios`` of the first side to each other, of each pair of windows.

        What a ratio may be wrong by is among them where its target is judged by it, and None elsewhere.
        """
        pairs = zip(self.comparisons, self.measurement.at_least, strict=True)
        return {
            "sides": [side.figures() for side in self.sides],
            "ratios": [
                {
                    "beside": each.other.name,
                    "pairs": list(each.ratios),
                    "median": each.ratio,
                    "by_cpu": each.cpu_ratio,
                    "at_least": target,
                    "give_or_take": each.give_or_take if self.measurement.no_slower else None,
                    "missed": any(row.missed for row in self._of_ratio(each, target)),
                }
                for each, target in pairs
            ],
        }

    def rows(self) -> list[Row]:
        """Return the figures that have targets, or may have one."""
        ours = self.sides[0]
        rows = [
            row
            for each, target in zip(self.comparisons, self.measurement.at_least, strict=True)
            for row in self._of_ratio(each, target)
        ]
        p50, p99 = (ours.median(lambda window: window.load.p50), ours.median(lambda window: window.load.p99))
        bound = P99_OF_P50 if self.measurement.bounded_p99 else None
        rows.append(Row(ours.name, "p99 beside p50", p99 / p50, "×", at_most=bound))
        reads = ours.per_request(lambda statements: statements.reads)
        rows.append(Row(ours.name, "queries per request", reads, at_most=self.measurement.reads_per_request))
        return rows

    def _of_ratio(self, comparison: Comparison, target: float | None) -> list[Row]:
        """Return the ratio and, where it matters, how closely it is told."""
        name = self.sides[0].name
        ratio = Row(name, f"share of {comparison.other.name}", comparison.ratio, "×", at_least=target)
        if not self.measurement.no_slower:
            return [ratio]
        within = comparison.give_or_take
        return [
            replace(ratio, give_or_take=within),
            Row(name, "told to within", within, "×", at_most=TOLD_WITHIN),
        ]


def _tokens(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.token(), *_signing(steelcut.fleet.client)


def _tokens_numbered(steelcut: Steelcut) -> Sequence[Subject]:
    async def prepare() -> tuple[Mapping[str, Any], Traffic]:
        return {}, asking_as(steelcut.fleet.client).numbered(steelcut.folder)

    return steelcut.token_numbered(), bare("bare: PyJWT signs", "sign", prepare)


def _tokens_of_many(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.token_of_many(), *_signing(steelcut.fleet.client)


def _signing(client: Registered) -> Sequence[Subject]:
    async def prepare() -> tuple[Mapping[str, Any], Traffic]:
        return {}, asking_as(client)

    return bare("bare: PyJWT signs", "sign", prepare), bare(
        "bare: cryptography signs", "sign_directly", prepare
    )


def _document(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.document(), _constant(DOCUMENT.decode())


def _document_numbered(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.document_numbered(), _constant(DOCUMENT.decode(), Traffic("/").numbered(steelcut.folder))


def _document_by_new_tokens(steelcut: Steelcut) -> Sequence[Subject]:
    async def prepare() -> tuple[Mapping[str, Any], Traffic]:
        needs = {
            "jwk": await steelcut.public_key(),
            "issuer": steelcut.fleet.auth,
            "audience": steelcut.identifier,
            "body": DOCUMENT.decode(),
        }
        return needs, await steelcut.by_new_tokens()

    return (
        steelcut.document_by_new_tokens(),
        bare("bare: PyJWT verifies", "verify", prepare),
        bare("bare: cryptography verifies", "verify_directly", prepare),
    )


def _unchanged(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.document_unchanged(), steelcut.document()


def _forward_auth(steelcut: Steelcut) -> Sequence[Subject]:
    return steelcut.forward_auth(), _constant("{}")


def _of_size(size: int) -> Callable[[Steelcut], Sequence[Subject]]:
    body = population.document_of(size)
    return lambda steelcut: (steelcut.document_of(size), _constant(body))


def _constant(body: str, traffic: Traffic | None = None) -> Subject:
    async def prepare() -> tuple[Mapping[str, Any], Traffic]:
        return {"body": body}, traffic or Traffic("/")

    return bare("bare: constant answer", "constant", prepare)


MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "token": Measurement(_tokens, (0.75, None), reads_per_request=SELDOM, bounded_p99=True),
    "token-numbered": Measurement(_tokens_numbered, (None,)),
    "token-of-many": Measurement(_tokens_of_many, (0.40, None), reads_per_request=1 + SELDOM),
    "document": Measurement(_document, (0.45,)),
    "document-numbered": Measurement(_document_numbered, (None,)),
    "document-new-token": Measurement(_document_by_new_tokens, (0.80, None)),
    "document-304": Measurement(_unchanged, (1.0,), no_slower=True),
    "document-1k": Measurement(_of_size(KIB), (None,)),
    "document-100k": Measurement(_of_size(100 * KIB), (None,)),
    "document-1m": Measurement(_of_size(KIB * KIB), (None,)),
    "forward-auth": Measurement(_forward_auth, (None,)),
}


def duration(bench: Bench, names: Sequence[str]) -> float:
    """Return how long these measurements take, in seconds, without starting what they need."""
    measurements = [MEASUREMENTS[name] for name in names]
    return sum(each.plan(bench.plan).duration(1 + len(each.at_least)) for each in measurements)


async def measure(bench: Bench, steelcut: Steelcut, names: Sequence[str]) -> AsyncIterator[Measured]:
    """Measure these, one after the other. Raises ``LoadError`` when a request fails."""
    for name in names:
        measurement = MEASUREMENTS[name]
        of_its_own = replace(bench, plan=measurement.plan(bench.plan))
        yield Measured(name, measurement, await measure_in_turns(of_its_own, *measurement.subjects(steelcut)))
