"""What pages the manual has: those of docs/, and every other file of the repository that one of them links to.

A link like ``../SECURITY.md`` works where the page is read in the repository. So that it works in the manual too, the
file becomes a page of it under ``project/``, and the link is turned towards that page.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this file, and have no MkDocs
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent
# Pages of the manual though no page needs to link to them.
FRONT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
FENCED = re.compile(r"(^ *````?[^`\n]*\n.*?^ *````?$)", re.MULTILINE | re.DOTALL)
# A relative link in Markdown, with its fragment.
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[/#<])(?P<path>[^)\s#]+)(?P<fragment>#[^)\s]*)?(?=\))")
LANGUAGES = {".mjs": "js", ".yml": "yaml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put all its files in the place of a pattern in the navigation."""
    for part in config.nav:
        for title, entries in part.items():
            part[title] = [page for entry in entries for page in _expanded(entry)]
    return config


def _expanded(entry: str | dict[str, str]) -> list[str] | list[str | dict[str, str]]:
    if isinstance(entry, str) and "*" in entry:
        return sorted(file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").glob(entry))
    return [entry]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the front pages, and what they and the pages of docs/ link to, and what those link to."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - see above

    waiting = [*FRONT, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        content = shown(path)
        if not path.startswith("docs/"):
            files.append(File.generated(config, page_of(path), content=content))
        waiting += [target for target in targets(path, content) if not _is_picture(target)]
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page."""
    return turned(markdown, page.file.src_uri)


def turned(markdown: str, page: str) -> str:
    """Return the text of ``page`` with each link to a file of the repository turned to the page that shows it."""
    here = file_of(page)

    def turn(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match["path"]))
        # What leads nowhere stays as it is, for MkDocs to complain about.
        if not (ROOT / target).exists():
            return match[0]
        return posixpath.relpath(page_of(target), posixpath.dirname(page) or ".") + (match["fragment"] or "")

    return "".join(part if FENCED.match(part) else LINK.sub(turn, part) for part in FENCED.split(markdown))


def targets(path: str, markdown: str) -> Iterator[str]:
    """Name the files and folders of the repository to which the text of the file ``path`` links."""
    for match in LINK.finditer(FENCED.sub("", markdown)):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match["path"]))
        if (ROOT / target).exists():
            yield target


def page_of(path: str) -> str:
    """Return the page that shows a file or folder of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    return f"project/{path}" if path.endswith(".md") else f"project/{path}.md"


def file_of(page: str) -> str:
    """Return which file of the repository a page shows."""
    if not page.startswith("project/"):
        return f"docs/{page}"
    path = page.removeprefix("project/")
    return path if path.endswith("/README.md") or (ROOT / path).exists() else path.removesuffix(".md")


def shown(path: str) -> str:
    """Return the Markdown that shows a file or folder: its own, or a list, or the source."""
    file = ROOT / path
    if file.is_dir():
        if (file / "README.md").exists():
            return (file / "README.md").read_text(encoding="utf-8")
        names = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in file.iterdir())
        return f"# {path}\n\n" + "".join(
            f"- [{name}]({name})\n" for name in names if not name.startswith("_")
        )
    text = file.read_text(encoding="utf-8")
    language = LANGUAGES.get(file.suffix, file.suffix.removeprefix("."))
    if path.endswith(".md"):
        return text
    # Source has long lines, and no headings for a table of contents.
    return f"---\nhide: [navigation, toc]\n---\n\n# {path}\n\n````{language}\n{text}\n````\n"


def _is_picture(path: str) -> bool:
    return path.endswith((".svg", ".png"))
