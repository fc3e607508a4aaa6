"""F14: whether a database is damaged, or only locked, slow or out of reach. Table by table, in short reads."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.model import Confidence, Database, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.sqlite import paging, whole
from holdfast.sqlite.inspecting import How, UnreadError

_SHOWN = 5
_TELL_NS = 150_000_000
_YOUNG_S = 60
"""A file of 0 bytes so young may be a database that is just being made."""


@unread.probe
def malformed(look: SqlLook) -> Iterator[Finding]:
    """Find damage in each database of the target. With ``deep`` in a copy of each, and complete.

    Tables that are too large for one read are left to ``large_tables``.
    """
    for database in look.target.databases:
        yield from _checked(look, database)


@unread.probe
def large_tables(look: SqlLook) -> Iterator[Finding]:
    """Read through what ``malformed`` left, as far as there is time for it, and say what was not read to its end."""
    # It is the last to run, takes all the time there is, and must have told by then.
    look.deadline_ns -= min(_TELL_NS, max(0, look.deadline_ns - time.monotonic_ns()) // 4)
    for database in dict.fromkeys(database for database, _ in look.large):
        yield from _read_through(look, database, [table for of, table in look.large if of is database])


def _checked(look: SqlLook, database: Database) -> Iterator[Finding]:
    if _is_empty(database.path):
        yield from _empty(database.path)
        return
    found = _on_a_copy(look, database.path) if look.deep else None
    if found is not None:
        if found:
            yield _damaged(look, database.path, {"": found})
        return
    inspection = look.open(database)
    if inspection is None:
        if database.path in look.unread:
            yield from unread.of(look, database.path, look.unread[database.path])
        return
    problems: dict[str, list[str]] = {}
    try:
        problems[""] = inspection.check_all()
    except UnreadError as error:
        if error.unread.how is How.CORRUPT:
            problems[""] = [error.unread.why]
        elif error.unread.how is not How.SLOW:
            yield from unread.of(look, database.path, error.unread)
            return
    if "" in problems:  # it is small enough to be checked whole
        if problems[""]:
            yield _damaged(look, database.path, problems)
        return
    try:
        for table in inspection.tables():
            try:
                problems[table] = inspection.check(table)
            except UnreadError as error:
                if error.unread.how is How.CORRUPT:
                    problems[table] = [error.unread.why]
                elif error.unread.how is How.SLOW and not look.is_over():
                    look.large.append((database, table))
                else:
                    raise
    except UnreadError as error:
        if look.is_over():
            raise
        yield from unread.of(look, database.path, error.unread)
    if any(problems.values()):
        yield _damaged(look, database.path, problems)


def _read_through(look: SqlLook, database: Database, tables: list[str]) -> Iterator[Finding]:
    """Read the rows of tables that are too large for one read, and say which were not read to their end."""
    inspection = look.open(database)
    if inspection is None:
        return
    problems: dict[str, list[str]] = {}
    left: dict[str, int] = {}
    for table in tables:
        rows = 0
        try:
            for read in paging.touched(inspection, table, list(inspection.columns(table))):
                rows += read
        except UnreadError as error:
            if error.unread.how is How.CORRUPT:
                problems[table] = [error.unread.why]
            else:  # no time for it, or no rowids
                left[table] = rows
    if problems and (database.path, How.CORRUPT) not in look.told:
        yield _damaged(look, database.path, problems)
    if left:
        look.told.add((database.path, How.SLOW))
        yield _unfinished(database.path, left)


def _on_a_copy(look: SqlLook, path: str) -> list[str] | None:
    """Return what ``integrity_check`` says of a copy; None when none could be made, or its check not be ended."""
    look.close()
    try:
        return whole.problems(path, look.deadline_ns)
    except UnreadError as error:
        return [error.unread.why] if error.unread.how is How.CORRUPT else None


def _damaged(look: SqlLook, path: str, problems: dict[str, list[str]]) -> Finding:
    look.told.add((path, How.CORRUPT))
    said = [f"{table}: {each}" if table else each for table, found in problems.items() for each in found]
    more = f" And {len(said) - _SHOWN} more." if len(said) > _SHOWN else ""
    tables: list[Json] = [table for table, found in problems.items() if table and found]
    first: list[Json] = list(said[:_SHOWN])
    counted = f"{len(said)} fault{'' if len(said) == 1 else 's'}"
    return unread.malformed(
        path,
        f"SQLite finds {counted}: {'; '.join(said[:_SHOWN])}.{more}",
        {"tables": tables, "problems": first, "faults": len(said)},
    )


def _unfinished(path: str, rows: dict[str, int]) -> Finding:
    said = [f"{table} ({read:,} rows were read)" for table, read in rows.items()]
    return Finding(
        id="database-slow",
        row="F14",
        status=Status.PARTIAL,
        path=path,
        measured=f"Too large to be checked in the time given: {', '.join(said)}. What was read is sound.",
        expected="Every table is read through once.",
        confidence=Confidence.CERTAIN,
        cause="The file is large, or the disk is slow or busy.",
        remedy="`holdfast doctor --deep` checks a copy of it, all of it.",
        details={"rows_read": dict(rows)},
    )


def _is_empty(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False  # it is told when it is opened
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def _empty(path: str) -> Iterator[Finding]:
    try:
        age_s = time.time() - os.stat(path).st_mtime
        wal_bytes = os.stat(f"{path}-wal").st_size if os.path.exists(f"{path}-wal") else 0
    except OSError:
        return  # it is just being made, or removed
    if wal_bytes:
        yield unread.malformed(
            path, f"it has 0 bytes, and a log of {wal_bytes:,} bytes lies beside it", {"wal_bytes": wal_bytes}
        )
        return
    if age_s < _YOUNG_S:
        return
    yield Finding(
        id="malformed",
        row="F14",
        status=Status.WARN,
        path=path,
        measured="It has 0 bytes.",
        expected="A database has at least one page.",
        confidence=Confidence.LIKELY,
        cause="It was cut to nothing, or its making was cut short.",
        remedy="What was in it is not in this file any more. Its owner makes a new one in its place when it starts; "
        "if there is a copy of it, put that back before.",
        details={"bytes": 0},
    )
