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
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    try:
        return lockfiles.take(f"{folder}/{thread_id}.lock", wait_ms=wait_ms, guard=f"{folder}/{COORDINATION}")
    except Busy as busy:
        raise Busy(
            f"thread {thread_id} has another writer: {busy}",
            remedy="End the agent that works on this thread, or fork the thread.",
        ) from None
