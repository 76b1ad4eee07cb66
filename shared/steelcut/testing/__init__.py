"""Test what Steelcut guards, and what calls with Steelcut, offline: no socket, no database, no server.

``Issuer`` is an authorization server inside the test's own process; with pytest, the fixture ``steelcut_issuer``
is one that is already trusted.
"""

from steelcut.testing.issuer import Issuer

__all__ = ["Issuer"]
