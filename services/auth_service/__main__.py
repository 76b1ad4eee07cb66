"""``python -m auth_service``: serve the authorization server."""

from auth_service.settings import AuthSettings
from steelcut.service.process.serving import run

if __name__ == "__main__":
    run("auth_service", "auth_service.app:create_app", AuthSettings)
