"""Test what Steelcut guards, and what calls with Steelcut, offline: no socket, no database, no server.

``Issuer`` is an authorization server inside the test's own process; with pytest, the fixture ``steelcut_issuer``
is one that is already trusted.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelcut.testing.issuer import Issuer as Issuer

__all__ = ["Issuer"]

if not TYPE_CHECKING:  # to a type checker, another name is a mistake

    def __getattr__(name: str) -> Any:
        """Import ``Issuer`` when it is asked for (PEP 562): every run of pytest imports the plugin, and so this."""
        if name != "Issuer":
            raise AttributeError(f"module 'steelcut.testing' has no attribute {name!r}")
        from steelcut.testing.issuer import Issuer  # noqa: PLC0415 - see above

        return Issuer
