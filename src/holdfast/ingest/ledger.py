"""Rows of the ledger in and out. Each function joins the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from holdfast import sql
from holdfast.engine import Read, Write
from holdfast.ingest.model import FileRow, LedgerRow, Problem
from holdfast.rollouts import Entry, ThreadFacts

_SQL = sql.load("holdfast.ingest")


def load(tx: Read, home_id: int) -> dict[str, LedgerRow]:
    """Return the ledger of a home by relative path. Reads every row: about 1 µs each."""
    return {row[1]: LedgerRow(*row) for row in tx.tuples(_SQL["load"], home_id=home_id)}


def load_some(tx: Read, home_id: int, paths: Sequence[str]) -> dict[str, LedgerRow]:
    """Return what is known of these files of a home, by relative path."""
    rows = tx.rows(_SQL["load_some"], home_id=home_id, paths=json.dumps(list(paths)))
    return {row["path"]: LedgerRow(**row) for row in rows}


def newest(tx: Read, home_id: int, limit: int) -> dict[str, LedgerRow]:
    """Return the files of the ``limit`` threads written last, by relative path."""
    return {row[1]: LedgerRow(*row) for row in tx.tuples(_SQL["newest"], home_id=home_id, limit=limit)}


def facts(tx: Read, file_id: int) -> ThreadFacts | None:
    """Return the facts a long file was folded to, to go on from there."""
    row = tx.row(_SQL["get_facts"], file_id=file_id)
    if row is None or row["facts"] is None:
        return None
    try:
        return msgspec.msgpack.decode(row["facts"], type=ThreadFacts)
    except msgspec.DecodeError:
        return None  # of another version, or damaged: the file is read whole, and they are made again


def next_file_id(tx: Read) -> int:
    """Return the first file id that is free. Only the writer may count on it."""
    row = tx.row(_SQL["next_file_id"])
    assert row is not None  # an aggregate always has one row
    return int(row["file_id"])


def put(tx: Write, rows: Iterable[FileRow]) -> None:
    """Insert or renew rows."""
    tx.run_many(_SQL["put_file"], [msgspec.structs.asdict(row) for row in rows])


def set_packed(tx: Write, home_id: int, now: Entry, *, size: int, inode: int) -> bool:
    """Have the row of a plain file, as it was folded, describe its ``.zst``; False when it describes something else.

    ``size`` and ``inode`` are those of the plain file; its time is kept by who compresses it.
    """
    return now.zst and bool(
        tx.run(
            _SQL["set_packed"],
            home_id=home_id,
            path=now.path,
            size=now.size,
            inode=now.inode,
            mtime_ns=now.mtime_ns,
            size_before=size,
            inode_before=inode,
        )
    )


def set_status(tx: Write, file_ids: Sequence[int], status: str) -> None:
    """Change only the status of these rows."""
    tx.run_many(_SQL["set_status"], [{"file_id": file_id, "status": status} for file_id in file_ids])


def duplicates(tx: Read, home_id: int, thread_ids: Sequence[bytes]) -> list[str]:
    """Return the paths of files that could speak for these threads, now that another is gone."""
    asked = json.dumps([id16.hex() for id16 in thread_ids])
    return [row["path"] for row in tx.rows(_SQL["duplicates"], home_id=home_id, ids=asked)]


def ask_again(tx: Write, home_id: int, thread_ids: Sequence[bytes]) -> int:
    """Have the next index read the files that could speak for these threads; return how many."""
    asked = json.dumps([id16.hex() for id16 in thread_ids])
    return tx.run(_SQL["ask_again"], home_id=home_id, ids=asked)


def forget_gone(tx: Write, home_id: int) -> int:
    """Drop rows of files that are gone and speak for no thread; return how many."""
    return tx.run(_SQL["forget_gone"], home_id=home_id)


def problems(tx: Read, home_id: int) -> list[Problem]:
    """Return what could not be read, file by file, in path order."""
    found = []
    for row in tx.rows(_SQL["problems"], home_id=home_id):
        details = []
        with suppress(msgspec.DecodeError):  # damaged: the status is told without them
            details = msgspec.json.decode(row["problems"] or "[]", type=list[Problem])
        if not details:
            details = [Problem(row["path"], row["status"], "")]
        found += details
    return found


def counts(tx: Read, home_id: int) -> Mapping[str, Any]:
    """Return ``files``, ``failed`` and ``bytes`` of a home."""
    row = tx.row(_SQL["count_files"], home_id=home_id)
    assert row is not None  # an aggregate always has one row
    return row


def is_small(tx: Read, home_id: int, files_max: int) -> bool:
    """Return True when the ledger names at most ``files_max`` files of a home. Looks at no more than that."""
    row = tx.row(_SQL["count_files_to"], home_id=home_id, limit=files_max + 1)
    return row is not None and row["files"] <= files_max
