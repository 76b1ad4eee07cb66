"""Statements by kind, processes with their descendants, and who runs on which core."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from benchmarks.consumption import busy_ticks, consumption, machine_cpu_seconds
from benchmarks.cores import Cores, divided, give_the_server_its_core
from benchmarks.statements import Statements
from benchmarks.table import Row

BURN = "import time\nwhile time.process_time() < 0.1: pass"


def test_statements_are_sorted_by_their_first_word() -> None:
    """Comments and case are passed over; COPY writes, what begins with WITH reads, transactions are the rest."""
    counted = Statements.of(
        [
            ("SELECT 1", 3, 3),
            ("\n  -- why\n /* how */ with a as (select 1) select * from a", 2, 2),
            ("copy audit_events FROM STDIN", 1, 500),
            ("INSERT INTO a VALUES ($1)", 4, 4),
            ("BEGIN", 5, 0),
            ("RESET ALL", 6, 0),
            ("(SELECT 1)", 7, 7),
        ]
    )
    assert counted == Statements(reads=5, writes=5, rest=18, rows_written=504)
    assert counted.since(Statements(reads=1, writes=1, rest=1, rows_written=4)) == Statements(4, 4, 17, 500)


def test_what_ended_children_consumed_counts() -> None:
    """A worker that was replaced, or a connection's process that is gone, had its share."""
    before = consumption([os.getpid()]).cpu_seconds
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert consumption([os.getpid()]).cpu_seconds - before >= 0.08


def test_the_machine_consumes_what_any_process_does() -> None:
    """Of which what is known is taken away, and strangers remain."""
    before = machine_cpu_seconds()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert machine_cpu_seconds() - before >= 0.08


def test_interrupts_are_consumption() -> None:
    """Loopback's are counted to the processes that they interrupt, so they must not be missing of the whole."""
    # user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice (proc_stat(5)).
    assert busy_ticks("cpu  1 20 300 7 7 4000 50000 600000 7 7\ncpu0 9 9\n") == 654_321


def test_a_descendant_counts_once() -> None:
    """A process that is named, and descends from another that is named, is one."""
    with subprocess.Popen(["sleep", "60"]) as child:
        both = consumption([os.getpid(), child.pid])
        assert consumption([child.pid]).resident_bytes > 0
        assert both.resident_bytes < consumption([os.getpid()]).resident_bytes + 10_000_000
        assert consumption([os.getpid()]).resident_bytes > consumption([child.pid]).resident_bytes
        child.kill()
    assert consumption([child.pid]) == consumption([])


def test_the_server_has_its_core_to_itself() -> None:
    """Who measures keeps off it within the block, and has all cores again after it."""
    cores = Cores.of_this_machine()
    if cores is None:
        pytest.skip("one core")
    before = os.sched_getaffinity(0)
    with divided() as division:
        assert division == cores
        assert os.sched_getaffinity(0) == cores.others
        with subprocess.Popen(["sleep", "60"]) as child:
            give_the_server_its_core(cores, [child.pid])
            assert os.sched_getaffinity(child.pid) == {cores.server}
            child.kill()
    assert os.sched_getaffinity(0) == before
    assert cores.server not in cores.others


@pytest.mark.parametrize(
    ("row", "target"),
    [
        (Row("", "", 2.0, "×", at_most=3.0), "at most 3 ×: met"),
        (Row("", "", 3.5, "×", at_most=3.0), "at most 3 ×: MISSED"),
        (Row("", "", 0.8, "×", at_least=0.75), "at least 0.75 ×: met"),
        (Row("", "", 0.7, at_least=0.75), "at least 0.75: MISSED"),
        (Row("", "", 0.7), ""),
        (Row("", "", 0.74, at_least=0.75, give_or_take=0.01), "at least 0.75, give or take 0.01: met"),
        (Row("", "", 0.73, at_least=0.75, give_or_take=0.01), "at least 0.75, give or take 0.01: MISSED"),
        (Row("", "", 3.1, "×", at_most=3.0, give_or_take=0.2), "at most 3 ×, give or take 0.2: met"),
        (Row("", "", 3.3, "×", at_most=3.0, give_or_take=0.2), "at most 3 ×, give or take 0.2: MISSED"),
        (Row("", "", math.nan, "×", at_most=3.0), "at most 3 ×: MISSED"),
        (Row("", "", math.nan, "×", at_least=0.75), "at least 0.75 ×: MISSED"),
    ],
    ids=[
        *("below-most", "above-most", "above-least", "below-least", "none"),
        *("within-least", "below-least-and-more", "within-most", "above-most-and-more"),
        *("no-number-above", "no-number-below"),
    ],
)
def test_a_missed_target_is_said(row: Row, target: str) -> None:
    """In capitals, so that nobody overlooks it."""
    assert (row.target, row.missed) == (target, "MISSED" in target)
