"""The auth service, but that it looks after its certificate all the time: ``python -m tests.hardening.renewing``."""

from __future__ import annotations

from auth_service.settings import AuthSettings
from steelcut.service.process import tls
from steelcut.service.process.serving import run

if __name__ == "__main__":
    tls.RENEWAL_SECONDS = 0.05  # type: ignore[misc] # a minute is too long for a test
    run("auth_service", "auth_service.app:create_app", AuthSettings)
