"""``python -m auth_service``: serve the authorization server."""

import sys

EXIT_INTERRUPTED = 130

if __name__ == "__main__":
    # Ctrl-C while all is imported, or before the start can hear of it, is no fault to be traced.
    try:
        from auth_service.settings import AuthSettings
        from steelcut.service.process.serving import run

        run("auth_service", "auth_service.app:create_app", AuthSettings)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
