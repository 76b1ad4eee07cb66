"""``python -m resource_service``: serve the protected documents."""

import sys

EXIT_INTERRUPTED = 130

if __name__ == "__main__":
    # Ctrl-C while all is imported, or before the start can hear of it, is no fault to be traced.
    try:
        from resource_service.settings import ResourceSettings
        from steelcut.service.process.serving import run

        run("resource_service", "resource_service.app:create_app", ResourceSettings)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
