"""What is locked, slow or out of reach is never called damage; what is damaged always is, by a deep look.

Locks are taken by other processes, byte by byte; files are written while they are looked at, and left by
processes that were killed.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
from pathlib import Path

import file_damage
import pytest
from asking import damage_in

from processes import children

SHORT_MS = 25
"""Of one look: what waits for a lock waits no longer."""

LOCKS = """
import fcntl, sqlite3, struct
BYTES = {"pending": (1 << 30, 1), "reserved": ((1 << 30) + 1, 1), "shared": ((1 << 30) + 2, 510), "all": (0, 0),
         "write": (120, 1), "checkpoint": (121, 1), "recover": (122, 1), "read0": (123, 1), "read1": (124, 1),
         "read2": (125, 1), "read3": (126, 1), "read4": (127, 1), "dead man": (128, 1)}
def lock(path, which):
    fd = os.open(path, os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, *BYTES[which], 0))
    return fd
def opened(path):
    c = sqlite3.connect(path, isolation_level=None, timeout=30)
    c.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    return c
"""

HOLDS = (
    LOCKS
    + """
while True:
    path, which = hear().split("|")
    fd = lock(path, which)
    say("held")
    hear()
    os.close(fd)
    say("free")
"""
)

KEEPS_OPEN = LOCKS + "c = opened(sys.argv[1]); say('open'); hear()"

IN_SQL = (
    LOCKS
    + """
c = opened(sys.argv[1])
for statement in sys.argv[2].split(";"): c.execute(statement).fetchall()
say("held")
hear()
"""
)

BUSY = (
    LOCKS
    + """
import select
c = opened(sys.argv[1])
for statement in sys.argv[2].split(";"): c.execute(statement).fetchall()
n = 0
while n < 3 or not select.select([0], [], [], 0)[0]:
    for statement in sys.argv[3].split(";"):
        try: c.execute(statement.replace("?", str(n))).fetchall()
        except sqlite3.OperationalError: pass  # no busy handler is asked when a mode is changed
    n += 1
    if n == 3: say("busy")
"""
)

KILLED = (
    LOCKS
    + """
c = opened(sys.argv[1])
c.execute("PRAGMA cache_size = 10")
c.execute("PRAGMA wal_autocheckpoint = 0")
c.execute("UPDATE notes SET size = size + 1")
c.execute("BEGIN")
c.execute("UPDATE notes SET body = randomblob(300)")
say("written")
hear()
"""
)

MODES = ("wal", "delete", "persist", "truncate")
DB_BYTES = ("pending", "reserved", "shared", "all")
SHM_BYTES = ("write", "checkpoint", "recover", "read0", "read1", "read2", "read3", "read4", "dead man", "all")
IN_TRANSACTION = (
    "BEGIN EXCLUSIVE",
    "BEGIN IMMEDIATE",
    "BEGIN;SELECT * FROM notes LIMIT 1",
    "PRAGMA locking_mode = EXCLUSIVE;BEGIN IMMEDIATE;COMMIT",
    "PRAGMA cache_size = 5;BEGIN;UPDATE notes SET body = randomblob(500)",
)
AT_WORK = {
    "commits": ("PRAGMA user_version", "UPDATE notes SET size = ? WHERE id % 50 = 0"),
    "grows and shrinks": ("PRAGMA user_version", "INSERT INTO gone SELECT ?, randomblob(2000) FROM notes LIMIT 200;"
                          "DELETE FROM gone;PRAGMA incremental_vacuum"),
    "checkpoints": ("PRAGMA synchronous = OFF", "UPDATE notes SET size = ? WHERE id % 9 = 0;"
                    "PRAGMA wal_checkpoint(TRUNCATE)"),
    "vacuums": ("PRAGMA synchronous = OFF", "VACUUM;UPDATE notes SET size = ? WHERE id < 9"),
    "changes its shape": ("PRAGMA synchronous = OFF", "CREATE TABLE t? (a);DROP TABLE t?"),
    "changes its mode": ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = DELETE;"
                         "UPDATE notes SET size = ? WHERE id < 9;"
                         "PRAGMA journal_mode = WAL;UPDATE notes SET size = ? WHERE id < 9"),
    "keeps all locks": ("PRAGMA locking_mode = EXCLUSIVE", "UPDATE notes SET size = ? WHERE id % 9 = 0"),
    "keeps all locks and checkpoints": ("PRAGMA locking_mode = EXCLUSIVE;PRAGMA synchronous = OFF",
                                        "UPDATE notes SET size = ? WHERE id % 9 = 0;PRAGMA wal_checkpoint(TRUNCATE)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file with nothing wrong, to copy."""
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    file_damage.whole(path)
    return path


@pytest.fixture
def start():
    with children("") as start:
        yield start


class Tried:
    """Looks, and counts. Whatever a look says, it must not be that the file is damaged."""

    def __init__(self) -> None:
        self.cases = 0

    def look(
        self, path: Path, what: str, *, deep: tuple[bool, ...] = (False, True), limit_ms: int = SHORT_MS
    ) -> set[str]:
        said = set()
        for each in deep:
            self.cases += 1
            found = said_of(path, deep=each, limit_ms=limit_ms)
            assert all(of.id != "malformed" for of in found), (what, each, found)
            said |= {of.id for of in found}
        return said


def said_of(path, *, deep, limit_ms):
    try:
        return damage_in(path, deep=deep, limit_ms=limit_ms)
    except Exception as error:
        assert type(error).__name__ == "UnreadError", error  # its time was over: the probe is cut
        assert error.unread.how != "corrupt", error
        return []


def copy(whole, where, mode, start):
    """Return a copy in this mode."""
    shutil.copy(whole, where)
    child = start(IN_SQL, where, f"PRAGMA journal_mode = {mode};UPDATE notes SET size = 0 WHERE id = 1")
    assert child.line() == "held"
    child.tell()
    assert child.wait() == 0
    return where


def test_what_others_keep_locked_is_never_called_damaged(whole, tmp_path, start):
    tried, said = Tried(), set()
    holder = start(HOLDS)
    for mode in MODES:
        path = copy(whole, tmp_path / f"{mode}.db", mode, start)
        states = [("idle", None), ("open", KEEPS_OPEN)] if mode == "wal" else [("idle", None)]
        for state, code in states:
            keeper = start(code, path) if code else None
            assert keeper is None or keeper.line() == "open"
            sides = [(path, name) for name in DB_BYTES]
            if keeper is not None:
                sides += [(f"{path}-shm", name) for name in SHM_BYTES]
            for side, name in sides:
                holder.tell(f"{side}|{name}")
                if holder.line() != "held":  # a keeper has some of these bytes itself
                    holder = start(HOLDS)
                    continue
                said |= tried.look(path, f"{mode}, {state}, {name} of {Path(side).name}")
                holder.tell()
                assert holder.line() == "free"
            if keeper is not None:
                keeper.tell()
                keeper.wait()
        for statements in IN_TRANSACTION:
            child = start(IN_SQL, path, statements)
            assert child.line() == "held"
            said |= tried.look(path, f"{mode}, {statements}")
            child.stop()
            said |= tried.look(path, f"{mode}, {statements}, stopped", deep=(False,))
            child.go_on()
            child.tell()
            assert child.wait() == 0
    assert said == {"database-locked"}
    assert tried.cases >= 100


def test_what_others_write_meanwhile_is_never_called_damaged(whole, tmp_path, start):
    tried = Tried()
    for name, (first, again) in AT_WORK.items():
        for mode in ("wal", "delete"):
            path = copy(whole, tmp_path / f"{name} {mode}.db", mode, start)
            child = start(BUSY, path, first, again)
            assert child.line() == "busy"
            for _ in range(3):
                tried.look(path, f"{name} in {mode}", deep=(False,), limit_ms=120)
            tried.look(path, f"{name} in {mode}", deep=(True,), limit_ms=120)
            child.tell()
            assert child.wait() == 0
    assert tried.cases >= 60


def test_what_was_left_by_the_killed_or_is_slow_or_out_of_reach_is_never_called_damaged(whole, tmp_path, start):
    tried = Tried()
    for mode in MODES:
        path = copy(whole, tmp_path / f"killed {mode}.db", mode, start)
        child = start(KILLED, path)
        assert child.line() == "written"
        child.kill()
        tried.look(path, f"killed in {mode}", limit_ms=2_000)
        if mode == "wal":
            os.unlink(f"{path}-shm")
            tried.look(path, "killed, and its index is gone", limit_ms=2_000)
    for limit_ms in (0, 1, 2, 3, 5, 8, 13, 21):
        tried.look(whole, f"{limit_ms} ms for all of it", limit_ms=limit_ms)
    for name, path in out_of_reach(tmp_path, whole):
        tried.look(path, name)
    assert tried.cases >= 30


def out_of_reach(folder, whole):
    """Yield names in the place of a database that lead to none which could be read."""
    os.mkfifo(folder / "pipe.db")
    yield "a pipe", folder / "pipe.db"
    (folder / "circle.db").symlink_to(folder / "circle.db")
    (folder / "circle.db-wal").touch()
    yield "a link to itself", folder / "circle.db"
    (folder / "nowhere.db").symlink_to(folder / "nothing")
    (folder / "nowhere.db-wal").touch()
    yield "a link to nothing", folder / "nowhere.db"
    (folder / "young.db").touch()
    yield "just made", folder / "young.db"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket.db"))
        yield "a socket", folder / "socket.db"
    yield "a device", Path("/dev/null")
    shutil.copy(whole, folder / "long.db")
    (folder / "linked.db").symlink_to(folder / "long.db")
    yield "a link", folder / "linked.db"


@pytest.mark.parametrize("deep", [False, True], ids=["by default", "deep"])
def test_what_is_damaged_is_called_so(whole, tmp_path, deep):
    missed = []
    for number, (name, damage) in enumerate(file_damage.PATTERNS.items()):
        path = tmp_path / f"{number}.db"
        shutil.copy(whole, path)
        file = file_damage.File(path)
        damage(file, random.Random(number))
        file.write()
        found = damage_in(path, deep=deep, limit_ms=20_000)
        if [each.id for each in found] != ["malformed"] or found[0].repair != "salvage":
            missed.append((name, found))
    assert missed == []
