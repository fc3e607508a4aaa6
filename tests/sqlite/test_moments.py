"""A moment of a database that others write: all of it is of one time, and it holds nobody back for long."""

from __future__ import annotations

import time

import apsw
import pytest

from holdfast.sqlite.inspecting import Inspection
from holdfast.sqlite.unread import How, UnreadError
from processes import children

WRITES = """
import sqlite3
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
c.execute("PRAGMA wal_autocheckpoint = 0")
c.execute("INSERT INTO t VALUES (1)")
say("written")
while (said := hear()) != "enough":
    if said == "write": c.execute("INSERT INTO t VALUES (2)")
    else:
        while c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]: pass
    say("done")
"""


@pytest.fixture
def written(tmp_path):
    """A database that another process has open and writes when it is told to."""
    path = tmp_path / "t.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (a)").fetchall()
    connection.close()
    with children(WRITES) as start:
        child = start("", path)
        assert child.line() == "written"
        with Inspection(str(path), lambda: time.monotonic_ns() + 60_000_000_000) as inspection:
            yield inspection, child


def count(inspection):
    return inspection.number("SELECT count(*) FROM t")


def test_what_is_read_in_a_moment_is_of_one_time(written):
    inspection, child = written
    with inspection.moment():
        assert count(inspection) == 1
        child.tell("write")
        assert child.line() == "done"
        assert count(inspection) == 1
    assert count(inspection) == 2


def test_a_moment_ends_whatever_is_done_in_it(written):
    """The log can be reset while the block goes on: a probe that computes for long holds no writer back."""
    inspection, child = written
    with inspection.moment():
        assert count(inspection) == 1
        child.tell("reset")
        assert child.line() == "done"  # it tried until nobody read in it any more
        with pytest.raises(UnreadError) as raised:
            count(inspection)
        assert raised.value.unread.how is How.SLOW
    assert count(inspection) == 1
