"""What Codex writes in its own databases when it moves, names, marks or deletes a thread: decided here, done by others.

Taken from the databases of Codex 0.169, compared before and after its own
commands (``tests/codex``). Where there is no database, nothing is decided: a
Codex that makes one reads the files. Where it is not one we know, the row is
not there or is about another file, it is left as it is, and that is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from holdfast import ids
from holdfast.changes import Blob, Change, Move, Row, Rows, Value
from holdfast.errors import HoldfastError
from holdfast.rollouts import paths
from holdfast.sqlite import foreign

STATE = "state_5.sqlite"
COPIED_BYTES_MAX = 16 << 20
"""Of one database, when a thread is deleted: what its receipt would have to hold beyond that stays there."""

# The newest migration of each that we know, of Codex 0.169. Nobody can say what a newer one means.
_KNOWN = {STATE: 62, "thread_history_1.sqlite": 8, "logs_2.sqlite": 2, "goals_1.sqlite": 2,
          "memories_1.sqlite": 2, "queue_1.sqlite": 2}  # fmt: skip

# What goes with a thread: the column that names it. The rows of `threads` last, as there.
_GO: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("thread_history_1.sqlite", (("thread_items", "thread_id"), ("thread_turns", "thread_id"),
        ("thread_realtime_items", "thread_id"), ("thread_history_projection_state", "thread_id"))),
    ("logs_2.sqlite", (("logs", "thread_id"),)),
    ("memories_1.sqlite", (("stage1_outputs", "thread_id"), ("jobs", "job_key"))),
    ("goals_1.sqlite", (("thread_goal_continuation_deferrals", "thread_id"), ("thread_goals", "thread_id"))),
    ("queue_1.sqlite", (("queued_items", "thread_id"),)),
    (STATE, (("thread_dynamic_tools", "thread_id"), ("thread_attachments", "thread_id"),
        ("guardian_review_feedback", "thread_id"), ("thread_read_receipts", "thread_id"),
        ("thread_spawn_edges", "parent_thread_id"), ("thread_spawn_edges", "child_thread_id"), ("threads", "id"))),
)  # fmt: skip
_GO_ONLY: dict[str, dict[str, Value]] = {"jobs": {"kind": "memory_stage1"}}  # a key may be that of another kind

_GIT = {"sha": "git_sha", "branch": "git_branch", "origin_url": "git_origin_url"}

_Record = dict[str, Value]


class Told(NamedTuple):
    """What is to be changed in Codex's databases, and, for a person, what is left as it is."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


class _LeftError(Exception):
    """Something is left as it is; the text says why."""


def moved(home: str, moves: Sequence[Change], now_ns: int, *, archived: bool) -> Told:
    """Return what says of these threads, whose files are moved, that they are archived, or no more."""
    by_id: dict[str, Move] = {}
    for move in moves:
        if isinstance(move, Move) and (id16 := paths.name_id(os.path.basename(move.source))) is not None:
            by_id.setdefault(ids.text(id16), move)

    def decide(thread_id: str, row: _Record) -> _Record:
        path, move = str(row["rollout_path"]), by_id[thread_id]
        if os.path.realpath(path) != paths.logical(move.source):
            raise _LeftError(f"says that the file of thread {thread_id} is {path}")
        now_s = now_ns // 1_000_000_000
        target = f"{os.path.dirname(move.target)}/{os.path.basename(path)}"
        if archived:
            return {"rollout_path": target, "archived": 1, "archived_at": now_s}
        touched: _Record = {"updated_at": now_s, "updated_at_ms": now_ns // 1_000_000}
        return {"rollout_path": target, "archived": 0, "archived_at": None, **touched}

    return _updates(home, list(by_id), decide, loose=("archived_at", "updated_at", "updated_at_ms"))


def named(home: str, thread_id: str, name: str) -> Told:
    """Return what gives the thread a name: a paginated one in a column of its own, a legacy one as its title."""

    def decide(_: str, row: _Record) -> _Record:
        return {"name" if row.get("history_mode") == "paginated" else "title": name.strip()}

    return _updates(home, [thread_id], decide)


def marked(
    home: str, thread_id: str, *, git: Mapping[str, str | None] | None = None, memory_mode: str | None = None
) -> Told:
    """Return what sets the git facts that are given, or the memory mode."""

    def decide(_: str, __: _Record) -> _Record:
        found: _Record = {_GIT[key]: value for key, value in (git or {}).items()}
        return found if memory_mode is None else {**found, "memory_mode": memory_mode}

    return _updates(home, [thread_id], decide)


def gone(home: str, thread_ids: Sequence[str]) -> Told:
    """Return what deletes every row of these threads, in all databases."""
    changes: list[Rows] = []
    notes: list[str] = []
    for name, tables in _GO:
        try:
            with _looking(home, name) as look:
                rows = list(_all_of(look, tables, thread_ids)) if look is not None else []
            if (size := sum(map(_size, rows))) > COPIED_BYTES_MAX:
                raise _LeftError(f"keeps {len(rows)} rows, {size} bytes: too much for a receipt")
            changes += [Rows(_path(home, name), tuple(rows))] if rows else []
        except _LeftError as why:
            notes.append(_note(name, why))
    return Told(tuple(changes), tuple(notes))


def _updates(
    home: str, thread_ids: Sequence[str], decide: Callable[[str, _Record], _Record], loose: tuple[str, ...] = ()
) -> Told:
    changed: list[Row] = []
    notes: list[str] = []
    try:
        with _looking(home, STATE) as look:
            for thread_id in thread_ids if look is not None else ():
                assert look is not None
                for row in look.rows("threads", {"id": thread_id}):  # one or none
                    try:
                        changed += _update(thread_id, row, decide(thread_id, row), loose)
                    except _LeftError as why:
                        notes.append(_note(STATE, why))
    except _LeftError as why:
        notes.append(_note(STATE, why))
    return Told((Rows(_path(home, STATE), tuple(changed)),) if changed else (), tuple(notes))


def _update(thread_id: str, row: _Record, after: _Record, loose: tuple[str, ...]) -> list[Row]:
    if missing := [column for column in after if column not in row]:
        raise _LeftError(f"has no column threads.{missing[0]}")
    before = {column: row[column] for column in after}
    if all(before[column] == after[column] for column in after if column not in loose):
        return []
    return [Row("threads", {"id": thread_id}, before, after, loose)]


def _all_of(look: foreign.Look, tables: Sequence[tuple[str, str]], thread_ids: Sequence[str]) -> Iterator[Row]:
    seen: set[tuple[Value, ...]] = set()
    for table, column in tables:
        columns = look.columns(table)
        keys = [name for name, is_key in columns.items() if is_key]
        if column not in columns:
            continue  # an older Codex has no such thing
        for thread_id in thread_ids:
            for row in look.rows(table, {column: thread_id, **_GO_ONLY.get(table, {})}):
                key = {name: row[name] for name in keys}
                if (table, *key.values()) not in seen:  # an edge has two ends
                    seen.add((table, *key.values()))
                    yield Row(table, key, row, None)


@contextmanager
def _looking(home: str, name: str) -> Iterator[foreign.Look | None]:
    """Yield a look at one of Codex's databases, None when there is none."""
    path = f"{home}/{name}"
    if not os.path.lexists(path):
        yield None
        return
    if os.path.islink(path) or not os.path.isfile(path):
        raise _LeftError("is no plain file")
    try:
        with foreign.looking(path) as look:
            _check_known(look, name)
            yield look
    except (HoldfastError, UnicodeDecodeError) as error:
        raise _LeftError(f"cannot be read: {error}") from error


def _check_known(look: foreign.Look, name: str) -> None:
    versions = [int(str(row["version"])) for row in look.rows("_sqlx_migrations", {"success": 1})]
    if not versions:
        raise _LeftError("does not say how it is built")
    if max(versions) > _KNOWN[name]:
        raise _LeftError(f"is of a newer kind: its migration {max(versions)}, known here are {_KNOWN[name]}")


def _note(name: str, why: _LeftError) -> str:
    return f"Codex's own {name} {why}. It was left as it is."


def _path(home: str, name: str) -> str:
    return f"{home}/{name}"


def _size(row: Row) -> int:
    return sum(
        len(value.data if isinstance(value, Blob) else value) if isinstance(value, (Blob, str)) else 8
        for value in (row.before or {}).values()
    )
