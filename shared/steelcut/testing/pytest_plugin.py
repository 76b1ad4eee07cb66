"""The fixtures that pytest offers wherever Steelcut is installed.

Named as an entry point, so it is imported at every run of pytest there: it imports no more than it must.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from steelcut.testing.issuer import Issuer


@pytest.fixture
def steelcut_issuer_url() -> str:
    """Return the issuer that the tested code trusts; override this fixture to name your own."""
    return "https://issuer.example.com"


@pytest.fixture
def steelcut_issuer(steelcut_issuer_url: str) -> Iterator[Issuer]:
    """Run an authorization server at ``steelcut_issuer_url``, in this process, for one test."""
    from steelcut.testing.issuer import Issuer  # noqa: PLC0415 - see above

    with Issuer(steelcut_issuer_url) as issuer:
        yield issuer
