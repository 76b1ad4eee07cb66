"""Where the ``steelcut`` command begins: says what to install when only the core library is there."""

import sys

EXIT_CONFIGURATION = 2
EXIT_INTERRUPTED = 130


def run() -> None:
    """Run the command line, or end with one sentence when the packages that it needs are not installed."""
    try:
        from steelcut_cli import main
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f"steelcut: the package {missing.name} is missing: the command needs `pip install 'steelcut[server]'`.\n"
        )
        sys.exit(EXIT_CONFIGURATION)
    except KeyboardInterrupt:
        # What is imported takes long enough for somebody to think better of it.
        sys.exit(EXIT_INTERRUPTED)
    main.run()


if __name__ == "__main__":
    run()
