"""The manual names every page and every public name; whether its links lead somewhere, `make docs` says."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

import steelcut
from steelcut import testing
from tools.manual import lists, pages

DOCS = Path("docs")
NAV_ENTRY = re.compile(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", re.MULTILINE)
REFERENCE_ENTRY = re.compile(r"^::: steelcut\.([\w.]+)$", re.MULTILINE)


def test_every_page_is_in_the_navigation() -> None:
    """By its name or by a pattern; and the front pages are there too."""
    nav = NAV_ENTRY.findall(Path("mkdocs.yml").read_text())
    written = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    left_out = [
        page
        for page in [*written, *map(pages.page_of, pages.FRONT)]
        if not any(fnmatch(page, entry) for entry in nav)
    ]
    assert left_out == [], "add a line to nav in mkdocs.yml"


def test_every_guide_is_on_the_home_page() -> None:
    """Who reads the pages in the repository finds each from docs/README.md."""
    home = (DOCS / "README.md").read_text()
    written = {page.as_posix() for page in DOCS.rglob("*.md")}
    left_out = written - set(pages.targets("docs/README.md", home))
    assert left_out == {"docs/README.md"}, "add a line to docs/README.md"


def test_every_public_name_is_in_the_reference() -> None:
    """All that `import steelcut` and `import steelcut.testing` give, once, and nothing that is not there."""
    described = [
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in REFERENCE_ENTRY.findall(page.read_text())
    ]
    names = [*steelcut.__all__, *(f"testing.{name}" for name in testing.__all__)]
    modules = ["testing", "testing.pytest_plugin"]
    assert sorted(described) == sorted([*names, *modules]), "add or remove lines in docs/reference"


@pytest.mark.parametrize(
    ("page", "link", "in_the_manual"),
    [
        ("keys.md", "audit.md#reading-it", "audit.md#reading-it"),
        ("keys.md", "../SECURITY.md#how", "project/SECURITY.md#how"),
        ("keys.md", "../examples/node/client.mjs", "project/examples/node/client.mjs.md"),
        ("keys.md", "../benchmarks/", "project/benchmarks/README.md"),
        ("decisions/0008-one-lock.md", "../../README.md", "../project/README.md"),
        ("project/README.md", "docs/keys.md", "../keys.md"),
        ("project/README.md", "SECURITY.md", "SECURITY.md"),
        ("project/benchmarks/README.md", "../docs/keys.md", "../../keys.md"),
        ("keys.md", "nowhere.md", "nowhere.md"),
        ("keys.md", "https://example.com/x.md", "https://example.com/x.md"),
        ("keys.md", "#rotate", "#rotate"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_manual(
    page: str, link: str, in_the_manual: str
) -> None:
    """The same text works in both places."""
    assert pages.turned(f"See [it]({link}).", page) == f"See [it]({in_the_manual})."


def test_source_that_looks_like_a_link_is_left_alone() -> None:
    """What is shown as code is shown as it is."""
    source = "```md\n[it](../SECURITY.md)\n```\n"
    assert pages.turned(source, "keys.md") == source


@pytest.mark.parametrize(
    ("markdown", "line"),
    [
        ("1. one:\n\n   ```sh\n   ls\n   ```\n", 3),
        ("- one\n  - two\n", 2),
        ("- one\n\n  and more\n", 3),
        ("Some text:\n- one\n", 2),
        ("```sh\n- ls\n```\nSome text:\n* one\n", 5),
    ],
)
def test_what_github_and_the_manual_would_show_differently_is_found(markdown: str, line: int) -> None:
    """Items and what belongs to them, by the number of the line."""
    (fault,) = lists.faults(markdown)
    assert fault.startswith(f"line {line}: ")


@pytest.mark.parametrize(
    "markdown",
    [
        "Some text:\n\n- one\n- two\n  over two lines\n- three\n",
        "1. one:\n\n    ```sh\n    ls\n    ```\n\n    and more\n2. two\n",
        "- one\n    - two\n",
        "```text\n  1. step\n- none\n\n  more\n```\n",
    ],
)
def test_what_both_show_alike_is_left_alone(markdown: str) -> None:
    """Four spaces, an empty line before a list, and anything within code."""
    assert list(lists.faults(markdown)) == []
