"""Reading the metrics of a running service, as Prometheus does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client.parser import text_string_to_metric_families

from tests.support.plain_http import http_client

if TYPE_CHECKING:
    from tests.support.system import Log

SERVED = "metrics are served"


@dataclass(frozen=True)
class Scrape:
    """What was told at one moment: the text, and the values by name and labels."""

    text: str = field(repr=False)
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float] = field(repr=False)

    def value(self, name: str, **labels: str) -> float:
        """Return one value; 0 where nothing was told yet."""
        return self.values.get((name, frozenset(labels.items())), 0.0)

    def sum(self, name: str, **labels: str) -> float:
        """Return all values of a name that have ``labels``, and others."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.values.items() if found == name and wanted <= has)

    def since(self, before: Scrape) -> Scrape:
        """Return by how much each value has grown."""
        return Scrape(
            self.text, {key: value - before.values.get(key, 0.0) for key, value in self.values.items()}
        )

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.values}


def ports(log: Log) -> dict[str, int]:
    """Return the ports on which services said that their metrics are served, by the service."""
    lines = [orjson.loads(line) for line in log.text.splitlines() if SERVED in line]
    return {line["service"]: line["port"] for line in lines}


async def scrape(port: int) -> Scrape:
    """Read all metrics of a port."""
    async with http_client() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics")
    answer.raise_for_status()
    values: dict[Any, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            values[sample.name, frozenset(sample.labels.items())] = sample.value
    return Scrape(answer.text, values)
