"""What is made from the settings classes: a fresh `.env`, `.env.example`, the README's table."""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path

import pytest

from auth_service.settings import AuthSettings
from resource_service.settings import ResourceSettings
from steelcut.service.settings import ConfigurationError, load
from steelcut_cli import environment
from tests.cli import terminal

ROOT = Path(__file__).parents[2]


def _variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_fresh_env_is_complete_and_never_the_same() -> None:
    """Every password is of its own, every start of a system gets new ones."""
    first, second = (_variables(terminal.run("env").out) for _ in range(2))
    assert first.keys() == second.keys()
    secret = {name for name in first if first[name] != second[name]}
    passwords = {name for name in secret if name.endswith("_PASSWORD")}
    assert passwords == set(environment.PASSWORDS)
    assert len({first[name] for name in passwords}) == len(passwords)
    assert all(re.fullmatch(r"[0-9a-f]{48}", first[name]) for name in passwords)
    assert len(base64.b64decode(first["AUTH_MASTER_KEY"], validate=True)) == 32


@pytest.mark.parametrize("settings_class", [AuthSettings, ResourceSettings])
def test_fresh_env_starts_both_services(
    settings_class: type[AuthSettings | ResourceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable is left to be filled in by hand."""
    for name, value in terminal.environment(_variables(environment.fresh_env())).items():
        monkeypatch.setenv(name, value)
    assert load(settings_class).database_url


def test_env_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """A second run must not throw away the master key of the first."""
    file = tmp_path / ".env"
    made = terminal.run("env", "--output", str(file))
    assert (made.code, made.out) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    refused = terminal.run("env", "--output", str(file))
    assert refused.code == 1
    assert refused.sentence == f"{file} cannot be made: File exists."
    assert file.read_text() == before


def test_readme_holds_the_configuration_table() -> None:
    """`steelcut env --table` prints what stands between the markers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    between = readme.split("<!-- configuration:begin -->")[1].split("<!-- configuration:end -->")[0]
    assert between.strip() == terminal.run("env", "--table").out.strip()


def test_example_file_is_current() -> None:
    """`steelcut env --example > .env.example` writes it."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == terminal.run("env", "--example").out


def test_example_file_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A placeholder that somebody left in place is refused with the way to make a real one."""
    for name in [name for name in os.environ if name.startswith(terminal.OURS)]:
        monkeypatch.delenv(name)
    for name, value in _variables(environment.env_example()).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refusal:
        load(AuthSettings)
    assert [sentence.split(":")[0] for sentence in refusal.value.sentences] == [
        *("AUTH_MASTER_KEY", "AUTH_DATABASE_URL", "AUTH_ADMIN_DATABASE_URL")
    ]
    assert all("still the placeholder" in sentence for sentence in refusal.value.sentences)


def test_every_variable_is_described() -> None:
    """With a unit where there is one, and without a secret's value anywhere."""
    for variables in environment.sections().values():
        for variable in variables:
            assert variable.description, variable.name
            if variable.name.endswith("_SECONDS"):
                assert variable.description.endswith("in seconds"), variable.name


def test_two_outputs_at_once_are_refused() -> None:
    """One of them would be left out in silence."""
    assert terminal.run("env", "--example", "--table").sentence.startswith(
        "--example and --table are two outputs"
    )
