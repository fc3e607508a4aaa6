"""Where is the rollout of this thread? Never wrong: an answer is verified against the file itself.

The index is asked first. Its row may be stale, or point at another thread's
file; then the files are searched, and the answer says that the row wants
repair. Reads only. Without an index (``tx`` None) the files alone answer.
"""

from __future__ import annotations

import os

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.rollouts import find_by_id, verify
from holdfast.threads.model import Found, Home

_SQL = sql.load("holdfast.threads")


def find_thread_path(
    tx: Read | None, home: Home, thread_id: bytes, *, archived: bool | None = None, deleted: bool = False
) -> Found | None:
    """Return where the rollout of ``thread_id`` (16 bytes) lies in ``home``, or None when nothing there is it.

    ``archived`` asks for archived threads only, or for the others only. One
    that somebody deleted lies nowhere, but with ``deleted``.
    With a right row: one statement and the first 64 KiB of one file. With a
    wrong one: the folders of the day the thread was made, then all of the home.
    """
    row = tx.row(_SQL["file_of"], home_id=home.home_id, thread_id=thread_id) if tx is not None else None
    if row is None:
        repair = "row-missing" if tx is not None else None
        return _in_files(home, thread_id, archived, repair)
    if row["deleted_said_ms"] is not None and not deleted:
        return None
    if archived is not None and bool(row["archived"]) is not archived:
        return None
    file = existing(f"{home.path}/{row['path']}")
    if file is None:
        repair = "file-missing"
    else:
        named = verify(file)
        if named == thread_id:
            return _found(home, thread_id, row["path"], file, verified=True, source="index")
        repair = "file-unreadable" if named is None else "file-of-another"
    # What a person said (archived) need not be where the file lies: look in both places.
    elsewhere = _in_files(home, thread_id, None, repair)
    if elsewhere is not None:
        return elsewhere
    if file is not None and repair == "file-unreadable":
        return _found(home, thread_id, row["path"], file, verified=False, source="index")
    return None


def misled(tx: Read, home: Home, thread_id: bytes) -> str | None:
    """Return the path (relative to ``home``) that the row of this thread wrongly leads to.

    None when it is right, already called missing, or when there is no row. Reads the head of one file.
    """
    row = tx.row(_SQL["file_of"], home_id=home.home_id, thread_id=thread_id)
    if row is None or row["missing_since_ms"] is not None:
        return None
    file = existing(f"{home.path}/{row['path']}")
    return None if file is not None and verify(file) == thread_id else str(row["path"])


def existing(path: str) -> str | None:
    """Return ``path`` or its ``.zst``, whichever exists (the plain one first), or None."""
    for file in (path, f"{path}.zst"):
        if os.path.exists(file):
            return file
    return None


def _in_files(home: Home, thread_id: bytes, archived: bool | None, repair: str | None) -> Found | None:
    hit = find_by_id(home.path, thread_id, archived)
    if hit is None:
        return None
    return _found(home, thread_id, hit.path, hit.file, verified=True, source="files", repair=repair)


def _found(
    home: Home, thread_id: bytes, path: str, file: str, *, verified: bool, source: str, repair: str | None = None
) -> Found:
    return Found(
        thread_id=ids.text(thread_id),
        home=home.path,
        path=f"{home.path}/{path}",
        file=file,
        verified=verified,
        source=source,
        repair=repair,
    )
