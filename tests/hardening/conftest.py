"""What the files on TLS share."""

from __future__ import annotations

import pytest

from tests.support.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the clients of a file trust."""
    return Authority.new(tmp_path_factory.mktemp("authority"))
