"""Who may pass: guards for FastAPI, for Starlette and plain ASGI, and for whatever else receives requests."""

from steelcut.guard.bearer import bearer_token as bearer_token
from steelcut.guard.core import Guard as Guard
from steelcut.guard.middleware import GuardMiddleware as GuardMiddleware
