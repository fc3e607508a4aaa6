"""A state moved from a directory into a PostgreSQL database, or back: every row, and fences above all before.

One write transaction is open on the source from the first row that is read to
the mark that it was moved. So the copy is of one moment, nobody writes
meanwhile (readers go on), and no write falls between the copy and the mark.
The target is marked before its first row, and cannot be opened until the
mark is lifted, last of all. Killed in between, the source is as it was, or the
target is complete: the same move, begun again, does what is missing.

What lies beside the database stays where it is: logs, receipts, caches, snapshots.
``search.db`` is made again by whoever opens a directory.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, TypeAlias

import msgspec

from holdfast import holds, jobs, schema, sql
from holdfast.engine import Read
from holdfast.errors import Busy, Damaged, Refused, Unsupported
from holdfast.holds import owner as owners
from holdfast.sqlite import Store
from holdfast.state import directory, moved
from holdfast.state.canonical import Digest, Value, without_nul
from holdfast.state.moved import SQL, Mark
from holdfast.state.moving_rows import TABLES, Columns, columns_of, count, own, pages, quoted
from holdfast.state.places import AnyStore, Place, is_migrated
from holdfast.threads import homes as home_rows

NOT_MOVED = (
    "logs/, receipts/, backups/ and cache.db",
    "memory/: `holdfast memory run` makes these files anew elsewhere, from the memories",
    "search.db: made again",
    "the homes and their rollouts",
)

_INDEXES = sql.load_script("holdfast.threads", "indexes.sql")
_WAIT_MS = 5_000
_LOOK_AGAIN_S = 0.5


class MoveProgress(msgspec.Struct, frozen=True):
    """How far a move is. ``step``: waiting, marked, copying, copied, checking, checked, complete, left, done."""

    step: str
    table: str = ""
    rows_done: int = 0
    rows: int = 0
    by: str | None = None
    """Who is waited for."""


OnProgress: TypeAlias = Callable[[MoveProgress], object]


class MovedTable(msgspec.Struct, frozen=True):
    """One table: its rows, the bytes of their values, and the hash over them, the same in source and target."""

    name: str
    rows: int
    bytes: int
    hash: str


class MoveReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved, or would be."""

    source: str
    target: str
    dry_run: bool
    resumed: bool
    """A move that was cut short before was taken up again."""
    tables: tuple[MovedTable, ...]
    """Empty when all was copied already, and only the last step was missing."""
    rows: int
    bytes: int
    epoch: int
    """Fences go on from here in the target: above all that the source or the target ever gave. 0: nothing was done."""
    ended: int
    """Holds and claims that ended; their fences are refused."""
    duration_ms: int
    not_moved: tuple[str, ...] = NOT_MOVED


def move(
    to: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    wait: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
) -> MoveReport:
    """Move the state at ``source`` (a directory or a URL; None: the default) to ``to``, which must be empty.

    Ends with ``source`` refusing to be opened or written, and every fence it
    gave refused in ``to``. ``wait``: until nobody holds anything or works on a
    job; otherwise ``Busy`` names them. The source takes no writes meanwhile:
    51,000 rows of 44 MB took 4.5 s to a server beside it, 2.3 s back.

    Raises ``Refused`` (nothing there; ``to`` holds something, with how much;
    one of them takes part in another move), ``Busy``, ``Damaged`` (``to``
    has not what was written to it: the source is untouched), ``Unsupported``,
    ``Full``. After each of them the source is as it was.
    """
    began = time.monotonic()
    origin, goal = Place(source), Place(to)
    if origin.shown == goal.shown:
        raise Refused(f"{origin.shown} would be moved to itself", remedy="Name another place with --to.")
    say = on_progress or _nobody
    with closing(origin.open(peek=dry_run)) as old:
        report = _look(old, origin, goal) if dry_run else _move(old, origin, goal, wait, say)
    return msgspec.structs.replace(report, duration_ms=round((time.monotonic() - began) * 1000))


def undo_move(source: str | os.PathLike[str] | None = None) -> Mark:
    """Take up again a state that was moved away, as it was left; return the mark it had.

    The target stays as it is: whoever works there goes on, and sees nothing of this. Fences rise above those that the
    target began with. Raises ``Refused`` when it was not moved away.
    """
    place = Place(source)
    with closing(place.open()) as old, old.write(wait_ms=_WAIT_MS) as tx:
        mark = moved.read(tx)
        if mark is None or mark.role != "moved":
            raise Refused(f"{place.shown} was not moved away: there is nothing to undo")
        moved.thaw(tx, old.kind, TABLES)
        moved.lift(tx)
        holds.end_all(tx)
        holds.raise_epoch(tx, mark.epoch + 1)
        return mark


def _move(old: AnyStore, origin: Place, goal: Place, wait: bool, say: OnProgress) -> MoveReport:
    with old.read() as tx:
        mark = moved.read(tx)
    if mark is not None:
        return _end(mark, origin, goal, say)
    schema.migrate(old)
    if isinstance(old, Store):
        old.clock = schema.anchored_clock(old)
    else:
        holds.know_server(old)
    while True:
        with old.write(wait_ms=_WAIT_MS) as tx:
            moved.lock(tx, old.kind, TABLES)
            workers = list(_workers(tx))
            if not workers:
                if goal.url is None:
                    directory.check_outside(goal.directory, [home.path for home in home_rows.listing(tx)])
                with closing(goal.make()) as new:
                    report, mark = _fill(tx, old, new, origin, goal, say)
                    moved.put(tx, msgspec.structs.replace(mark, role="moved"))
                    moved.freeze(tx, old.kind, TABLES, msgspec.structs.replace(mark, role="moved"))
                break
        if not wait:
            raise Busy(
                f"{origin.shown} is at work: {'; '.join(workers)}",
                remedy="End them, or move with --wait, which begins when they are done.",
            )
        say(MoveProgress("waiting", by=workers[0]))
        time.sleep(_LOOK_AGAIN_S)
    say(MoveProgress("left"))
    _lift(goal)
    say(MoveProgress("done"))
    return report


def _fill(
    tx: Read, old: AnyStore, new: AnyStore, origin: Place, goal: Place, say: OnProgress
) -> tuple[MoveReport, Mark]:
    """Copy what ``tx`` sees into ``new``, compare, and raise its epoch. Marked it was before, and it stays so."""
    columns = columns_of(tx, old.path)
    with new.read() as there:
        if (theirs := columns_of(there, new.path)) != columns:
            odd = sorted(set(theirs.items()) ^ set(columns.items()))[0][0]
            raise Unsupported(f"the table {odd} has not the same columns in {origin.shown} and in {goal.shown}")
    mark = _mark(origin, goal, tx.now_ms)
    resumed = _take(new, mark)
    say(MoveProgress("marked"))
    clean = without_nul if new.kind == "postgres" else _as_is
    total = sum(count(tx, table) for table in TABLES)
    copied: dict[str, Digest] = {}
    done = 0
    for table in TABLES:
        copied[table] = Digest()
        names = columns[table][0]
        put = SQL["move_put"].fill(rows=table, columns=quoted(names), values=", ".join(f":{name}" for name in names))
        for page in pages(tx, table, columns[table]):
            rows = [tuple(map(clean, row)) for row in page]
            copied[table].add(rows)
            with new.write(wait_ms=_WAIT_MS) as there:
                there.run_many(put, [dict(zip(names, row, strict=True)) for row in rows])
            done += len(rows)
            say(MoveProgress("copying", table, done, total))
    say(MoveProgress("copied", rows_done=done, rows=total))
    with new.read() as there:
        _compare(there, columns, copied, goal, say)
    say(MoveProgress("checked"))
    epoch, ended = _complete(new, holds.epoch(tx))
    mark = msgspec.structs.replace(mark, epoch=epoch)
    with new.write(wait_ms=_WAIT_MS) as there:
        moved.put(there, mark)
    say(MoveProgress("complete"))
    tables = tuple(MovedTable(name, each.rows, each.bytes, each.hex()) for name, each in copied.items())
    return _report(origin, goal, tables, resumed=resumed, epoch=epoch, ended=ended), mark


def _mark(origin: Place, goal: Place, at_ms: int) -> Mark:
    new_id = uuid.uuid4().hex
    return Mark(id=new_id, role="moving", source=origin.shown, host=origin.host, target=goal.shown, at_ms=at_ms)


def _take(new: AnyStore, mark: Mark) -> bool:
    """Mark the target, empty of all rows; return whether this move had been begun before."""
    with new.write(wait_ms=_WAIT_MS) as tx:
        moved.lock(tx, new.kind, TABLES)
        seen = moved.read(tx)
        _refuse_taken(tx, seen, mark)
        for table in reversed(TABLES):
            tx.run(SQL["move_clear"].fill(rows=table, which=own(table)))
        moved.put(tx, mark)
        return seen is not None


def _refuse_taken(tx: Read, seen: Mark | None, mark: Mark) -> None:
    if seen is not None and (seen.role != "moving" or (seen.host, seen.source) != (mark.host, mark.source)):
        raise Refused(seen.sentence(), remedy="Name an empty place with --to.")
    if seen is None:
        held = [f"{rows} in {table}" for table in TABLES[:-1] if (rows := count(tx, table))]
        if held:
            raise Refused(
                f"{mark.target} holds something already: rows {', '.join(held)}",
                remedy="Name a directory without a state, or another ?schema=: nothing is merged or replaced.",
            )


def _compare(tx: Read, columns: dict[str, Columns], copied: dict[str, Digest], goal: Place, say: OnProgress) -> None:
    for table in TABLES:
        found = Digest()
        for page in pages(tx, table, columns[table]):
            found.add(page)
        say(MoveProgress("checking", table))
        if (found.rows, found.hex()) != (copied[table].rows, copied[table].hex()):
            raise Damaged(
                f"{goal.shown} has not what was written to it: table {table}, {found.rows} rows with hash"
                f" {found.hex()[:16]}, expected {copied[table].rows} with {copied[table].hex()[:16]}",
                remedy="The source is as it was, and counts. See who else writes to the target, and move again.",
            )


def _complete(new: AnyStore, epoch: int) -> tuple[int, int]:
    """Make of the copy a state to go on with: return its epoch, above both, and how many holds and claims ended."""
    from holdfast import board  # which no state needs to be opened

    with new.write(wait_ms=_WAIT_MS) as tx:
        ended = holds.end_all(tx) + jobs.end_all(tx) + board.end_all(tx)
        raised = holds.raise_epoch(tx, max(epoch, holds.epoch(tx)) + 1)
        for row in tx.rows(SQL["numbered"]):
            table, column = row["table_name"], row["column_name"]
            if table in TABLES:
                step = SQL["go_on_numbering"].fill(rows=table, number=f'"{column}"', column=f"'{column}'")
                tx.row(step, sequence_of=table)
        tx.row(SQL["go_on_numbering_files"])
        if new.kind == "sqlite":  # there the indexes of lists come after the first threads
            tx.script(_INDEXES)
    return raised, ended


def _end(mark: Mark, origin: Place, goal: Place, say: OnProgress) -> MoveReport:
    """Do the last step of a move that was cut short after the source was left."""
    if mark.role != "moved" or mark.target != goal.shown:
        raise Refused(mark.sentence(), remedy=mark.remedy())
    if not goal.exists():
        raise Refused(f"{mark.sentence()}, but nothing is there", remedy="`holdfast move --undo --from` the source.")
    with closing(goal.store(peek=True)) as new, new.read() as tx:
        seen = moved.read(tx)
    if seen is None or seen.id != mark.id:
        raise Refused(f"{mark.sentence()}: that move has ended", remedy=mark.remedy())
    _lift(goal)
    say(MoveProgress("done"))
    return _report(origin, goal, (), resumed=True, epoch=mark.epoch, ended=0)


def _lift(goal: Place) -> None:
    with closing(goal.store()) as new, new.write(wait_ms=_WAIT_MS) as tx:
        moved.lift(tx)


def _look(old: AnyStore, origin: Place, goal: Place) -> MoveReport:
    """Return what a move would copy, and raise what it would raise at once. Writes nothing."""
    moved.refuse(old)
    if not schema.check(old):
        raise Refused(f"{origin.shown} is of an older holdfast", remedy="Open it once with this one, then look again.")
    resumed = False
    if goal.exists():
        with closing(goal.store(peek=True)) as new:
            if is_migrated(new):
                with new.read() as there:
                    seen = moved.read(there)
                    _refuse_taken(there, seen, _mark(origin, goal, there.now_ms))
                    resumed = seen is not None
    tables = []
    with old.read() as tx:
        columns = columns_of(tx, old.path)
        for table in TABLES:
            digest = Digest()
            for page in pages(tx, table, columns[table]):
                digest.add(page)
            tables.append(MovedTable(table, digest.rows, digest.bytes, digest.hex()))
    return _report(origin, goal, tuple(tables), resumed=resumed, dry_run=True)


def _report(origin: Place, goal: Place, tables: tuple[MovedTable, ...], **more: Any) -> MoveReport:
    return MoveReport(
        source=origin.shown,
        target=goal.shown,
        tables=tables,
        rows=sum(each.rows for each in tables),
        bytes=sum(each.bytes for each in tables),
        duration_ms=0,
        **{"dry_run": False, "epoch": 0, "ended": 0, **more},
    )


def _workers(tx: Read) -> Iterator[str]:
    """Yield who holds what, or works on which job, and is not certainly dead."""
    for hold in holds.listing(tx):
        if not holds.over(hold, now_ms=tx.now_ms) and not holds.is_dead(hold.owner):
            yield f"{holds.describe(hold.owner)} holds {hold.resource}"
    for row in tx.rows(SQL["jobs_at_work"], now_ms=tx.now_ms):
        with suppress(msgspec.DecodeError):
            owner = owners.load(row["owner"])
            if not holds.is_dead(owner):
                yield f"{holds.describe(owner)} works on the job {row['kind']} {row['key']}"
    for row in tx.rows(SQL["tasks_at_work"], now_ms=tx.now_ms):
        with suppress(msgspec.DecodeError):
            owner = owners.load(row["owner"])
            if not holds.is_dead(owner):
                yield f"{holds.describe(owner)} works on task {row['task_id']}"


def _as_is(value: Value) -> Value:
    return value


def _nobody(_progress: MoveProgress) -> None: ...
