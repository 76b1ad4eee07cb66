"""SECURITY.md claims nothing that no test shows: each row of its table names tests, and each of them is there."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
# A test of the file that was named before may be named without it.
NAMED = re.compile(r"`((?:tests/[\w/]+\.py)?)((?:::test_\w+)?)`")


@dataclass(frozen=True)
class Row:
    """One threat."""

    attacker: str
    attempt: str
    defence: str
    shown_by: str

    @property
    def tests(self) -> list[tuple[str, str]]:
        """The tests that it names, each as file and function."""
        found, file = [], ""
        for path, function in NAMED.findall(self.shown_by):
            file = path or file
            found.append((file, function.removeprefix("::")))
        return found


def rows() -> list[Row]:
    """Return the rows of the table of threats."""
    table = PAGE.split("\n| Attacker |")[1].split("\n\n")[0].splitlines()[2:]
    return [
        Row(*(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")))) for line in table
    ]


@cache
def functions_of(file: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.attacker}: {row.attempt}"[:70])
def test_row_is_whole_and_its_tests_are_there(row: Row) -> None:
    """By the names of functions: a file alone says nothing of what in it shows the row."""
    assert all((row.attacker, row.attempt, row.defence))
    assert row.tests, "name the test that shows it"
    for file, function in row.tests:
        assert file, f"{function}: of which file?"
        assert (ROOT / file).is_file(), file
        assert function, f"{file}: which of its tests?"
        assert function in functions_of(file), f"{file}::{function}"


def test_nothing_else_stands_in_the_last_column() -> None:
    """What is not a test shows nothing."""
    for row in rows():
        assert re.sub(r"[,;\s]", "", NAMED.sub("", row.shown_by)) == "", row.shown_by


def test_every_attacker_is_met_once() -> None:
    """Two rows of the same threat would drift apart."""
    attempts = [(row.attacker, row.attempt) for row in rows()]
    assert len(set(attempts)) == len(attempts)
