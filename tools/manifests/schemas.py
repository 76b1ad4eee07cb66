"""Each object by the schemas that Kubernetes publishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

import kubernetes_validate

if TYPE_CHECKING:
    from tools.manifests.kustomizations import Built

# The oldest version that has all that we use (preStop.sleep); and the newest that there is a schema of.
OLDEST: Final = "1.30"


def misfits(built: Built) -> Iterator[str]:
    """Say in one sentence each what no Kubernetes would take."""
    for resource in built.resources:
        document = json.dumps(resource.document)
        for version in (OLDEST, kubernetes_validate.latest_version()):
            if misfit := _misfit(document, version):
                yield f"{resource}{misfit}"
                break


@cache  # a schema takes longer to read than all else, and one base may be in many overlays
def _misfit(document: str, version: str) -> str | None:
    try:
        kubernetes_validate.validate(json.loads(document), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f", at {'.'.join(map(str, error.path)) or 'the top'}: {error.message}."
    except (kubernetes_validate.SchemaNotFoundError, KeyError):
        return f": Kubernetes {version} knows no such kind."
    return None
