"""The kernel locks Codex 0.169 takes before it touches a thread's rollout, or the names file. A stand-in.

As measured on its binary: ``thread-writer-locks/.coordination.lock`` shared
while ``<id>.lock`` is opened and locked, exclusive while it is unlinked again;
so nobody ever locks a file that another is just removing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from holdfast import ids
from holdfast.errors import Busy
from holdfast.rollouts.names import FILE as NAMES

FOLDER = "thread-writer-locks"
_COORDINATION = ".coordination.lock"
_WAIT_S = 2.0


@contextmanager
def writer_lock(home: str, id16: bytes) -> Iterator[None]:
    """Be the only one who may change the rollout of this thread. Raises ``Busy`` naming who is; never waits for it."""
    folder = f"{home}/{FOLDER}"
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/{ids.text(id16)}.lock"
    with _locked(f"{folder}/{_COORDINATION}", fcntl.LOCK_SH, "the writer locks"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _holder(os.fstat(fd))
            os.close(fd)
            raise Busy(
                f"thread {ids.text(id16)} is being written by {who}", remedy="Close it there, then try again."
            ) from None
    try:
        yield
    finally:
        with suppress(OSError, Busy), _locked(f"{folder}/{_COORDINATION}", fcntl.LOCK_EX, "the writer locks"):
            os.unlink(path)
        os.close(fd)


@contextmanager
def names_lock(home: str) -> Iterator[None]:
    """Be the only one who changes the names file; waits for up to 2 s, as it is held for a line."""
    with _locked(f"{home}/{NAMES}.lock", fcntl.LOCK_EX, f"{home}/{NAMES}"):
        yield


@contextmanager
def _locked(path: str, how: int, what: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy(f"{what} of {path} stayed locked by {_holder(os.fstat(fd))} for {_WAIT_S} s") from None
                time.sleep(0.005)
        yield
    finally:
        os.close(fd)


def _holder(info: os.stat_result) -> str:
    with suppress(OSError), open("/proc/locks", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if len(fields) == 8 and fields[1] == "FLOCK" and fields[5].endswith(f":{info.st_ino}"):
                return "this process" if int(fields[4]) == os.getpid() else f"pid {fields[4]}"
    return "another process"
