"""Forged, broken and misdirected access tokens, each with the words that its reason in the log must hold."""

from __future__ import annotations

from tests.rfc.forgeries import claims, headers, segments, signatures, texts
from tests.rfc.forgeries.forger import Forger, Forgery

__all__ = ["Forger", "Forgery", "all_forgeries"]


def all_forgeries() -> dict[str, tuple[Forgery, str]]:
    """Return every forgery by name, with the words that the log must say of it."""
    table: dict[str, tuple[Forgery, str]] = {}
    for group in (headers, signatures, segments, texts, claims):
        for name, forgery, reason in group.rows():
            assert name not in table, name
            table[name] = (forgery, reason)
    return table
