"""Why a change is refused."""

from __future__ import annotations

from datetime import datetime


class AdministrationError(Exception):
    """The change is refused; the message is one sentence for the operator."""


class Invalid(AdministrationError):
    """The request cannot be meant: a malformed or impossible value."""


class NotFound(AdministrationError):
    """There is no such object."""


class Conflict(AdministrationError):
    """The state of things forbids it: a name is taken, a key is too young, a secret is in use."""


class TooEarly(Conflict):
    """It will be allowed, from the moment ``allowed_from`` on."""

    def __init__(self, sentence: str, allowed_from: datetime) -> None:
        """Keep the moment beside the sentence, which names it too."""
        super().__init__(sentence)
        self.allowed_from = allowed_from


class PreconditionFailed(AdministrationError):
    """The object was changed by somebody else since it was read (RFC 9110 §13.1.1)."""
