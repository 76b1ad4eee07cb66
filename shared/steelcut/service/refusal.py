"""Why something cannot begin, or goes on with less than all."""


class Refusal(Exception):
    """The process refuses to start, or a database cannot be used; the message is a sentence that says what to do."""


class Hindered(str):
    """What is wrong, where the process can do part of its work all the same: better than no process at all."""

    __slots__ = ()
