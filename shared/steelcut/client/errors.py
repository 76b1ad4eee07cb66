"""What a caller is told when it gets no token or no document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steelcut.exchange import Answer, ClientError, UnexpectedAnswer, printable


class RequestRefused(ClientError):
    """The server said no, with an OAuth error (RFC 6749 §5.2, RFC 6750 §3).

    ``error`` is the code (``invalid_client``), ``description`` the server's sentence (may be empty), ``status`` the
    HTTP status, ``trace_id`` what a Steelcut server calls this request in its log (None elsewhere), ``url`` who said
    it, ``retry_after`` for how many seconds it asked to be left alone (None when it did not).
    """

    def __init__(
        self,
        url: str,
        status: int,
        error: str,
        description: str = "",
        trace_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.url = url
        self.status: int = status
        self.error = error
        self.description = description
        self.trace_id = trace_id
        self.retry_after = retry_after
        sentence = f"{url} refused the request ({status} {error})"
        trace = f" Trace id: {trace_id}" if trace_id else ""
        super().__init__(f"{sentence}: {description}{trace}" if description else f"{sentence}.{trace}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled by what it was made of, for pools of processes."""
        made_of = (self.url, self.status, self.error, self.description, self.trace_id, self.retry_after)
        return type(self), made_of


class SecretUnavailable(ClientError):
    """The client's secret could not be had at this moment: its file is gone, empty, or no text."""


def refusal(answer: Answer, challenge: Mapping[str, str]) -> ClientError:
    """Return what an ``answer`` other than 200 says, in its body or in the ``challenge`` of its header."""
    members: Mapping[str, Any] = {**(answer.json_object() or {}), **challenge}
    error, description = members.get("error"), members.get("error_description")
    if not isinstance(error, str):
        return UnexpectedAnswer(
            f"{answer.url} answered with status {answer.status}, not with an OAuth error.",
            status=answer.status,
            retry_after=answer.retry_after,
        )
    trace_id = answer.headers.get("x-trace-id")
    return RequestRefused(
        answer.url,
        answer.status,
        printable(error),
        printable(description) if isinstance(description, str) else "",
        printable(trace_id) if trace_id else None,
        answer.retry_after,
    )
