"""Findings, reports and neighbours for the tests of repairs: what every one of them needs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from holdfast.doctor.model import Confidence, Finding, Report, Status, Target


def finding(path, repair, **details):
    return Finding(
        id=f"found-{repair}",
        status=Status.WARN,
        path=str(path),
        measured="",
        expected="",
        confidence=Confidence.CERTAIN,
        cause="",
        remedy="",
        repair=repair,
        details=details,
    )


def report(path, *findings):
    return Report(
        overall=Status.WARN,
        started_ms=0,
        duration_ms=0,
        deep=False,
        targets=(Target(kind="sqlite", path=str(path)),),
        findings=findings,
        cut=(),
        parts={},
    )


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
