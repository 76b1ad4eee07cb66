"""Check what requirements.lock holds: each package by version and hash, here as locked, without known weaknesses.

The last is told by pip-audit, which asks the database of the package index, or the one that the arguments name. Where
no database answers, that is one sentence and no failure: a check that fails without a network is soon switched off.
What needs none always counts.

Usage: python tools/audit.py [--lock FILE] [arguments of pip-audit, as --vulnerability-service osv --osv-url …]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
PIN: Final = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; [^\\]+?)? \\$")
HASH: Final = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
SECONDS_OF_AN_ANSWER: Final = 10
SECONDS: Final = 600
UNANSWERED: Final = (
    "No database of known weaknesses answered here: the packages in the lock were not looked up."
)


def pins(lock: str) -> Mapping[str, set[str]]:
    """Return the locked versions of each package: more than one, where a marker chooses.

    Raises ``ValueError`` with the line that is neither a pin nor one of its hashes, or the pin that has none.
    """
    found: dict[str, set[str]] = {}
    unproved = ""
    for line in lock.splitlines():
        if HASH.match(line):
            unproved = ""
            continue
        if unproved:
            raise ValueError(f"requirements.lock: {unproved} has no hash.")
        if not line or line.startswith("#"):
            continue
        pin = PIN.match(line)
        if pin is None:
            raise ValueError(f"requirements.lock: this is no version with a hash: {line}")
        found.setdefault(pin["name"], set()).add(pin["version"])
        unproved = pin["name"]
    if unproved:
        raise ValueError(f"requirements.lock: {unproved} has no hash.")
    return found


def differing(locked: Mapping[str, set[str]]) -> Iterator[str]:
    """Return a sentence for each package that is here in another version than the locked one."""
    for name, versions in locked.items():
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if here not in versions:
            yield f"{name} is here as {here}, and locked as {' or '.join(sorted(versions))}: run `make clean env`."


def accepted() -> Mapping[str, str]:
    """Return the ids of the weaknesses that are known and harm nothing here, each with its reason."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ids: Mapping[str, str] = project["tool"]["steelcut"]["accepted-weaknesses"]
    return ids


def ask(requirements: str, arguments: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of each package, None when nobody answers it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requirements.txt")
        file.write_text(requirements, encoding="utf-8")
        command = [
            *(
                sys.executable,
                "-m",
                "pip_audit",
                "--requirement",
                str(file),
                "--disable-pip",
                "--require-hashes",
            ),
            *("--format", "json", "--progress-spinner", "off", "--timeout", str(SECONDS_OF_AN_ANSWER)),
            *(word for name in accepted() for word in ("--ignore-vuln", name)),
            *arguments,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            told = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):
            return None
    packages: list[dict[str, Any]] = told["dependencies"]
    return packages


def first_of(lock: str) -> str:
    """Return the first package of a lock, with its hashes."""
    begin = next(match for match in re.finditer(r"^[a-z].*$", lock, re.MULTILINE))
    rest = lock[begin.end() :]
    end = re.search(r"\n(?!    --hash)", rest)
    return begin.group() + (rest[: end.start()] if end else rest) + "\n"


def weaknesses(lock: str, arguments: Sequence[str]) -> list[str] | None:
    """Return a sentence for each known weakness, and print which packages are unknown; None when nobody answers."""
    # One package first: where there is no database, two hundred questions are one hundred and ninety-nine too many.
    one = ask(first_of(lock), arguments)
    if one is None or any("skip_reason" in package for package in one):
        return None
    told = ask(lock, arguments)
    if told is None:
        return None
    unknown = sorted(package["name"] for package in told if "skip_reason" in package)
    if unknown:
        print(f"The database of known weaknesses does not know {', '.join(unknown)}.")
    return [
        f"{package['name']} {package['version']} has a known weakness, {weakness['id']}: "
        + (
            f"corrected in {', '.join(weakness['fix_versions'])}."
            if weakness["fix_versions"]
            else "not corrected."
        )
        for package in told
        for weakness in package.get("vulns", ())
    ]


def main(arguments: list[str]) -> int:
    """Check and return the exit code."""
    file = ROOT / "requirements.lock"
    if arguments[:1] == ["--lock"]:
        file, arguments = Path(arguments[1]), arguments[2:]
    lock = file.read_text(encoding="utf-8")
    try:
        found = list(differing(pins(lock)))
    except ValueError as error:
        found = [str(error)]
    if not found:
        told = weaknesses(lock, arguments)
        if told is None:
            print(UNANSWERED)
        found = told or []
    sys.stderr.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
