"""A change to files and rows, and its undoing, killed before every single call: it can be undone, and finished."""

from __future__ import annotations

import os
import shutil

import pytest

from holdfast import receipts
from holdfast.sqlite import foreign
from processes import children

NOON_NS = 1_795_262_400_000_000_000

# A process that forks once per kill: the child dies before its nth call, whatever that is.
CODE = """
from itertools import count
from holdfast import receipts
from holdfast.changes import Append, Move, Plan, Remove, Rewrite, Row, Rows, Seen
from holdfast.sqlite import foreign

place, kept, what = sys.argv[1:]
CALLS = "open link unlink rename write ftruncate utime fsync mkdir rmdir".split()

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
    foreign._set = before(foreign._set)  # in the transaction, between two rows

def seen(path):
    return Seen.of(path, os.lstat(path) if os.path.lexists(path) else None)

def plan():
    changes = (
        Move(f"{place}/a/moved", f"{place}/b/2026/moved", 1795262999000000000),
        Remove(f"{place}/a/removed"),
        Append(f"{place}/a/longer", b"more\\n"),
        Append(f"{place}/new", b"first\\n", shared=True),
        Rewrite(f"{place}/names", b"two\\n", shared=True),
        Rows(f"{place}/theirs.db", (
            Row("t", {"id": 1}, {"n": 1, "at": 5}, {"n": 2, "at": 6}, ("at",)),
            Row("t", {"id": 2}, {"id": 2, "n": None, "at": 9}, None),
            Row("t", {"id": 3}, None, {"id": 3, "n": 3, "at": 1}),
        )),
    )
    paths = ["a/moved", "b/2026/moved", "a/removed", "a/longer", "new", "names"]
    return Plan("change it all", place, (), changes, tuple(seen(f"{place}/{path}") for path in paths))

for number in count(1):
    hear()  # the place is as before
    if what == "undo":
        receipts.carry_out(receipts.write(kept, plan()), foreign)
    pid = os.fork()
    if pid == 0:
        if what == "undo":
            (receipt,) = receipts.listing(kept)
            arm(number)
            receipts.undo(receipt, foreign)
        else:
            planned = plan()
            arm(number)
            receipts.carry_out(receipts.write(kept, planned), foreign)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, 9), status
    say("ended" if status == 0 else "killed")
"""


def make(place):
    shutil.rmtree(place, ignore_errors=True)
    (place / "a").mkdir(parents=True)
    for name, content in (("a/moved", "m"), ("a/removed", "r"), ("a/longer", "begun\n"), ("names", "one\ntwo\n")):
        (place / name).write_text(content)
        os.utime(place / name, ns=(NOON_NS, NOON_NS))
    shutil.copyfile(place.parent / "theirs.db", place / "theirs.db")


def looks(place):
    """Names, contents, times and modes: all that a person could miss."""
    return {
        str(path.relative_to(place)): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        if path.is_file()
        else None
        for path in sorted(place.rglob("*"))
        if "theirs.db" not in path.name
    } | {"rows": (rows(place),)}


def rows(place):
    with foreign.looking(f"{place}/theirs.db") as look:
        return [tuple(row.values()) for id in (1, 2, 3) for row in look.rows("t", {"id": id})]


def contents(place):
    return {name: found and found[0] for name, found in looks(place).items()}


AFTER = {
    "a": None,
    "a/longer": b"begun\nmore\n",
    "b": None,
    "b/2026": None,
    "b/2026/moved": b"m",
    "names": b"two\n",
    "new": b"first\n",
    "rows": [(1, 2, 6), (3, 3, 1)],
}

THEIRS = """
import sqlite3
db = sqlite3.connect(sys.argv[1])
db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, n, at);"
                 "INSERT INTO t VALUES (1, 1, 5), (2, NULL, 9);")
db.close()
"""


@pytest.fixture(autouse=True)
def theirs(tmp_path):
    """A database of another program, to be copied."""
    with children("") as start:
        start(THEIRS, tmp_path / "theirs.db").wait()


@pytest.fixture
def kills(tmp_path):
    """Yield after each kill, with everything as it was before it was begun; until nothing is left to kill."""
    place, kept = tmp_path / "place", tmp_path / "kept"

    def kills(what):
        with children("") as start:
            process = start(CODE, place, kept, what)
            for number in range(1, 1_000):
                make(place)
                shutil.rmtree(kept, ignore_errors=True)
                process.tell()
                ended = process.line()
                assert ended in ("killed", "ended")
                yield place, kept
                if ended == "ended":
                    assert number > 40
                    return

    return kills


def test_killed_anywhere_a_change_can_be_undone(kills, tmp_path):
    make(tmp_path / "fresh")
    before = looks(tmp_path / "fresh")
    for place, kept in kills("do"):
        found = receipts.listing(str(kept))
        if not found:
            assert looks(place) == before  # nothing is done before there is a receipt
        for receipt in found:
            assert receipts.undo(receipt, foreign).state == "undone"
            assert looks(place) == before
            assert receipts.undo(receipts.listing(str(kept))[0], foreign).state == "undone"


def test_killed_anywhere_a_change_can_be_finished(kills):
    for place, kept in kills("do"):
        for receipt in receipts.listing(str(kept)):
            # What is noted is what was done, but for the one step that was in hand.
            stand = receipts.standings(receipt, foreign)
            assert set(stand[: receipt.steps_done]) <= {"after"}
            assert set(stand[receipt.steps_done + 1 :]) <= {"before"}
            assert receipts.carry_out(receipt, foreign).state == "done"
            assert contents(place) == AFTER
            assert receipts.undo(receipt, foreign).state == "undone"


def test_an_undoing_killed_anywhere_can_be_done_again(kills, tmp_path):
    make(tmp_path / "fresh")
    before = looks(tmp_path / "fresh")
    for place, kept in kills("undo"):
        (receipt,) = receipts.listing(str(kept))
        assert receipts.undo(receipt, foreign).state == "undone"
        assert looks(place) == before
