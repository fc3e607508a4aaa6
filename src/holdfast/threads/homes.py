"""Which home is which: by host and real path, re-rooted when it moved, never mixed up with its copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from holdfast import sql
from holdfast.engine import Read, Write
from holdfast.holds.owner import host
from holdfast.threads.model import Home

_SQL = sql.load("holdfast.threads")


def get(tx: Read, path: str) -> Home | None:
    """Return the home at real path ``path``, or None when it was never indexed."""
    row = tx.row(_SQL["get_home"], host=host(), path=path)
    return None if row is None else _home(row)


def listing(tx: Read) -> list[Home]:
    """Return every home of this host, in the order they were first seen."""
    return [_home(row) for row in tx.rows(_SQL["list_homes"], host=host())]


def ensure(tx: Write, path: str) -> Home:
    """Return the home at real path ``path``, known before, moved here, or new.

    A home moved here when its old path is gone and its files' inodes are the
    ones at ``path``. A copy has other inodes: it is a new home.
    """
    known = get(tx, path)
    if known is not None:
        return known
    for home in listing(tx):
        if not os.path.exists(home.path) and _same_files(tx, home, path):
            tx.run(_SQL["move_home"], home_id=home.home_id, path=path)
            return Home(home.home_id, path, home.indexed_ms, home.names_stamp)
    tx.run(_SQL["put_home"], host=host(), path=path, now_ms=tx.now_ms)
    made = get(tx, path)
    assert made is not None  # inserted in this very transaction
    return made


def set_indexed(tx: Write, home: Home, *, indexed_ms: int | None, names_stamp: str) -> None:
    """Note that every file of ``home`` had been folded at ``indexed_ms``, and which names file was read."""
    tx.run(_SQL["set_home_indexed"], home_id=home.home_id, indexed_ms=indexed_ms, names_stamp=names_stamp)


def doubt_names(tx: Write, home: Home, names_stamp: str) -> None:
    """Note that some rows have their name from the names file of this stamp, and others perhaps not."""
    tx.run(_SQL["doubt_names"], home_id=home.home_id, names_stamp=names_stamp)


def _same_files(tx: Read, home: Home, path: str) -> bool:
    """Compare a sample of the ledger with what lies at ``path``: a file that is there must be the same inode."""
    there = 0
    for row in tx.rows(_SQL["sample_files"], home_id=home.home_id):
        name = row["path"] + (".zst" if row["zst"] else "")
        try:
            if os.stat(os.path.join(path, name)).st_ino != row["inode"]:
                return False
        except OSError:
            continue
        there += 1
    return there > 0


def _home(row: Mapping[str, Any]) -> Home:
    return Home(row["home_id"], row["path"], row["indexed_ms"], row["names_stamp"])
