"""A service that tells what it has in its environment, run as the real ones are."""

from __future__ import annotations

import asyncio
import os
import sys

from fastapi import FastAPI

from auth_service.settings import AuthSettings
from resource_service.settings import ResourceSettings
from steelcut.service.process.serving import run
from steelcut.service.settings import ServingSettings


def create_app(settings: ServingSettings) -> FastAPI:
    """Make it of its settings, as the services are made."""
    app = FastAPI()

    @app.get("/readyz")
    async def environment() -> dict[str, object]:
        program = "import os; print(dict(os.environ))"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
        )
        inherited, _ = await child.communicate()
        return {
            "own": dict(os.environ),
            "inherited": inherited.decode(),
            "read": settings.model_dump()["database_url"].get_secret_value(),
        }

    return app


if __name__ == "__main__":
    settings_class = AuthSettings if "AUTH_PORT" in os.environ else ResourceSettings
    run("telling", "tests.hardening.telling:create_app", settings_class)
