"""Docstrings as the reference shows them: the public names in them are links to where they are described."""

from __future__ import annotations

import re
from typing import Any

import griffe

# A name in backticks, also as a role of reStructuredText: ``Token``, :func:`request_token`, ``request_token()``.
NAME = re.compile(r"(?::[a-z]+:)?(?P<ticks>``?)~?(?P<name>[A-Za-z_][\w.]*)(?P<call>\(\))?(?P=ticks)(?!`)")


class PublicNames(griffe.Extension):  # type: ignore[misc] # mypy does not look into griffe: see pyproject.toml
    """Turns the names that ``import steelcut`` gives into cross-references of mkdocstrings."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the docstrings of the whole package, once all of it is known."""
        public = {
            name
            for name, member in pkg.members.items()
            if isinstance(member, griffe.Alias) and member.target_path.startswith(f"{pkg.name}.")
        }
        self._link(pkg, public)

    def _link(self, described: griffe.Object | griffe.Alias, public: set[str]) -> None:
        def linked(match: re.Match[str]) -> str:
            shown = f"`{match['name']}{match['call'] or ''}`"
            return f"[{shown}][steelcut.{match['name']}]" if match["name"] in public else shown

        if described.docstring:
            described.docstring.value = NAME.sub(linked, described.docstring.value)
        for member in described.members.values():
            if not member.is_alias:
                self._link(member, public)
