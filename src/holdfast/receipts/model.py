"""A receipt: the plan, how far it was carried out, and what undoes each step."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

import msgspec

from holdfast.changes import Append, Blob, Change, Mode, Move, Plan, Remove, Replace, Rewrite, Row, Rows, Seen, Value

FILE = "receipt.json"
_ROWS_TOLD = 20
"""Rows whose columns a step names one by one; more are counted."""


class Standing(StrEnum):
    """How the files of one step stand."""

    BEFORE = "before"
    """As they were planned on, or put back to that."""
    BETWEEN = "between"
    """Someone was killed in the middle of this step. It can be finished, and undone."""
    AFTER = "after"
    CHANGED = "changed"
    """Somebody else changed them since: neither."""


class Swap(msgspec.Struct):
    """What is known of a database that gets other content.

    ``before`` and ``after``: SHA-256 of its files that are not empty, by the end of
    their names. ``marker``: what stands at the beginning of the file while it is
    neither. ``new``: the new content, a file beside the receipt until it is in place.
    """

    before: dict[str, str]
    marker: str
    new: str | None = None
    new_sum: str = ""
    begun: bool = False
    after: dict[str, str] = {}
    seen_after: tuple[Seen, ...] = ()


class Step(msgspec.Struct):
    """One change, and what is known of it. ``copy`` is a file beside the receipt: what the change takes away.

    ``put`` and ``put_back`` are the files that took the place of another, noted before they did.
    Of a database, ``copy`` has sidecars as the database had.
    """

    what: str
    undo: str
    change: Change
    copy: str | None = None
    done: bool = False
    undone: bool = False
    put: Seen | None = None
    put_back: Seen | None = None
    swap: Swap | None = None


class Receipt(msgspec.Struct, kw_only=True):
    """What was done, step by step. ``folders`` were made for it, the outermost first.

    ``at`` is where the receipt itself lies; it is not written into the file.
    """

    id: str
    title: str
    written_ms: int
    plan: Plan
    steps: list[Step]
    folders: list[str] = []
    at: str = ""
    version: int = 1

    @property
    def state(self) -> str:
        """``done``, ``undone``, or ``unfinished``: it was stopped, and can be finished or undone."""
        if all(step.undone for step in self.steps):
            return "undone"
        if all(step.done for step in self.steps) and not any(step.undone for step in self.steps):
            return "done"
        return "unfinished"

    @property
    def steps_done(self) -> int:
        """How many steps are noted as done and not as undone. The one behind may have been done, too."""
        return sum(step.done and not step.undone for step in self.steps)


def steps_of(plan: Plan) -> list[Step]:
    """Return the steps of a plan, in words: what each does, and what undoes it."""
    return [Step(*_words(plan, change), change) for change in plan.changes]


def _words(plan: Plan, change: Change) -> tuple[str, str]:
    match change:
        case Move(source, target, mtime_ns):
            touched = "" if mtime_ns is None else ", and make it the file written last"
            back = "" if mtime_ns is None else ", and give it its time back"
            return f"move {source} to {target}{touched}", f"move {target} to {source}{back}"
        case Remove(path):
            return f"remove {path}", f"put the copy back to {path}"
        case Append(path, data):
            lines = data.decode("utf-8", "replace").strip()
            before = plan.before(path)
            undo = f"cut {path} back to {before.size} bytes" if before.is_there else f"remove {path}"
            return f"append {len(data)} bytes to {path}: {lines}", undo
        case Rewrite(path, data):
            size = plan.before(path).size
            return (
                f"rewrite {path}: {size} bytes become {len(data)}",
                f"put the {size} bytes of the copy back to {path}",
            )
        case Mode(path, was, will):
            return f"give {path} the mode {will:04o}, from {was:04o}", f"give {path} the mode {was:04o} back"
        case Rows(path, rows):
            sets = [row for row in rows if row.before is not None and row.after is not None]
            what = [_row_words(row) for row in sets] if len(sets) <= _ROWS_TOLD else _counted("set", sets)
            what += _counted("add", [row for row in rows if row.before is None])
            what += _counted("delete", [row for row in rows if row.after is None])
            return f"in {path}: {'; '.join(what)}", f"put {len(rows)} rows of {path} back as they were"
        case Replace(path, members, what_for, rows):
            size = sum(plan.before(member).size for member in members)
            what_for = _words(plan, Rows(path, rows))[0] if rows else what_for
            return what_for, f"put the {size} bytes of the copy back into {path}"


def _counted(verb: str, rows: list[Row]) -> list[str]:
    return [f"{verb} {count} of {table}" for table, count in Counter(row.table for row in rows).items()]


def _row_words(row: Row) -> str:
    key = ", ".join(map(_value_words, row.key.values()))
    values = ", ".join(f"{column}={_value_words(value)}" for column, value in (row.after or {}).items())
    return f"set {values} of {row.table} {key}"


def _value_words(value: Value) -> str:
    return f"{len(value.data)} bytes" if isinstance(value, Blob) else "NULL" if value is None else str(value)
