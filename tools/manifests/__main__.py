"""Check the manifests for Kubernetes: by the published schemas, and against what the services and the image are.

Usage: python -m tools.manifests FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.manifests.checks import faults
from tools.manifests.kustomizations import ManifestError, build, roots


def main(arguments: list[str]) -> int:
    """Check every kustomization in the folder that is applied, and return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    # What this shell happens to have is no part of the manifests.
    for name in [name for name in os.environ if name.startswith(("AUTH_", "RESOURCE_"))]:
        del os.environ[name]
    try:
        found = [fault for folder in roots(Path(arguments[0])) for fault in faults(build(folder))]
    except ManifestError as error:
        found = [str(error)]
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
