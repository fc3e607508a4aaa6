"""The doctor leaves no trace: nothing is written, made, renamed or unlocked by a look, however many write meanwhile."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import contextmanager

import apsw
import pytest

import foreign_files
from holdfast.doctor.examining import examine
from homes import seen
from processes import children

LIMIT_MS = 60_000
WRITERS = 20

OPEN, CLOSE_READ, IS_FOLDER = 0x20, 0x10, 0x4000_0000
EVERYTHING_BUT_READS = 0xFFF & ~0x1

# One commit after another, as another program would, until it is told to stop; then it says how many there were.
WRITES = """
import select, sqlite3
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
c.execute("PRAGMA journal_mode = WAL")
c.execute("PRAGMA synchronous = OFF")
who, done = sys.argv[2], 0
say("open")
hear()
while not select.select([0], [], [], 0)[0]:
    c.execute("INSERT INTO mine (who, n) VALUES (?, ?)", (who, done))
    done += 1
hear()
say(done)
hear()
c.close()
"""


@contextmanager
def noting(folder):
    """Give a function that returns what the kernel saw happen to the files below ``folder``, but for reads."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    watched = {}
    for above, _, _ in os.walk(folder):
        watch = libc.inotify_add_watch(fd, os.fsencode(above), EVERYTHING_BUT_READS)
        assert watch >= 0
        watched[watch] = above

    def events():
        found = []
        while True:
            try:
                data = os.read(fd, 1 << 20)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                watch, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode(errors="replace")
                at += 16 + length
                found.append((mask & ~IS_FOLDER, os.path.join(watched.get(watch, "?"), name)))

    try:
        yield events
    finally:
        os.close(fd)


DEEP = pytest.mark.parametrize(
    "deep", [False, pytest.param(True, marks=pytest.mark.torture)], ids=["by default", "deep"]
)


@DEEP
def test_homes_that_nobody_uses_are_only_read(healthy_homes, deep):
    folder, made = healthy_homes
    before = seen(folder)
    with noting(folder) as events:
        report = examine([str(home.path) for home in made], deep=deep, limit_ms=LIMIT_MS)
        happened = events()
    assert seen(folder) == before
    assert len(report.targets) == len(made)
    assert happened, "it opened nothing"
    assert [
        event for event in happened if event[0] not in (OPEN, CLOSE_READ)
    ] == []  # none was even opened to be written


@DEEP
def test_twenty_who_write_lose_no_commit_no_file_and_no_lock(tmp_path, deep):
    files = []
    for name in ("state_5.sqlite", "logs_2.sqlite", "kanban.db", "bare.db"):
        path = tmp_path / name.split(".")[0] / name
        path.parent.mkdir()
        (path.parent / "config.toml").touch()
        connection = apsw.Connection(str(path))
        connection.execute(
            "PRAGMA journal_mode = WAL; CREATE TABLE mine (who, n); CREATE INDEX by_who ON mine (who)"
        ).fetchall()
        connection.close()
        files.append(path)
    with children("") as start:
        writers = [(start(WRITES, files[n % 4], n), files[n % 4]) for n in range(WRITERS)]
        for child, _ in writers:
            assert child.line() == "open"
            child.tell()
        before = {path: standing(path, writers) for path in files}
        with noting(tmp_path) as events:
            examine(
                [str(path if path.name == "bare.db" else path.parent) for path in files], deep=deep, limit_ms=LIMIT_MS
            )
            happened = events()
        assert {path: standing(path, writers) for path in files} == before
        made_or_gone = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
        assert [event for event in happened if event[0] & made_or_gone] == []
        said = {}
        for child, path in writers:
            child.tell("enough")
            said.setdefault(path, 0)
            said[path] += int(child.line())
        for child, _ in writers:
            child.tell("close")
            assert child.wait() == 0
    for path in files:
        connection = apsw.Connection(str(path))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM mine").fetchall() == [(said[path],)]
        connection.close()
        assert said[path] > 0


def standing(path, writers):
    """Return the files of a database by inode, and for each of its writers whether the kernel has its lock on the file.

    Their other locks come and go with each commit. The shared lock on the file, and the one on the index that
    tells it is in use, stay for as long as they have it open: who lost those would be taken for gone.
    """
    files, locks = foreign_files.seen(path)
    pids = {str(child.pid) for child, of in writers if of == path}
    inodes = {name: found[0] for name, found in files.items()}
    kept = {
        line.split()[3]
        for line in locks
        if line.split()[3] in pids and line.split()[4].endswith(f":{inodes[path.name]}")
    }
    of_index = [line.split() for line in locks if line.split()[4].endswith(f":{inodes[path.name + '-shm']}")]
    marks = {fields[3] for fields in of_index if fields[5:] == ["128", "128"]}
    assert kept == pids
    assert marks >= pids
    return inodes, kept
