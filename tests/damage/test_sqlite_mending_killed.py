"""A repair of a database, and its undoing, killed before every single call: what is there then, and what becomes of it.

Whoever opens the database after the kill finds the old content, or the new one, or is told that it is none.
"""

from __future__ import annotations

import os
import shutil

import apsw
import pytest
import sqlite_damage as damage
from mending import finding, report, sums

from holdfast import receipts
from holdfast.doctor import holding, planning, undoing
from holdfast.errors import Refused
from processes import children

# A process that forks once per kill: the child dies before its nth call, whatever that is.
CODE = """
from itertools import count
import apsw
from holdfast import receipts
from holdfast.doctor import applying, holding, planning, undoing, replacing
from holdfast.sqlite import mending

plan, kept, what, room = sys.argv[1:]
CALLS = "open link unlink rename pwrite ftruncate utime fsync mkdir posix_fallocate".split()
if room == "none":  # for a log or a journal
    replacing._has_room = lambda path, size: False

# Whoever looks at every process makes thousands of calls in which nothing is changed.
holding.openers = lambda wanted, *, except_fds: ([], 0)

def arm(number):
    calls = count(1)
    def before(call):
        def counted(*args, **more):
            if next(calls) == number:
                os.kill(os.getpid(), 9)
            return call(*args, **more)
        return counted
    for name in CALLS:
        setattr(os, name, before(getattr(os, name)))
    for each in (File.xWrite, File.xTruncate, File.xSync):
        setattr(File, each.__name__, before(each))
    Files.xDelete = before(Files.xDelete)
    mending._VFS = "killing"
    return before(lambda *told: None)

# SQLite's own calls on the database, its log and its journal.
class File(apsw.VFSFile):
    def __init__(self, name, flags): super().__init__("unix-none", name, flags)
    def xWrite(self, *given): return super().xWrite(*given)
    def xTruncate(self, *given): return super().xTruncate(*given)
    def xSync(self, *given): return super().xSync(*given)

class Files(apsw.VFS):
    def __init__(self): super().__init__("killing", "unix-none")
    def xOpen(self, name, flags): return File(name, flags)
    def xDelete(self, *given): return super().xDelete(*given)

files = Files()

def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, 9), status
    return status

def apply(number):
    applying.apply(planning.load(plan), receipts_folder=kept, on_progress=arm(number) if number else None)

def undo(number):
    (receipt,) = receipts.listing(kept)
    hand = replacing.Hand
    tell = arm(number)
    replacing.Hand.__init__.__defaults__ = (None, tell)
    undoing.undo(receipt)

for number in count(1):
    hear()  # the place is as before
    if what == "undo":
        assert child(lambda: apply(0)) == 0
    say("ended" if child(lambda: (undo if what == "undo" else apply)(number)) == 0 else "killed")
"""

ROWS = 150


def found_by_an_opener(path, scratch):
    """What somebody finds who opens a copy of these files."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for end in ("", "-wal", "-journal"):
        if os.path.exists(f"{path}{end}"):
            shutil.copyfile(f"{path}{end}", f"{scratch}/db{end}")
    connection = apsw.Connection(f"{scratch}/db")
    try:
        assert connection.pragma("integrity_check") == "ok"
        return connection.pragma("page_count"), connection.execute("SELECT * FROM logs").fetchall()
    except apsw.NotADBError:
        return "no database"
    finally:
        connection.close()


KINDS = {
    "log": (damage.free_pages, "compact", "enough"),
    "journal": (damage.free_pages_without_log, "compact", "enough"),
    "journal-left": (damage.journal_left, "compact", "enough"),
    "no-room": (damage.free_pages, "compact", "none"),
    "no-header": (damage.broken_first_page, "salvage", "enough"),
}


ALL = pytest.mark.parametrize(
    "kills", [pytest.param(kind, marks=() if kind == "log" else pytest.mark.torture) for kind in KINDS], indirect=True
)
"""The other ways into a file take as long again: ``make torture``."""


@pytest.fixture
def kills(request, tmp_path, monkeypatch):
    """Yield what an opener finds after each kill, everything being as before it was begun; until none is left."""
    monkeypatch.setattr(holding, "openers", lambda wanted, *, except_fds: ([], 0))
    harm, repair, room = KINDS[request.param]
    path, kept, fresh = tmp_path / "home" / "logs.sqlite", str(tmp_path / "kept"), tmp_path / "fresh"
    (tmp_path / "home").mkdir()
    harm(path, ROWS)
    shutil.copytree(path.parent, fresh)

    def again():
        """Have the very files there again: a plan knows them by inode and time."""
        shutil.rmtree(kept, ignore_errors=True)
        for entry in sorted(path.parent.iterdir()):
            if not (fresh / entry.name).exists() and entry.name != "plan.json":
                entry.unlink()
        for entry in fresh.iterdir():
            with open(path.parent / entry.name, "r+b" if (path.parent / entry.name).exists() else "wb") as file:
                file.write(entry.read_bytes())
                file.truncate()
            shutil.copystat(entry, path.parent / entry.name)
        planning.save(planning.plan(report(path, finding(path, repair)), kept), str(path.parent / "plan.json"))

    def kills(what):
        with children("") as start:
            process = start(CODE, path.parent / "plan.json", kept, what, room)
            for number in range(1, 1_000):
                again()
                process.tell()
                ended = process.line()
                assert ended in ("killed", "ended")
                yield path, kept, found_by_an_opener(path, tmp_path / "scratch")
                if ended == "ended":
                    assert number > 15
                    return

    kills.old = found_by_an_opener(fresh / path.name, tmp_path / "scratch")
    kills.sums = sums(path)
    return kills


@ALL
def test_killed_anywhere_a_repair_can_be_undone(kills):
    seen = []
    for path, kept, found in kills("do"):
        seen.append(found)
        listed = receipts.listing(kept)
        if not listed:
            assert sums(path) == kills.sums  # nothing is done before there is a receipt
        for receipt in listed:
            assert undoing.undo(receipt).state == "undone"
            assert sums(path) == kills.sums
            assert undoing.undo(receipts.listing(kept)[0]).state == "undone"
    check_found(seen, kills.old)


@ALL
def test_killed_anywhere_a_repair_can_be_finished(kills, tmp_path):
    new = None
    for path, kept, found in kills("do"):
        new = found  # the last one is what an unkilled repair leaves
        for receipt in receipts.listing(kept):
            try:
                assert undoing.finish(receipt).state == "done"
            except Refused as why:  # then nothing was done, and there is no receipt of it
                assert "was not made yet" in str(why) and not receipts.listing(kept)
            else:
                finished = found_by_an_opener(path, tmp_path / "scratch")
                assert finished != kills.old and (len(finished[1]) in (ROWS, ROWS // 10))
                assert undoing.undo(receipts.listing(kept)[0]).state == "undone"
            assert sums(path) == kills.sums
    assert new != kills.old


@ALL
def test_an_undoing_killed_anywhere_can_be_done_again(kills):
    seen = []
    for path, kept, found in kills("undo"):
        seen.insert(0, found)
        (receipt,) = receipts.listing(kept)
        assert undoing.undo(receipt).state == "undone"
        assert sums(path) == kills.sums
    check_found(seen, kills.old)


def check_found(seen, old):
    """In the course of it the old content, then maybe none, then the new one; never anything else."""
    kinds = []
    for found in seen:
        if found not in kinds:
            kinds.append(found)
    assert len(kinds) <= 3 and kinds[0] == old
    assert [kind for kind in kinds if kind == "no database"] == kinds[1:2] or len(kinds) == 2
