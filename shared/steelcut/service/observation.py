"""What an application tells whoever watches it. Where nobody does, nothing is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from steelcut.service.counting import Connections, Requests
from steelcut.service.refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Scope

    from steelcut.service.asgi import Application
    from steelcut.service.logs import Logger
    from steelcut.service.settings import ServingSettings
    from steelcut.service.tracing import RequestSpan


@dataclass(slots=True)
class Watch:
    """Who sees each request of an application."""

    requests: Requests = field(default_factory=Requests)
    # Begins the span of a request; None where there are no traces.
    begin_span: Callable[[Scope, dict[str, Any]], RequestSpan] | None = None


@contextmanager
def observed(
    app: Application, process: Any, settings: ServingSettings, log: Logger, *, service: str
) -> Iterator[None]:
    """Serve the metrics of ``app`` and send its traces while the block lasts, where that is wanted.

    The metrics of ``service`` are told by the function ``families`` of its module ``metrics``. Raises ``Refusal`` when
    their port is taken, or the library of the traces is not there.
    """
    with ExitStack() as stack:
        if settings.metrics_port is not None:
            metrics, module = import_module("steelcut.service.metrics"), import_module(f"{service}.metrics")
            connections = getattr(app.state, "connections", None) or Connections()
            stack.enter_context(
                metrics.exposed(
                    settings, service, lambda: module.families(process, app.watch.requests, connections), log
                )
            )
        if settings.tracing:
            app.watch.begin_span = stack.enter_context(_tracing().traced(service, log))
        yield


def _tracing() -> Any:
    try:
        return import_module("steelcut.service.tracing")
    except ImportError:
        raise Refusal(
            "Traces need a library that is not installed: pip install 'steelcut[tracing]'."
        ) from None
