"""Where the programs come from that tests and benchmarks start: the machine, or Debian's packages without root."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.programs import NotToBeHadError, find

APT_GET = """#!/bin/sh
for word in "$@"; do
  case "$word" in
    -oDir::Cache=*) cache="${word#-oDir::Cache=}" ;;
    update) exit 0 ;;
    install) : > "$cache/archives/caddy.deb"; exit 0 ;;
  esac
done
"""
DPKG_DEB = """#!/bin/sh
/bin/mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\necho v2\\n' > "$3/usr/bin/caddy"
/bin/chmod +x "$3/usr/bin/caddy"
"""
OFFLINE = """#!/bin/sh
echo 'E: Unable to locate package caddy' >&2
exit 100
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has nothing but the programs that a test puts into this folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr("tools.programs.MORE_PLACES", ())
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    return programs


def put(folder: Path, name: str, text: str) -> None:
    """Put a program there."""
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def test_what_the_machine_has_is_taken_as_it_is(machine: Path) -> None:
    """Nothing is brought, and nothing made in the environment."""
    put(machine, "caddy", "#!/bin/sh\necho v1\n")
    assert find("caddy").path == machine / "caddy"
    assert not Path(sys.prefix).exists()


def test_debian_packages_are_brought_once(machine: Path) -> None:
    """The second time nothing is fetched; a failure leaves nothing behind that would be taken for the program."""
    put(machine, "dpkg-deb", DPKG_DEB)
    put(machine, "apt-get", OFFLINE)
    with pytest.raises(NotToBeHadError, match="perhaps without a network: E: Unable to locate"):
        find("caddy")
    put(machine, "apt-get", APT_GET)
    assert find("caddy").version() == "v2"
    put(machine, "apt-get", OFFLINE)
    assert find("caddy").version() == find("caddy", bring=False).version() == "v2"


def test_a_version_without_what_was_said_besides(machine: Path) -> None:
    """What wrk says of its use, since it takes the question for a mistake, is left out."""
    put(machine, "wrk", "#!/bin/sh\necho 'wrk 4.1.0'; echo 'Usage: wrk'; exit 1\n")
    assert find("wrk").version() == "wrk 4.1.0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("caddy", "without apt-get it cannot be fetched"), ("traefik", "Debian has no package")],
)
@pytest.mark.usefixtures("machine")
def test_why_there_is_none(name: str, reason: str) -> None:
    """On a machine without Debian's tools the sentence says so."""
    with pytest.raises(NotToBeHadError, match=reason):
        find(name)


@pytest.mark.usefixtures("machine")
def test_nothing_is_written_outside_of_a_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the system keeps its folders to itself."""
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(NotToBeHadError, match="no virtual environment"):
        find("caddy")
