"""The reasons for which the token endpoint refuses, and the actions that the log knows, as the code has them."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import auth_service
from auth_service import (
    client_authentication,
    form,
    grants,
    imported_secrets,
    key_ring,
    token_endpoint,
)
from steelcut.errors import OAuthError
from steelcut.service.database import postgres

# What `POST /token` goes through.
_PATH = (token_endpoint, form, client_authentication, grants, imported_secrets, key_ring, postgres)
_ACTION = re.compile(r"(client|secret|resource|key|token)\.[a-z]+")
# What stands for a value that differs each time.
GAP = "…"


def reasons() -> dict[str, str]:
    """Return the OAuth error of each reason, with ``GAP`` for what differs; without one it is the class's name."""
    found: dict[str, str] = {}
    for module in _PATH:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Raise | ast.Return):
                value = node.exc if isinstance(node, ast.Raise) else node.value
                found.update(_refusal(module, value))
    return found


def actions() -> set[str]:
    """Return every action that the service gives a name; those are texts of this form and nothing else is."""
    return {
        node.value
        for module in _modules(auth_service)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ACTION.fullmatch(node.value)
    }


def _refusal(module: ModuleType, value: ast.expr | None) -> Iterator[tuple[str, str]]:
    called = value.func if isinstance(value, ast.Call) else value
    kind = getattr(module, called.id, None) if isinstance(called, ast.Name) else None
    if isinstance(kind, type) and issubclass(kind, OAuthError):
        arguments = value.args if isinstance(value, ast.Call) else []
        yield (_text(arguments[0]) if arguments else kind.__name__), kind.error


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)  # type: ignore[misc]
    assert isinstance(node, ast.Constant), "a reason is a literal text"
    return str(node.value)


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not any(part in found.name for part in ("__main__", ".migrations", ".admin.")):
            yield import_module(found.name)
