"""Findings, reports and neighbours for the tests of repairs: what every one of them needs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import reported
from reported import finding

from holdfast.doctor import applying, planning
from holdfast.doctor.model import Target
from holdfast.doctor.planning import Wishes
from processes import children


def report(path, *findings):
    return reported.report(Target(kind="sqlite", path=str(path)), *findings)


def sums(path):
    """The bytes of a database: what an undo gives back."""
    return {
        end: hashlib.sha256(Path(f"{path}{end}").read_bytes()).hexdigest()
        for end in ("", "-wal", "-journal")
        if os.path.exists(f"{path}{end}")
    }


ASK = """
import sqlite3
db = sqlite3.connect(sys.argv[1], timeout=0.1)
say(*(db.execute(each).fetchone()[0] for each in sys.argv[2:]))
db.close()
"""

READ = """
import sqlite3
db = sqlite3.connect(sys.argv[1], timeout=0.1)
try:
    said = db.execute("PRAGMA integrity_check(1)").fetchone() + db.execute("SELECT count(*) FROM logs").fetchone()
except sqlite3.Error as error:
    said = [error]
db.close()
say(*said)
"""


OWNER = """
import sqlite3
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
db.execute("SELECT count(*) FROM logs").fetchall()
say("open")
for line in iter(hear, "end"):
    try:
        say(db.execute(line).fetchall())
    except sqlite3.Error as error:
        say(error)
"""


def read_by_its_owner(start, path):
    """What a stock sqlite3 in another process says of it."""
    return start(READ, path).line()


@pytest.fixture
def start():
    with children("") as start:
        yield start


@pytest.fixture
def place(tmp_path):
    """Where a database is, and where the receipts are."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "logs_2.sqlite", str(tmp_path / "receipts")


@pytest.fixture
def mend(place):
    """Plan, keep the plan as a file, read it back and carry it out."""
    path, folder = place

    def mend(*repairs, live=False, on_progress=None, wishes=None, **details):
        found = [finding(path, each, **details) for each in repairs]
        planned = planning.plan(report(path, *found), folder, wishes or Wishes(live=live))
        planning.save(planned, str(path.parent / "plan.json"))
        return applying.apply(
            planning.load(str(path.parent / "plan.json")), live=live, receipts_folder=folder, on_progress=on_progress
        )

    return mend
