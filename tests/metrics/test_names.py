"""Every name is what the manual, the dashboard and the alert rules say, and as Prometheus wants names to be."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.metrics.scrape import Scrape, ports, scrape
from tests.support.databases import Templates
from tests.support.system import running_system
from tools.programs import NotToBeHadError, Program, find

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "steelcut.json"
NAME = re.compile(r"\bsteelcut_[a-z_]+\b")
# What the parts of a histogram are called.
PART = re.compile(r"_(?:bucket|count|sum)$")
TYPE = re.compile(r"^# TYPE (steelcut_\w+) (\w+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def promtool() -> Program:
    """Prometheus's own judge of names and rules."""
    try:
        return find("promtool")
    except NotToBeHadError as fault:
        pytest.skip(f"{fault}.")


@pytest.fixture(scope="module")
async def told(templates: Templates) -> list[Scrape]:
    """What both services tell, all that can be turned on turned on."""
    databases = await templates.clone()
    options: dict[str, Any] = {"metrics_port": 0, "metrics_by_client": True}
    async with running_system(
        databases, admin=True, resource_options={"metrics_port": 0}, **options
    ) as system:
        return [await scrape(port) for port in ports(system.log).values()]


def families(told: list[Scrape]) -> dict[str, str]:
    """Return the type of each family, by its name."""
    return {name: kind for each in told for name, kind in TYPE.findall(each.text)}


def judged(promtool: Program, text: str) -> subprocess.CompletedProcess[str]:
    """Ask promtool about what is told."""
    command = [str(promtool.path), "check", "metrics"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)


def expressions() -> str:
    """Return all that is asked of Prometheus by the dashboard and the rules, as text."""
    rules: Any = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    panels: Any = orjson.loads(DASHBOARD.read_bytes())["panels"]
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return "\n".join(asked)


async def test_manual_names_each(told: list[Scrape]) -> None:
    """Nothing is told that is not explained, and nothing explained that is not told."""
    explained = set(NAME.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")))
    assert {PART.sub("", name) for name in explained} == families(told).keys()


async def test_what_is_asked_for_is_told(told: list[Scrape]) -> None:
    """A panel of a metric that was renamed would be empty without a word."""
    known = families(told)
    asked = set(NAME.findall(expressions()))
    assert asked
    for name in asked:
        family = PART.sub("", name)
        assert known.get(name) or known.get(family) == "histogram", name


async def test_each_is_used_or_is_a_bound(told: list[Scrape]) -> None:
    """The dashboard leaves out what is asked for by hand alone, and nothing else."""
    by_hand = {name for name in families(told) if name.endswith("_max")} | {
        "steelcut_build_info",
        "steelcut_client_tokens_total",
        "steelcut_client_tokens_early_total",
        "steelcut_client_cache_size",
        "steelcut_document_cache_size",
        "steelcut_token_cache_size",
        "steelcut_imported_secrets_in_flight",
        "steelcut_documents_stale_total",
        "steelcut_issuer_keys_failed_fetches_total",
    }
    asked = {PART.sub("", name) for name in NAME.findall(expressions())}
    assert families(told).keys() - asked - by_hand == set()


async def test_names_and_units(told: list[Scrape], promtool: Program) -> None:
    """As `promtool check metrics` wants them."""
    for each in told:
        done = await asyncio.to_thread(judged, promtool, each.text)
        said = [line for line in (done.stdout + done.stderr).splitlines() if "steelcut_" in line]
        assert said == []


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "--lint=all", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=["config", "rules", "alerts"],
)
def test_rules(promtool: Program, command: tuple[str, ...]) -> None:
    """The configuration is read, the rules are, and each alert fires when it should and not when all is well."""
    done = subprocess.run(
        [promtool.path, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried() -> None:
    """A rule that no test names may never fire."""
    rules: Any = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    tried = (PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8")
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["alert"] in tried, rule["alert"]
            assert rule["annotations"].keys() == {"summary", "description"}
