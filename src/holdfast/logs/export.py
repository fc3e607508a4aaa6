"""A log as one file: lines of JSON, or a table to ask SQL of."""

from __future__ import annotations

import dataclasses
import os
from itertools import islice
from typing import IO

import msgspec

from holdfast.errors import Refused
from holdfast.logs import reading
from holdfast.logs.matching import LogQuery
from holdfast.logs.model import Record
from holdfast.logs.query import iterate

_ROWS = 2_000  # in one transaction: a reader of the table never waits long
_TAIL_BYTES = 64 * 1024
_BEGINNING = b'{"id":'
_COLUMNS = (
    "id", "ts", "level", "target", "message", "thread_id", "trace_id", "module", "file", "line", "pid", "fields",
    "exception", "repeats", "dropped",
)  # fmt: skip
_TABLE = """
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL, -- microseconds since the epoch
    level TEXT NOT NULL,
    target TEXT NOT NULL,
    message TEXT NOT NULL,
    thread_id TEXT,
    trace_id TEXT,
    module TEXT,
    file TEXT,
    line INTEGER,
    pid INTEGER,
    fields TEXT, -- JSON
    exception TEXT,
    repeats INTEGER,
    dropped TEXT -- JSON: by level, how many records were dropped before this one
) STRICT
"""


def to_jsonl(directory: str | os.PathLike[str], out: IO[bytes], asked: LogQuery | None = None) -> int:
    """Write the records that ``asked`` wants to ``out``, a line of JSON each; return how many."""
    count = 0
    for record in iterate(directory, asked):
        out.write(msgspec.json.encode(record) + b"\n")
        count += 1
    return count


def go_on(directory: str | os.PathLike[str], path: str | os.PathLike[str], asked: LogQuery | None = None) -> int:
    """Go on with an export to the file ``path`` after the last record in it; return how many were added.

    A file that is not there is begun, a line that broke off is written again. Goes by ids: a record that a writer
    was late with is not added behind younger ones. Raises ``Refused`` when the last line is no record, and ``OSError``.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
        line, end = _last_line(file)
        last = reading.record_of(line) if line else None
        file.seek(end)
        torn = file.read(len(_BEGINNING))
        if (line and last is None) or not _BEGINNING.startswith(torn):
            said = f"the last line of {os.fspath(path)} is no record, so nothing is added"
            raise Refused(said, remedy="Name a file that is new.")
        file.truncate(end)
        file.seek(end)
        asked = asked or LogQuery()
        if last is not None:
            asked = dataclasses.replace(asked, after_id=max(last.id, asked.after_id or 0), newest_first=False)
        return to_jsonl(directory, file, asked)


def to_sqlite(directory: str | os.PathLike[str], target: str | os.PathLike[str], asked: LogQuery | None = None) -> int:
    """Put the records that ``asked`` wants into the table ``logs`` of a new SQLite file; return how many.

    Indexed by time and by thread. Raises ``Refused`` when ``target`` is there
    already: it could be a database that somebody has open.
    """
    from holdfast.sqlite import connect  # for the few who want a table

    path = os.fspath(target)
    try:
        # Made here, and empty: whoever makes it meanwhile keeps what they made.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Refused(f"{path} is there already, and is not written over", remedy="Name a file that is new.") from None
    insert = f"INSERT OR IGNORE INTO logs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    rows = map(_row, iterate(directory, asked))
    with connect(path, durability="normal") as db:
        db.execute(_TABLE)
        while batch := list(islice(rows, _ROWS)):
            db.executemany(insert, batch)
            db.commit()
        count = db.total_changes  # a segment that somebody copied beside itself has each record twice
        db.execute("CREATE INDEX logs_by_ts ON logs (ts)")
        db.execute("CREATE INDEX logs_by_thread ON logs (thread_id, ts)")
    return count


def _last_line(file: IO[bytes]) -> tuple[bytes, int]:
    """Return the last whole line, without its end, and where the file goes on behind it."""
    size = file.seek(0, os.SEEK_END)
    span = _TAIL_BYTES
    while True:
        begin = max(0, size - span)
        file.seek(begin)
        data = file.read(size - begin)
        end = data.rfind(b"\n")
        start = data.rfind(b"\n", 0, max(end, 0))
        if start >= 0 or begin == 0:
            return data[start + 1 : max(end, 0)], begin + end + 1
        span *= 4


def _row(record: Record) -> tuple[object, ...]:
    values = (getattr(record, name) for name in _COLUMNS)
    return tuple(msgspec.json.encode(value).decode() if isinstance(value, dict) else value for value in values)
