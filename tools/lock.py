"""Write or check requirements.lock: every version and hash, for every platform and Python that we support.

The lock has sections, so that each reader takes what it needs from the one file: the image is built from ``server``
and ``build``; `make run` needs no ``development``. No registry is named in it; pip asks whichever one the machine is
set up for, and the hashes say whether the answer is the right one.

Usage: python tools/lock.py write | upgrade | check
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"

HEADER = """\
# Every version and hash that Steelcut is run, built and checked with. Written by `make lock`; do not edit.
# A section ends where the next begins; a package stands in the first one that needs it.
# digest: {digest}
"""
SECTIONS = {
    "server": "what both services and the command line run on",
    "options": "what the image has beside it, to be turned on: Redis, traces",
    "embedded": "the PostgreSQL of `make run` and of the tests",
    "build": "what turns the source into a wheel",
    "development": "the tests and the checks",
    "manual": "what `make docs` builds the manual with",
    "peers": "other people's servers, for `make bench-peers`",
}
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==")


class LockError(Exception):
    """The lock cannot be written or is not current; the text is a sentence for the terminal."""


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def resolve(*inputs: str, constraints: str = "", preferred: str = "", stdin: str = "") -> str:
    """Return uv's resolution of ``inputs`` for every platform, staying with the versions in ``preferred``."""
    with tempfile.TemporaryDirectory() as folder:
        output, constraint_file = Path(folder, "output.txt"), Path(folder, "constraints.txt")
        output.write_text(preferred, encoding="utf-8")
        constraint_file.write_text(constraints, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", *inputs),
            *("--universal", "--python-version", project()["project"]["requires-python"].removeprefix(">=")),
            *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
            *("--system-certs", "--constraints", str(constraint_file), "--output-file", str(output)),
        ]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode:
            raise LockError(f"uv could not resolve pyproject.toml:\n{done.stderr.strip()}")
        return output.read_text(encoding="utf-8")


def entries(text: str) -> dict[str, str]:
    """Return the lines of each package; one that is pinned twice, by markers, has both pins in its text."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if match := PIN.match(line):
            name = match["name"]
        elif not line.startswith("    --hash="):
            continue
        found[name] = found.get(name, "") + line
    return found


def render(preferred: str) -> str:
    """Return the lock that pyproject.toml asks for today, staying with the pins of ``preferred``."""
    everything = resolve("pyproject.toml", "--all-extras", preferred=preferred)
    build_requires = "\n".join(project()["build-system"]["requires"])
    needed = {
        "server": resolve("pyproject.toml", "--extra", "server", constraints=everything),
        "options": resolve(
            *("pyproject.toml", "--extra", "server", "--extra", "redis", "--extra", "tracing"),
            constraints=everything,
        ),
        "embedded": resolve("pyproject.toml", "--extra", "embedded", constraints=everything),
        "build": resolve("-", constraints=everything, stdin=build_requires),
        "development": resolve("pyproject.toml", "--extra", "dev", constraints=everything),
        "manual": resolve("pyproject.toml", "--extra", "docs", constraints=everything),
        "peers": everything,
    }
    left = entries(everything)
    body = ""
    for section, purpose in SECTIONS.items():
        body += f"\n# section: {section} - {purpose}\n"
        body += "".join(left.pop(name) for name in entries(needed[section]) if name in left)
    return HEADER.format(digest=digest(body)) + body


def digest(body: str) -> str:
    """Return what ties a lock to its pyproject.toml: a change of either gives another one.

    Unlike resolving anew it needs no network, and a release of somebody else's does not change it.
    """
    declared = project()
    asked = [
        declared["build-system"]["requires"],
        *(declared["project"][key] for key in ("requires-python", "dependencies", "optional-dependencies")),
    ]
    return hashlib.sha256(f"{json.dumps(asked, sort_keys=True)}\n{body}".encode()).hexdigest()


def check() -> None:
    """Raise LockError unless the lock is the one that was written for this pyproject.toml."""
    lock = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    body = lock[lock.find("\n# section: ") :]
    if lock != HEADER.format(digest=digest(body)) + body:
        raise LockError("requirements.lock was not written for this pyproject.toml: run `make lock`.")


def main(arguments: list[str]) -> int:
    """Run one of the three commands and return the exit code."""
    try:
        match arguments:
            case ["check"]:
                check()
            case ["write"]:
                preferred = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
                LOCK.write_text(render(preferred), encoding="utf-8")
            case ["upgrade"]:
                LOCK.write_text(render(""), encoding="utf-8")
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
