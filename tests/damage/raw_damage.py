"""Damage that is seen from outside of a database: a function a row, with real files and real processes.

``start`` starts processes that can do what ``USES`` says; each ends with the test.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import apsw

from processes import Child

Start = Callable[..., Child]

# Another program, with the SQLite of its Python.
USES = """
import sqlite3, ctypes
def use(path):
    c = sqlite3.connect(path, isolation_level=None, timeout=30)
    c.execute("SELECT count(*) FROM t").fetchall()
    return c
def grow(c, mib):
    for _ in range(mib):
        c.execute("INSERT INTO t VALUES (zeroblob(1 << 20))")
def watch(path, mask):
    libc = ctypes.CDLL(None)
    fd = libc.inotify_init1(os.O_CLOEXEC)
    assert libc.inotify_add_watch(fd, os.fsencode(path), mask) > 0
    return fd
"""

ALL_EVENTS = 0xFFF


def database(path: Path, *, page_bytes: int = 4_096, wal: bool = True) -> Path:
    """Make a small sound database."""
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    connection.close()
    path.chmod(0o600)
    return path


def at_work(start: Start, path: Path) -> Child:
    """A process that has it open, and does nothing."""
    child = start("c = use(sys.argv[1]); c.execute('INSERT INTO t VALUES (2)'); pause('open')", path)
    assert child.line() == "open"
    return child


def growing(start: Start, path: Path, mib: int) -> Child:
    """A process that has it open, and grows its log by ``mib`` when it is told to, however often."""
    child = start(
        """
c = use(sys.argv[1])
c.execute("PRAGMA wal_autocheckpoint = 0")
say("open")
while hear():
    grow(c, int(sys.argv[2]))
    say("grown")
""",
        path,
        mib,
    )
    assert child.line() == "open"
    return child


def grow(child: Child) -> None:
    child.tell()
    assert child.line() == "grown"


# --- F03, F08 --------------------------------------------------------------------


def pin(start: Start, path: Path) -> Child:
    """A process whose read does not end."""
    child = start(
        "c = use(sys.argv[1]); c.execute('BEGIN'); c.execute('SELECT count(*) FROM t').fetchall(); pause('reads')", path
    )
    assert child.line() == "reads"
    return child


def high_water(start: Start, path: Path, mib: int = 66) -> Child:
    """A log that was large once, all of which is in the database."""
    child = start(
        """
c = use(sys.argv[1])
c.execute("BEGIN")
c.execute("INSERT INTO t VALUES (zeroblob(?))", (int(sys.argv[2]) << 20,))
c.execute("DELETE FROM t")
c.execute("COMMIT")
c.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
pause("copied")
""",
        path,
        mib,
    )
    assert child.line() == "copied"
    return child


def left_by_the_killed(start: Start, path: Path, mib: int = 66) -> None:
    """A log that nobody copied, since who wrote it was killed."""
    child = growing(start, path, mib)
    grow(child)
    child.kill()


def long_log(path: Path, live_bytes: int) -> None:
    """A log of so many frames that count, nearly all of it holes: heads of frames without their pages."""
    page_bytes = 65_536
    database(path, page_bytes=page_bytes)
    salts = b"saltsalt"
    with open(f"{path}-wal", "wb", buffering=0) as file:
        file.write(struct.pack(">4I", 0x377F0682, 3_007_000, page_bytes, 0) + salts + bytes(8))
        for number in range(live_bytes // (24 + page_bytes)):
            file.seek(32 + number * (24 + page_bytes))
            file.write(struct.pack(">II", 1, 1) + salts + bytes(8))
        file.truncate(file.tell() + page_bytes)


# --- F04, F13 --------------------------------------------------------------------


def delete_log(path: Path) -> None:
    """What the cron lines of the forums do."""
    os.unlink(f"{path}-wal")


def delete_all(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        os.unlink(f"{path}{ending}")


def second_log(start: Start, path: Path) -> tuple[Child, Child]:
    """Two processes that write one database through two logs."""
    old = at_work(start, path)
    for ending in ("-wal", "-shm"):
        os.unlink(f"{path}{ending}")
    new = at_work(start, path)
    return old, new


def lose_locks(start: Start, path: Path) -> Child:
    """A process that closed its own database past SQLite: fcntl(2), "advisory locking"."""
    child = start("c = use(sys.argv[1]); open(sys.argv[1]).close(); pause('lost')", path)
    assert child.line() == "lost"
    return child


def careless_beside_ours(start: Start, path: Path) -> Child:
    """The same in a process that uses holdfast, which has all its locks twice. No damage."""
    child = start(
        """
import holdfast
store = holdfast.open([], state_dir=os.path.dirname(sys.argv[1]), search=False)
open(sys.argv[1]).close()
pause("careless")
""",
        path,
    )
    assert child.line() == "careless"
    return child


def forked(start: Start, path: Path) -> Child:
    """A process with a child that has all its descriptors, and leaves them alone. No damage."""
    child = start(
        """
c = use(sys.argv[1])
if not os.fork():
    hear()
say("forked")
hear()
""",
        path,
    )
    assert child.line() == "forked"
    return child


def hard_link(path: Path) -> Path:
    other = path.with_name("other.db")
    other.hardlink_to(path)
    return other


def symlink(path: Path, folder: Path) -> Path:
    """The database moved to another folder, and a link left in its place."""
    folder.mkdir()
    path.rename(folder / path.name)
    path.symlink_to(folder / path.name)
    return folder / path.name


def link_sidecar(path: Path, folder: Path) -> None:
    """The log on another disk."""
    folder.mkdir()
    (folder / "wal").write_bytes(b"")
    Path(f"{path}-wal").symlink_to(folder / "wal")


# --- F07, F10 --------------------------------------------------------------------


def hold_write(start: Start, path: Path) -> Child:
    """A write transaction that waits for something else. Told to, it works, or commits and begins another."""
    child = start(
        """
c = use(sys.argv[1])
while True:
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO t VALUES (3)")
    say("holds")
    while hear() == "work":
        until = sum(os.times()[:2]) + 0.1
        while sum(os.times()[:2]) < until: pass
        say("worked")
    c.execute("COMMIT")
""",
        path,
    )
    assert child.line() == "holds"
    fall_asleep(child)
    return child


def fall_asleep(child: Child) -> None:
    """Wait until it waits for the next word."""
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        os.sched_yield()


# --- F02, F18 to F25 -------------------------------------------------------------


def watch(start: Start, path: Path, folder: str | Path, *, mask: int = ALL_EVENTS) -> Child:
    """A process that has the database open and watches a folder. Told to, it grows the log by 2 MiB."""
    child = start(
        """
c = use(sys.argv[1])
watch(sys.argv[2], int(sys.argv[3]))
c.execute("PRAGMA wal_autocheckpoint = 0")
say("watches")
while hear():
    grow(c, 2)
    say("grown")
""",
        path,
        folder,
        mask,
    )
    assert child.line() == "watches"
    return child


def only_watch(start: Start, folder: Path) -> Child:
    """Another program that watches, and has nothing to do with databases."""
    child = start("watch(sys.argv[1], 0xFFF); pause('watches')", folder)
    assert child.line() == "watches"
    return child


def leak(start: Start, path: Path, count: int = 120) -> Child:
    """Connections that are opened and never closed."""
    child = start("kept = [use(sys.argv[1]) for _ in range(int(sys.argv[2]))]; pause('leaks')", path, count)
    assert child.line() == "leaks"
    return child


def near_limit(start: Start, path: Path) -> Child:
    """A process with nearly as many descriptors as it may have."""
    child = start(
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
c = use(sys.argv[1])
kept = [os.dup(0) for _ in range(50)]
pause("full")
""",
        path,
    )
    assert child.line() == "full"
    return child


def spawn(start: Start, path: Path, count: int) -> Child:
    """A process with many children."""
    child = start(
        """
import signal
c = use(sys.argv[1])
for _ in range(int(sys.argv[2])):
    if not os.fork():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        signal.pause()
pause("many")
""",
        path,
        count,
    )
    assert child.line() == "many"
    return child


# --- F06, F28 --------------------------------------------------------------------


def fill(path: Path, size: int) -> None:
    """Give the file so many bytes on the disk."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)


CRON = {
    "find": "*/10 * * * * find ~/.codex -name '*.sqlite-wal' -size +50M -delete",
    "rm": "@hourly rm -f /home/me/.codex/logs_2.sqlite-wal",
    "exec": "0 * * * * root find / -name '*-shm' -exec rm {} \\;",
    "truncate": "5 4 * * * truncate -s 0 ~/.codex/state_5.sqlite-wal",
    "redirect": "5 4 * * * : > ~/.codex/state_5.sqlite-wal",
    "unit": "ExecStart=/bin/sh -c 'mv %h/.codex/logs_2.sqlite-wal /tmp'",
}
HARMLESS_CRON = (
    "*/10 * * * * holdfast doctor ~/.codex",
    "# 0 * * * * rm ~/.codex/logs_2.sqlite-wal",
    "0 * * * * ls -l ~/.codex/*.sqlite-wal >> ~/sizes.log 2>&1",
    "0 3 * * * sqlite3 ~/.codex/logs_2.sqlite 'PRAGMA wal_checkpoint(TRUNCATE)'",
    "0 3 * * * rm -f /tmp/old.log",
)
