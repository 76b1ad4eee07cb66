"""What the admin API refuses, as problem details (RFC 9457): one class for each kind a caller can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from auth_service.administration.errors import (
    AdministrationError,
    Conflict,
    NotFound,
    PreconditionFailed,
    TooEarly,
)
from steelcut.errors import OAuthError, TemporarilyUnavailable
from steelcut.service.http.asgi import NO_STORE, JSONBytes

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:steelcut:problem:"


class Problem(Exception):
    """A refused request. ``kind`` ends the URN of its ``type``; the detail is a sentence that says what to do."""

    kind: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the sentence, and the ``headers`` and ``members`` that belong to this answer."""
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})


class MalformedRequest(Problem):
    """Something before the content is wrong: the JSON, a header, the query."""

    kind, title = "malformed-request", "The request is malformed"


class Unauthorized(Problem):
    """No access token, or one that is not valid here (RFC 6750 §3.1)."""

    kind, title, status = "unauthorized", "A valid access token is needed", 401


class InsufficientScope(Problem):
    """The token does not carry the scope of this operation (RFC 6750 §3.1)."""

    kind, title, status = "insufficient-scope", "The access token does not grant what this needs", 403


class Escalation(Problem):
    """It would touch or hand out rights that the caller's token does not carry."""

    kind, title, status = "escalation", "Nobody gives or touches rights that they do not have", 403


class Missing(Problem):
    """There is no such object, or nothing at this path."""

    kind, title, status = "not-found", "Not found", 404


class WrongMethod(Problem):
    """The path does not take this method."""

    kind, title, status = "method-not-allowed", "The method is not allowed here", 405


class BodyTooSlow(Problem):
    """Not all of the body in time (RFC 9110 §15.5.9)."""

    kind, title, status = "body-too-slow", "The body did not come in time", 408


class Conflicting(Problem):
    """The state of things forbids it."""

    kind, title, status = "conflict", "The state of things forbids it", 409


class NotYet(Problem):
    """It will be allowed from ``allowed_from`` on."""

    kind, title, status = "too-early", "It is too early", 409


class AnswerSealed(Problem):
    """The stored answer lies under a master key that this process does not have."""

    kind, title, status = "answer-sealed", "The stored answer cannot be read any more", 409


class Changed(Problem):
    """The object is not at the version that If-Match names (RFC 9110 §13.1.1)."""

    kind, title, status = "precondition-failed", "It was changed meanwhile", 412


class BodyTooLarge(Problem):
    """More than 64 KiB."""

    kind, title, status = "body-too-large", "The body is too large", 413


class WrongMediaType(Problem):
    """The body is not said to be JSON."""

    kind, title, status = "unsupported-media-type", "The body is of another media type", 415


class InvalidContent(Problem):
    """The content is well-formed and cannot be meant."""

    kind, title, status = "invalid", "The request cannot be meant", 422


class KeyReused(Problem):
    """The Idempotency-Key was used for another request."""

    kind, title, status = "idempotency-key-reused", "The Idempotency-Key belongs to another request", 422


class PreconditionNeeded(Problem):
    """RFC 6585 §3: a change must say on which version it was decided."""

    kind, title, status = "precondition-required", "If-Match is needed", 428


class Unavailable(Problem):
    """The database does not answer; the request may be repeated as it is."""

    kind, title, status = "temporarily-unavailable", "Temporarily unavailable", 503


KINDS: Final = {problem.status: problem for problem in reversed(Problem.__subclasses__())}

_BY_ADMINISTRATION_ERROR: Final[Sequence[tuple[type[AdministrationError], type[Problem]]]] = (
    (NotFound, Missing),
    (PreconditionFailed, Changed),
    (Conflict, Conflicting),
)
# Two that waited for each other, one that may not write because a failover is not over.
_TRANSIENT: Final = (asyncpg.TransactionRollbackError, asyncpg.ReadOnlySQLTransactionError)


def problem_of(error: Exception, *, with_content: bool) -> Problem | None:
    """Return how ``error`` is answered, None for what nobody expected.

    ``with_content`` says that the request may have a body, where what cannot be meant most likely stands.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, AdministrationError):
        return _of_administration_error(error, with_content=with_content)
    if isinstance(error, _TRANSIENT):
        return _of_oauth_error(TemporarilyUnavailable(f"database: {type(error).__name__}"))
    if isinstance(error, OAuthError):
        return _of_oauth_error(error)
    return _of_http_exception(error) if isinstance(error, HTTPException) else None


def answer(request: Request, problem: Problem) -> Response:
    """Render ``problem`` (RFC 9457 §3), with the trace id by which the log knows the request."""
    fields = request.scope["log"]
    fields.update(error=problem.kind, reason=str(problem.__cause__ or problem.detail))
    body = {
        "type": TYPE_PREFIX + problem.kind,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "trace_id": fields["trace_id"],
        **problem.members,
    }
    headers = {**NO_STORE, **problem.headers, "Content-Type": MEDIA_TYPE}
    return JSONBytes(body, problem.status, headers)


def _of_oauth_error(error: OAuthError) -> Problem:
    kinds: Mapping[int, type[Problem]] = {401: Unauthorized, 403: InsufficientScope, 503: Unavailable}
    problem = kinds.get(error.status, MalformedRequest)(error.description, headers=error.headers())
    # The cause is for the log alone.
    problem.__cause__ = error
    return problem


def _of_administration_error(error: AdministrationError, *, with_content: bool) -> Problem:
    if isinstance(error, TooEarly):
        return _of_too_early(error)
    # What is none of the others is Invalid.
    otherwise = InvalidContent if with_content else MalformedRequest
    found = (problem for kind, problem in _BY_ADMINISTRATION_ERROR if isinstance(error, kind))
    return next(found, otherwise)(str(error))


def _of_too_early(error: TooEarly) -> Problem:
    wait = math.ceil((error.allowed_from - datetime.now(UTC)).total_seconds())
    allowed_from = error.allowed_from.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return NotYet(
        str(error), headers={"Retry-After": str(max(wait, 1))}, members={"allowed_from": allowed_from}
    )


def _of_http_exception(error: HTTPException) -> Problem:
    sentences: Mapping[int, tuple[type[Problem], str]] = {
        404: (Missing, "There is nothing at this path."),
        405: (WrongMethod, "This path does not take this method; the Allow header names those it takes."),
    }
    problem, sentence = sentences.get(error.status_code, (MalformedRequest, "The request cannot be served."))
    return problem(sentence, headers=error.headers)
