"""The decision of a process not to start."""


class Refusal(Exception):
    """The process refuses to start; the message is one sentence that says what to do."""
