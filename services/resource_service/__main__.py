"""``python -m resource_service``: serve the protected documents."""

from resource_service.settings import ResourceSettings
from steelcut.service.process.serving import run

if __name__ == "__main__":
    run("resource_service", "resource_service.app:create_app", ResourceSettings)
