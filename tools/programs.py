"""Find a program that tests or benchmarks need, or bring Debian's package of it: no root, nothing installed.

Usage: python tools/programs.py nginx | caddy | traefik | wrk | promtool | pgbouncer

Prints the path of the program. What the machine has already is taken as it is. Otherwise apt-get, with lists and a
cache of its own, brings the package and what it needs and the machine lacks; `make clean` takes it away again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECONDS: Final = 120
# Programs for administrators are not on everybody's PATH.
MORE_PLACES: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
VERSION_ARGUMENT: Final = {
    "nginx": "-v",
    "caddy": "version",
    "traefik": "version",
    "wrk": "-v",
    "promtool": "--version",
    "pgbouncer": "--version",
}
# Where Debian's package has another name than the program.
PACKAGE: Final = {"promtool": "prometheus"}
# wrk takes the question for a mistake: it answers, adds how it is used, and exits with 1.
VERSION_STATUS: Final = {"wrk": 1}
NOT_IN_DEBIAN: Final = ("traefik",)


class NotToBeHadError(Exception):
    """The program is not here and cannot be brought; the text is a sentence that says why."""


@dataclass(frozen=True)
class Program:
    """A program, and what must be added to the environment of its process."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """Return what it says of itself. Raises ``NotToBeHadError`` when it does not run."""
        command = [str(self.path), VERSION_ARGUMENT[self.path.name]]
        status = VERSION_STATUS.get(self.path.name, 0)
        done = _run(command, {**os.environ, **self.environment}, status)
        said = (done.stdout + done.stderr).strip()
        # What follows a failure is not about the version.
        return said.partition("\n")[0].strip() if status else said


def find(name: str, *, bring: bool = True) -> Program:
    """Return the program ``name``; with ``bring``, brought into this virtual environment if need be.

    Raises ``NotToBeHadError``.
    """
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *MORE_PLACES]))
    if path is not None:
        return Program(Path(path))
    if name in NOT_IN_DEBIAN:
        raise NotToBeHadError(f"{name} is not installed, and Debian has no package of it")
    if sys.prefix == sys.base_prefix:
        raise NotToBeHadError(
            f"{name} is not installed, and there is no virtual environment to bring it into"
        )
    root = Path(sys.prefix, "debian", name)
    try:
        if not root.is_dir():
            if not bring:
                raise NotToBeHadError(f"{name} is not here; `python tools/programs.py {name}` brings it")
            _bring_once(name, root)
    except OSError as fault:
        raise NotToBeHadError(f"{name} is not installed, and cannot be brought: {fault}") from None
    return _program(name, root)


def _bring_once(name: str, root: Path) -> None:
    """Bring it, unless another process of the same test run has done so meanwhile."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _bring(name, root)


def _bring(name: str, root: Path) -> None:
    """Unpack Debian's package of a program, and what it needs beyond this machine's packages, into ``root``."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotToBeHadError(f"{name} is not installed, and without {tool} it cannot be fetched")
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        lists, cache, unpacked = (Path(scratch, name) for name in ("lists", "cache", "unpacked"))
        for folder in (lists / "partial", cache / "archives" / "partial", unpacked):
            folder.mkdir(parents=True)
        options = {
            "Dir::State::lists": lists,
            "Dir::Cache": cache,
            "Debug::NoLocking": 1,  # nothing of the system's is written
            "APT::Sandbox::User": "root",  # no other user may write into our folders
            "Acquire::Retries": 0,
            "Acquire::http::Timeout": 5,
            "Acquire::https::Timeout": 5,
        }
        apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        _run([*apt, "update"])
        package = PACKAGE.get(name, name)
        _run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", package])
        for archive in sorted((cache / "archives").glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(unpacked)])
        _program(name, unpacked).version()
        # Whole or not at all, also when this process is ended in between.
        unpacked.rename(root)


def _program(name: str, root: Path) -> Program:
    for folder in ("usr/sbin", "usr/bin"):
        path = root / folder / name
        if path.is_file():
            libraries = os.pathsep.join(sorted({str(found.parent) for found in root.glob("**/lib*.so.*")}))
            return Program(path, {"LD_LIBRARY_PATH": libraries} if libraries else {})
    raise NotToBeHadError(f"the packages hold no program {name}")


def _run(
    command: list[str], environment: dict[str, str] | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            env=environment or {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )
        if done.returncode != status:
            done.check_returncode()
    except (OSError, subprocess.SubprocessError) as fault:
        lines = (getattr(fault, "stderr", None) or str(fault)).strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        raise NotToBeHadError(f"{Path(command[0]).name} failed, perhaps without a network: {said}") from None
    return done


def main() -> None:
    """Print the path of the program that the command line names."""
    if sys.argv[1:] not in ([name] for name in VERSION_ARGUMENT):
        sys.exit(str(__doc__).partition("\n\n")[2].partition("\n")[0])
    try:
        program = find(sys.argv[1])
        version = program.version()
    except NotToBeHadError as fault:
        sys.exit(f"{fault}.")
    print(program.path)
    print(version, file=sys.stderr)


if __name__ == "__main__":
    main()
