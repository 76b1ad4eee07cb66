"""Where the manual would show a page otherwise than GitHub does: such a line is an error.

GitHub reads CommonMark, MkDocs reads the older Markdown: there, what belongs to an item of a list is indented by four
spaces, and a list has an empty line before it. Written so, a page looks the same in both.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this file, and have no MkDocs
    from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.lists")

FENCE = re.compile(r" *(`{3,}|~{3,})")
ITEM = re.compile(r" *([-*+]|\d+\.) ")
SHORT_INDENT = re.compile(r" {1,3}\S")


def prose(markdown: str) -> Iterator[tuple[int, str]]:
    """Return the numbered lines outside code; of code, only the line that opens it."""
    closing = ""
    for number, line in enumerate(markdown.splitlines(), 1):
        if closing:
            closing = "" if line.strip() == closing else closing
            continue
        if fence := FENCE.match(line):
            closing = fence[1]
        yield number, line


def faults(markdown: str) -> Iterator[str]:
    """Return a sentence for each line that the two would read differently."""
    before, before_number = "", 0
    for number, line in prose(markdown):
        after_empty = not before.strip() or number != before_number + 1
        item, fence = ITEM.match(line), FENCE.match(line)
        if SHORT_INDENT.match(line) and (item or fence or after_empty):
            yield f"line {number}: indent what belongs to an item of a list by four spaces"
        elif item and not after_empty and not before.startswith(" ") and not ITEM.match(before):
            yield f"line {number}: put an empty line before the list"
        before, before_number = line, number


def on_page_markdown(markdown: str, page: Page, **_: object) -> None:
    """Warn of each such line, which ends a strict build."""
    for fault in faults(markdown):
        log.warning("%s, %s", page.file.src_uri, fault)
