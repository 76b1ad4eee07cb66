"""Why something cannot begin."""


class Refusal(Exception):
    """The process refuses to start, or a database cannot be used; the message is a sentence that says what to do."""
