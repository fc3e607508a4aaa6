"""Databases damaged on purpose, as agents leave them: made by a stock sqlite3 in a process that is then killed.

Each takes the path of a file that is not there, and leaves it as it would be found.
"""

from __future__ import annotations

import random
from pathlib import Path

from processes import Child

_OPEN = """
import sqlite3
path = sys.argv[1]
db = sqlite3.connect(path, isolation_level=None)
def run(*statements):
    for each in statements: db.execute(each).fetchall()
def logs(mode="WAL", vacuum=0, rows=3_000):
    run("PRAGMA page_size = 4096", f"PRAGMA auto_vacuum = {vacuum}", f"PRAGMA journal_mode = {mode}")
    run("PRAGMA wal_autocheckpoint = 0")
    run("CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, ts_nanos INTEGER NOT NULL, "
        "level TEXT NOT NULL, target TEXT NOT NULL, feedback_log_body TEXT, thread_id TEXT)",
        "CREATE INDEX logs_by_time ON logs (ts DESC, ts_nanos DESC, id DESC)", "CREATE TABLE made_by (version TEXT)",
        "INSERT INTO made_by VALUES ('0.169')", "PRAGMA user_version = 7", "PRAGMA application_id = 99")
    add(1, rows)
def add(first, rows):
    run("BEGIN")
    db.executemany("INSERT INTO logs VALUES (?, ?, 5, 'TRACE', 'codex', ?, 't')",
                   [(n, 1_780_000_000 + 60 * n, f"line {n} " * 30) for n in range(first, first + rows)])
    run("COMMIT")
"""


def _left(path: Path, code: str) -> Path:
    """Run ``code`` on a new database, and kill who did: its files stay as they are."""
    child = Child(_OPEN + code + "\nsay('made')\nhear()", path)
    try:
        assert child.line() == "made"
        child.kill()
    finally:
        child.end()
    return path


def high_water_log(path: Path) -> Path:
    """All of the log is in the database, and it was never cut (F03b)."""
    return _left(path, "logs(); add(5_000, 3_000); run('PRAGMA wal_checkpoint(PASSIVE)'); add(9_000, 10)")


def free_pages(path: Path, rows: int = 3_000) -> Path:
    """Nine of ten rows were deleted, which only the log knows (F05)."""
    return _left(path, f"logs(rows={rows}); run('PRAGMA wal_checkpoint(PASSIVE)', 'DELETE FROM logs WHERE id % 10')")


def free_pages_that_may_go(path: Path) -> Path:
    """The same in a file made with auto_vacuum = INCREMENTAL (F05)."""
    code = "logs(vacuum=2); run('DELETE FROM logs WHERE id % 10', 'PRAGMA wal_checkpoint(TRUNCATE)')"
    return _left(path, code)


def free_pages_without_log(path: Path, rows: int = 3_000) -> Path:
    """The same in a file with a rollback journal."""
    return _left(path, f"logs('DELETE', rows={rows}); run('DELETE FROM logs WHERE id % 10')")


def all_in_the_log_again(path: Path) -> Path:
    """Every row was written a second time, and the log is as long as the file."""
    return _left(path, "logs(); run('PRAGMA wal_checkpoint(PASSIVE)', 'UPDATE logs SET ts_nanos = 6')")


def logs_without_end(path: Path) -> Path:
    """Rows of half a year, and nothing ever goes (F06)."""
    return _left(path, "logs(); run('PRAGMA wal_checkpoint(PASSIVE)'); add(5_000, 50)")


def strange_trigger(path: Path) -> Path:
    """Somebody's trigger ignores every new row (F28)."""
    trigger = "CREATE TRIGGER block_log_inserts BEFORE INSERT ON logs BEGIN SELECT RAISE(IGNORE); END"
    return _left(path, f"logs(rows=50); run({trigger!r})")


def overwritten_pages(path: Path) -> Path:
    """Ten pages of other bytes; the log, which is whole, has newer rows (F14)."""
    _left(path, "logs(); run('PRAGMA wal_checkpoint(TRUNCATE)'); add(5_000, 20)")
    _overwrite(path, 10)
    return path


def overwritten_pages_without_log(path: Path) -> Path:
    """Ten pages of other bytes in a file with a rollback journal (F14)."""
    _overwrite(_left(path, "logs('DELETE')"), 10)
    return path


def broken_first_page(path: Path, rows: int = 3_000) -> Path:
    """The header is lost: SQLite says "file is not a database" (F14)."""
    _left(path, f"logs('DELETE', rows={rows})")
    with path.open("r+b") as file:
        file.write(b"\0" * 90)
    return path


def cut_short(path: Path) -> Path:
    """The last third is not there (F14)."""
    _left(path, "logs('DELETE')")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
    return path


def journal_left(path: Path, rows: int = 3_000) -> Path:
    """A writer was killed in its transaction: the file is changed, and a journal says how it was."""
    return _left(
        path,
        f"logs('DELETE', rows={rows}); run('DELETE FROM logs WHERE id % 10', 'PRAGMA cache_size = 5', 'BEGIN');"
        "run('UPDATE logs SET level = 1', 'DELETE FROM logs WHERE id < 2000', 'SELECT count(*) FROM logs')",
    )


def _overwrite(path: Path, count: int) -> None:
    rng = random.Random(f"overwritten {count}")
    pages = path.stat().st_size // 4_096
    with path.open("r+b") as file:
        for number in rng.sample(range(5, pages), count):
            file.seek(number * 4_096)
            file.write(rng.randbytes(4_096))
