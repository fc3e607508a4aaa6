"""What must be true of the rows of ``files``, the ledger. Looks only, and only at the rows.

A file that could not be read is no finding: the ledger says so, and the
report of the index names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from holdfast import ids, sql
from holdfast.engine import Read
from holdfast.findings import Finding
from holdfast.ingest.model import Problem
from holdfast.rollouts import ThreadFacts

_SQL = sql.load("holdfast.ingest")
_REFOLD = "`holdfast threads reindex` folds every file again; names and archive marks stay."


def probes(tx: Read) -> list[Finding]:
    """Return what is wrong with the ledger. 50,000 files take 0.03 s; facts of long files are decoded."""
    found = [_unheard(row) for row in tx.rows(_SQL["unheard_files"])]
    found += [_odd(row) for row in tx.rows(_SQL["odd_files"])]
    for row in tx.rows(_SQL["kept_texts"]):
        found += _undecodable(row)
    return found


def _unheard(row: Mapping[str, Any]) -> Finding:
    return Finding(
        "file-thread-missing" if row["status"] == "ok" else "file-copy-unheard",
        _subject(row),
        measured=f"it is thread {_id(row)}, which has "
        + ("no row, or another file" if row["status"] == "ok" else "no row, or is called missing"),
        expected="a thread that has this file" if row["status"] == "ok" else "a thread that another file speaks for",
        remedy=_REFOLD,
    )


def _odd(row: Mapping[str, Any]) -> Finding:
    if row["zst"] == 0 and row["offset"] > row["size"]:
        code, measured, expected = "file-offset", f"{row['offset']} bytes folded", f"at most its size, {row['size']}"
    elif row["thread_id"] is None and row["status"] in ("ok", "duplicate"):
        code, measured, expected = "file-nameless", f"status {row['status']}, and no thread id", "the id that it holds"
    else:
        code, measured, expected = "file-status", f"status {row['status']!r}", "a word that a scan gives"
    return Finding(code, _subject(row), measured=measured, expected=expected, remedy=_REFOLD)


def _undecodable(row: Mapping[str, Any]) -> Iterator[Finding]:
    if row["facts"] is not None:
        try:
            facts = msgspec.msgpack.decode(row["facts"], type=ThreadFacts)
            wrong = None if facts.thread_id == row["thread_id"] else "facts of another thread"
        except msgspec.DecodeError as error:
            wrong = str(error)
        if wrong is not None:
            yield Finding(
                "file-facts",
                _subject(row),
                measured=wrong,
                expected=f"what was folded of thread {_id(row)}",
                remedy=_REFOLD,
            )
    if row["problems"] is not None:
        try:
            msgspec.json.decode(row["problems"], type=list[Problem])
        except msgspec.DecodeError as error:
            yield Finding(
                "file-problems", _subject(row), measured=str(error), expected="a list of problems", remedy=_REFOLD
            )


def _id(row: Mapping[str, Any]) -> str:
    return "?" if row["thread_id"] is None else ids.text(row["thread_id"])


def _subject(row: Mapping[str, Any]) -> str:
    return f"file {row['home']}/{row['path']}"
