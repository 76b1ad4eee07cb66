"""What wrk sends: scripts in Lua, made of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Stands in a header's value where each request has a line of its own.
LINE: Final = "<line>"


@dataclass(frozen=True)
class Traffic:
    """Requests of one kind, and the status that every answer must have.

    With ``lines``, a file, each request carries the next line of it where ``LINE`` stands in the value of a header;
    after the last comes the first. A load goes on where the one before it ended.
    """

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    lines: Path | None = None
    status: int = 200

    def script(self) -> str:
        """Return it as a script for wrk."""
        parts = [f"wrk.method = {quoted(self.method)}", f"wrk.path = {quoted(self.path)}"]
        parts += [f"wrk.headers[{quoted(name)}] = {quoted(value)}" for name, value in self.headers.items()]
        if self.body:
            parts.append(f"wrk.body = {quoted(self.body)}")
        if self.lines is not None:
            parts.append(_EACH.format(file=quoted(str(self.lines)), mark=quoted(LINE)))
        return "\n".join(parts) + "\n"


# What surrounds the line is formatted once: two joined strings are all that a request costs wrk.
_EACH: Final = """
local lines = {{}}
for line in io.lines({file}) do lines[#lines + 1] = line end
local position, head, tail

function init(arguments)
   -- One back: before it begins, wrk asks for a request that it only looks at.
   position = (tonumber(arguments[1]) - 1) % #lines
   local whole, mark = wrk.format(), {mark}
   local from, to = whole:find(mark, 1, true)
   head, tail = whole:sub(1, from - 1), whole:sub(to + 1)
end

function request()
   position = position % #lines + 1
   return head .. lines[position] .. tail
end
"""


def quoted(text: str) -> str:
    """Return ``text`` as a string of Lua."""
    return '"' + "".join(_escaped(octet) for octet in text.encode()) + '"'


def _escaped(octet: int) -> str:
    character = chr(octet)
    return (
        character
        if character.isascii() and character.isprintable() and character not in '"\\'
        else f"\\{octet:03d}"
    )


def form(
    method: str, path: str, content: str, headers: Mapping[str, str], lines: Path | None = None
) -> Traffic:
    """Return requests that carry a form."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return Traffic(path, method, {**headers, **kind}, content, lines)
