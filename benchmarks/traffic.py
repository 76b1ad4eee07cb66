"""What wrk sends: scripts in Lua, made of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

# Stands in a header's value where each request has a line of its own.
LINE: Final = "<line>"
# All of one length, and more than there are connections: on none of them does one come twice in a row.
_NUMBERS: Final = range(10_000, 20_000)


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

    def numbered(self, folder: Path) -> Traffic:
        """Return the same requests, each with a number in a header that the one before it has not.

        So a server has to read each anew, where it may know again what comes again byte for byte. The file of the
        numbers is written into ``folder``.
        """
        file = folder / "numbers"
        file.write_text("\n".join(str(number) for number in _NUMBERS) + "\n", encoding="utf-8")
        return replace(self, headers={**self.headers, "Request-Number": LINE}, lines=file)

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
