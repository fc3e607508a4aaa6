"""Ctrl-C at every place where Python looks for signals: nothing stays taken, and the next write goes on."""

import fcntl
import itertools
import os
import struct
import sys

import pytest
from sqlite_helpers import INSERT, texts

from holdfast.sqlite import connect


def interrupted(work, at):
    """Raise KeyboardInterrupt at the ``at``-th place in our code; return whether there were so many.

    Python runs signal handlers at the start of a function and after a call of C. The
    starts of ``__exit__``, and of what it calls first for a read, are left out: nothing of ours can catch there.
    """
    places = itertools.count(1)

    def profile(frame, event, _arg):
        code = frame.f_code
        if event not in ("call", "c_return") or "holdfast/sqlite/" not in code.co_filename:
            return
        if (event == "call" and code.co_name in ("__exit__", "release", "put")) or next(places) != at:
            return
        sys.setprofile(None)
        raise KeyboardInterrupt

    sys.setprofile(profile)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def held(store, path, shm_fd):
    """What is still taken."""
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 120, 8, 0)
    found = struct.unpack("hhqqi4x", fcntl.fcntl(shm_fd, fcntl.F_OFD_GETLK, lock))
    left = [] if found[0] == fcntl.F_UNLCK else [f"bytes {found[2:4]} of the -shm"]
    with open(f"{path}.seat", "rb") as seat:
        try:
            fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left.append("the seat")
    if store._core.writer.in_transaction:
        left.append("the transaction")
    return left


def write(store, _path):
    with store.write(wait_ms=100) as tx:
        tx.run(INSERT, text="x")


def take_back(store, _path):
    with pytest.raises(ZeroDivisionError), store.write(wait_ms=100) as tx:
        tx.run(INSERT, text="x")
        raise ZeroDivisionError


def read(store, _path):
    texts(store)


def hold(_store, path):
    with connect(path, timeout=0.1) as conn:
        conn.execute("INSERT INTO notes (text) VALUES ('x')")


def autocommit(_store, path):
    with connect(path, timeout=0.1, isolation_level=None) as conn:
        conn.execute("INSERT INTO notes (text) VALUES ('x')")


def checkpoint(_store, path):
    with connect(path, timeout=0.1) as conn:
        conn.execute("PRAGMA wal_checkpoint")


@pytest.mark.parametrize("work", [write, take_back, read, hold, autocommit, checkpoint])
def test_ctrl_c_anywhere_leaves_nothing_taken(store, path, work):
    work(store, path)
    texts(store)
    shm_fd = os.open(f"{path}-shm", os.O_RDWR)  # closed only when no transaction is open: see the guard
    try:
        for at in itertools.count(1):
            if not interrupted(lambda: work(store, path), at):
                break
            assert (at, held(store, path, shm_fd)) == (at, [])
            write(store, path)
            texts(store)
    finally:
        os.close(shm_fd)
    assert at > 20
