"""Write what is in requirements.lock as a CycloneDX bill of materials, for scanners and those who must file one.

What the services run on has the scope ``required``; what only builds, tests or documents them is ``excluded``, which a
scanner of what is running leaves out. The same lock gives the same bytes.

Usage: python tools/sbom.py FILE
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMA: Final = SchemaVersion.V1_6
SECTION: Final = re.compile(r"^# section: (\w+) ", re.MULTILINE)
NAME: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)
# The section of the lock that the image is made of, and no other.
RUNNING: Final = "server"


class SbomError(Exception):
    """The bill cannot be written; the text is a sentence for the terminal."""


def running(lock: str) -> set[str]:
    """Return the names of the packages that the services run on."""
    _, *parts = SECTION.split(lock)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return set(NAME.findall(sections[RUNNING]))


def bill(lock: Path) -> dict[str, Any]:
    """Return the bill of a lock. Raises ``SbomError``."""
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "requirements", str(lock)),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
        *("--output-format", "JSON", "--spec-version", SCHEMA.to_version(), "--output-reproducible"),
        "--no-validate",  # what it becomes below is validated
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SbomError(f"cyclonedx-py could not read {lock.name}:\n{done.stderr.strip()}")
    made: dict[str, Any] = json.loads(done.stdout)
    needed = running(lock.read_text(encoding="utf-8"))
    for component in made["components"]:
        component["scope"] = "required" if component["name"] in needed else "excluded"
        # The line of the lock, which says nothing more.
        del component["description"]
        for reference in component["externalReferences"]:
            # The hashes of what may be installed stand here. Where that is had from is the business of whoever installs
            # it: the lock names no place, and this is its name anywhere.
            reference.update(url=component["purl"], comment="the files of this version")
    return made


def checked(made: dict[str, Any]) -> str:
    """Return the text of a bill that the schema allows. Raises ``SbomError``."""
    text = json.dumps(made, indent=2, sort_keys=True) + "\n"
    fault = JsonStrictValidator(SCHEMA).validate_str(text)
    if fault is not None:
        raise SbomError(f"The bill is not as CycloneDX {SCHEMA.to_version()} wants it: {fault}")
    return text


def main(arguments: list[str]) -> int:
    """Write the bill and return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = checked(bill(ROOT / "requirements.lock"))
    except SbomError as error:
        print(error, file=sys.stderr)
        return 1
    Path(arguments[0]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
