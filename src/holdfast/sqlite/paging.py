"""Many rows of a database that is inspected, in many short reads: page by page, or here and there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from holdfast.sql import quoted
from holdfast.sqlite.inspecting import Inspection, Row, Value
from holdfast.sqlite.unread import How, UnreadError

_ROWS = 500
_ROWS_MAX = 20_000
_PAGE_MS = 50
_PAUSE_S = 0.002  # between two pages, in which a log can be begun anew


def pages(
    inspection: Inspection, table: str, columns: Sequence[str], where: str = "1", *, most: int | None = None
) -> Iterator[list[Row]]:
    """Yield the rows of a table with their ``rowid``, in its order, some at a time: each page is of its own moment.

    How many at a time is found out: as many as 50 ms give. ``most``: rows at all.
    Ends with ``UnreadError`` (slow) at the deadline; what was yielded counts.
    """
    names = ", ".join(("rowid AS rowid", *map(quoted, columns)))
    yield from _paged(inspection, f"SELECT {names} FROM {quoted(table)}", where, most=most)


def touched(inspection: Inspection, table: str, columns: Sequence[str]) -> Iterator[int]:
    """Read every value of a table, as ``pages`` does, and yield how many rows were read each time.

    A page that is damaged raises ``UnreadError`` (corrupt).
    """
    # A cast, since the length of a blob is known without its pages.
    lengths = " + ".join(f"ifnull(length(CAST({quoted(name)} AS TEXT)), 0)" for name in columns) or "0"
    each = f"SELECT rowid AS rowid, {lengths} AS chars FROM {quoted(table)}"
    for page in _paged(inspection, each, "1", summed=True):
        yield _counted(page)


def sample(inspection: Inspection, table: str, columns: Sequence[str], *, most: int, places: int = 16) -> list[Row]:
    """Return up to ``most`` rows, from ``places`` places that are evenly spread over the rowids.

    Ends early at the deadline, with what it has.
    """
    low, high = (inspection.value(f"SELECT {end}(rowid) FROM {quoted(table)}") for end in ("min", "max"))
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    names = ", ".join(("rowid AS rowid", *map(quoted, columns)))
    text = f"SELECT {names} FROM {quoted(table)} WHERE rowid >= ? ORDER BY rowid LIMIT {max(1, most // places)}"
    found: dict[Value, Row] = {}
    for start in range(low, high + 1, max(1, (high - low + 1) // places)):
        try:
            found.update((row["rowid"], row) for row in inspection.rows(text, (start,)))
        except UnreadError as error:
            if error.unread.how is How.SLOW and found:
                break
            raise
    return list(found.values())[:most]


def _paged(
    inspection: Inspection, each: str, where: str, *, most: int | None = None, summed: bool = False
) -> Iterator[list[Row]]:
    after: Value = None
    count, left = _ROWS, most
    while left is None or left > 0:
        wanted = count if left is None else min(count, left)
        begin = "" if after is None else "rowid > ? AND "
        text = f"{each} WHERE {begin}({where}) ORDER BY rowid LIMIT {wanted}"
        if summed:
            text = f"SELECT max(rowid) AS rowid, count(*) AS rows, sum(chars) AS chars FROM ({text})"
        begun_ns = time.monotonic_ns()
        try:
            page = inspection.rows(text, () if after is None else (after,))
        except UnreadError as error:
            if error.unread.how is not How.SLOW or count == 1 or inspection.is_over():
                raise
            count = max(1, count // 8)
            continue
        took_ms = (time.monotonic_ns() - begun_ns) / 1e6
        rows = _counted(page) if summed else len(page)
        if rows:
            yield page
        if rows < wanted:
            return
        if not inspection.is_alone:
            time.sleep(_PAUSE_S)
        after = page[-1]["rowid"]
        left = None if left is None else left - rows
        fitting = 2 * count if took_ms < _PAGE_MS / 2 else int(count * _PAGE_MS / took_ms)
        count = max(1, min(_ROWS_MAX, fitting))


def _counted(page: list[Row]) -> int:
    return int(str(page[0]["rows"]))
