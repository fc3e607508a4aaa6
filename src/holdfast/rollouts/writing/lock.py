"""The writer's lock of a thread: the file and the kernel lock that Codex 0.169 uses, too.

``<home>/thread-writer-locks/<thread id>.lock``, ``flock(2)``, exclusive. Who
lets go of one unlinks it, hence ``.coordination.lock`` (``lockfiles.take``,
``guard``). Seen with strace(1) on the published binary: it does the same calls,
in the same order, and refuses to resume or archive a thread that we hold.
"""

from __future__ import annotations

import os
from contextlib import suppress

from holdfast import lockfiles
from holdfast.errors import Busy
from holdfast.rollouts.names import FILE as NAMES

FOLDER = "thread-writer-locks"
COORDINATION = ".coordination.lock"


def writer_lock(home: str | os.PathLike[str], thread_id: str, *, wait_ms: float = 0) -> lockfiles.FileLock:
    """Take the writer's lock of a thread and return it: a context manager that lets go.

    ``thread_id`` is hyphenated and lower case. Whoever changes, moves,
    compresses or deletes the thread's rollout holds it. Raises ``Busy`` after
    ``wait_ms`` with the name of the holder, also when that is this very
    process; and ``OSError`` when the home cannot be written. 30 us.
    """
    folder = f"{os.fspath(home)}/{FOLDER}"
    path = lock_path(home, thread_id)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    try:
        return lockfiles.take(path, wait_ms=wait_ms, guard=f"{folder}/{COORDINATION}")
    except Busy as busy:
        if any(each.pid == os.getpid() for each in lockfiles.holders(path)):
            raise Busy(
                f"thread {thread_id} is being written by this process: {busy}",
                remedy="Close its writer first, or go on with the one you have.",
            ) from None
        raise Busy(
            f"thread {thread_id} has another writer: {busy}",
            remedy="End the agent that works on this thread, or fork the thread.",
        ) from None


def lock_path(home: str | os.PathLike[str], thread_id: str) -> str:
    """Return where the writer's lock of a thread lies while somebody has it."""
    return f"{os.fspath(home)}/{FOLDER}/{thread_id}.lock"


def names_lock(home: str | os.PathLike[str]) -> lockfiles.FileLock:
    """Take the lock of the home's names file, as Codex 0.169 does, and return it. ``Busy`` after 2 s."""
    return lockfiles.take(f"{os.fspath(home)}/{NAMES}.lock", wait_ms=2_000)
