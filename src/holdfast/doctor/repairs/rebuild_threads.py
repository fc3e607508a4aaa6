"""``rebuild-threads``: Codex's index of threads again as its rollouts tell it: missing rows, and wrong columns.

No row is deleted, and what only the database knows stays (``thread_columns``). All
is one transaction among those of whoever else uses the database, so it is safe
while Codex runs; threads that somebody is writing are left to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from holdfast import ids
from holdfast.changes import Row, Rows
from holdfast.doctor.model import Finding, Json, Target
from holdfast.doctor.repairs import codex_home, thread_columns
from holdfast.doctor.repairs.repair import Action, Outcome, Work
from holdfast.doctor.repairs.thread_columns import Record
from holdfast.errors import Refused
from holdfast.rollouts import Scan, ThreadFacts, inherit, read_names

_EDGES = "thread_spawn_edges"
_EDGE_COLUMNS = {"parent_thread_id", "child_thread_id", "status"}
_GENERATIONS_MAX = 64  # of forks of forks
_BYTES_MAX = 64 << 20
"""Of the rows of one receipt, and so of one transaction."""


class _Wrong(msgspec.Struct):
    """What is wrong with the rows of a home: ``missing`` and ``wrong`` are threads, ``rows`` what mends them."""

    threads: int
    missing: list[str] = []
    wrong: dict[str, list[str]] = {}
    fileless: list[str] = []
    rows: list[Row] = []
    files: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    refused: str = ""


class RebuildThreads:
    """For any finding about the rows of a home: it is compared whole, whatever the finding was about."""

    name = "rebuild-threads"

    def propose(self, finding: Finding, target: Target) -> Action | None:
        """See ``Repair``."""
        if not codex_home.is_about(finding, target):
            return None
        database = codex_home.state_of(target)
        return Action(
            repair=self.name,
            path=database.path,
            what=f"Compare every row of {database.path} with the rollouts of {target.path}: add the rows that are"
            " missing, and set right what the files tell otherwise, in one transaction.",
            keeps="Every row stays, and in it what only the database knows: names, pins, sections, projects, the memory"
            " mode, titles and git facts that are set. Threads that somebody is writing are left to them.",
            live=True,
            can_undo=True,
            finding=finding.id,
            arguments={"home": target.path},
        )

    def carry_out(self, action: Action, work: Work) -> Outcome:
        """See ``Repair``."""
        home = codex_home.target_of(action).path
        work.tell("reading the rollouts")
        scans = codex_home.scans(home)
        found = _compare(action.path, home, scans)
        if found.refused:
            raise Refused(found.refused)
        busy = codex_home.at_work(home, {each: found.files.get(each, []) for each in (*found.missing, *found.wrong)})
        rows, left = _fitting(row for row in found.rows if _thread_of(row) not in busy)
        more = (f"Left for the next time: {codex_home.counted(len(left), 'thread')}.",) if left else ()
        notes = (*more, *found.notes, *(f"{each} was left to {who}, who is writing it" for each, who in busy.items()))
        receipt = None
        if rows:
            work.tell("writing rows", 0, len(rows))
            plan = codex_home.plan(f"rebuild rows of threads of {home}", home, [Rows(action.path, tuple(rows))])
            receipt = work.change(plan)
        after = _compare(action.path, home, scans)
        done = {_thread_of(row) for row in rows}
        added = len([each for each in found.missing if each in done])
        changed = {each: columns for each, columns in found.wrong.items() if each in done}
        return Outcome(
            said=f"{codex_home.counted(added, 'row')} added and {len(changed)} set right{_by_column(changed.values())}",
            gone=not set(after.missing) - set(busy) and not set(after.wrong) - set(busy),
            before=_figures(found),
            after=_figures(after),
            receipt=receipt,
            notes=notes,
        )


def _thread_of(row: Row) -> str:
    return str(row.key["id" if row.table == "threads" else "child_thread_id"])


def _fitting(rows: Iterable[Row]) -> tuple[list[Row], set[str]]:
    """Return the rows that one receipt may hold, and the threads whose rows it does not."""
    kept: list[Row] = []
    left: set[str] = set()
    size = 0
    for row in rows:
        size += sum(len(value) if isinstance(value, str) else 8 for value in (row.after or {}).values())
        if size > _BYTES_MAX or _thread_of(row) in left:
            left.add(_thread_of(row))
        else:
            kept.append(row)
    return kept, left


def _figures(found: _Wrong) -> dict[str, Json]:
    return {
        "rows": found.threads,
        "missing": len(found.missing),
        "wrong": len(found.wrong),
        "without_file": len(found.fileless),
    }


def _compare(path: str, home: str, scans: Mapping[bytes, list[Scan]]) -> _Wrong:
    with codex_home.looking_at_threads(path) as look:
        columns = look.columns("threads")
        rows = codex_home.rows_by_id(look)
        required = look.required("threads")
        edges: set[str] | None = None
        if set(look.columns(_EDGES)) >= _EDGE_COLUMNS:
            edges = {str(edge["child_thread_id"]) for edge in look.rows(_EDGES, {})}
        found = _Wrong(threads=len(rows), notes=codex_home.newer_words(look))
    names = read_names(home)
    facts = _with_bases(scans)
    for id16, its in scans.items():
        thread_id = ids.text(id16)
        row = rows.get(thread_id)
        scan = _of_row(home, row, its) or its[0]
        said = _told(home, scan, facts[id16] if scan is its[0] else scan.facts, names.get(id16))
        found.files[thread_id] = [f"{home}/{each.path}" for each in its]
        if row is None:
            found.missing.append(thread_id)
            new = thread_columns.new_row(thread_id, said, columns)
            if unknown := sorted(required - set(new)):
                found.refused = f"a row of {path} needs {unknown[0]}, which this version does not know: none is added"
            found.rows.append(Row("threads", {"id": thread_id}, None, new))
            parent = scan.facts.parent_thread_id if scan.facts is not None else None
            if edges is not None and thread_id not in edges and parent is not None:
                found.rows.append(_edge(ids.text(parent), thread_id))
        elif after := thread_columns.set_right(row, said, lies_elsewhere=_of_row(home, row, its) is None):
            found.wrong[thread_id] = list(after)
            found.rows.append(codex_home.updated(row, after))
    known = {ids.text(id16) for id16 in scans}
    found.fileless = [thread_id for thread_id in rows if thread_id not in known]
    if found.fileless:
        found.notes += (
            f"Left as they are, without a rollout in this home: {codex_home.counted(len(found.fileless), 'row')}.",
        )
    return found


def _of_row(home: str, row: Record | None, its: Iterable[Scan]) -> Scan | None:
    """Return the rollout of this thread that its row names."""
    if row is None:
        return None
    path = os.path.realpath(str(row["rollout_path"]).removesuffix(".zst"))
    return next((scan for scan in its if os.path.realpath(f"{home}/{scan.path}") == path), None)


def _told(home: str, scan: Scan, facts: ThreadFacts | None, name: str | None) -> Record:
    assert facts is not None  # a scan that is ok has them
    return thread_columns.told(
        facts,
        path=f"{home}/{scan.path}",
        archived=scan.archived,
        written_ms=scan.mtime_ns // 1_000_000,
        name=name,
    )


def _with_bases(scans: Mapping[bytes, list[Scan]]) -> dict[bytes, ThreadFacts]:
    """Return the facts of each thread, with what it has from the thread whose first lines are its own."""
    own = {id16: its[0].facts for id16, its in scans.items()}
    found: dict[bytes, ThreadFacts] = {}

    def whole(id16: bytes, depth: int) -> ThreadFacts | None:
        facts = own.get(id16)
        if id16 in found or facts is None:
            return found.get(id16)
        base = whole(facts.base_thread_id, depth + 1) if facts.base_thread_id and depth < _GENERATIONS_MAX else None
        found[id16] = facts if base is None else inherit(facts, base)
        return found[id16]

    for id16 in own:
        whole(id16, 0)
    return found


def _edge(parent: str, child: str) -> Row:
    # `open` is what Codex leaves when it ends; that one was closed stands in the database only.
    after = {"parent_thread_id": parent, "child_thread_id": child, "status": "open"}
    return Row(_EDGES, {"child_thread_id": child}, None, dict(after))


def _by_column(changed: Iterable[Iterable[str]]) -> str:
    counts: dict[str, int] = {}
    for columns in changed:
        for column in columns:
            counts[column] = counts.get(column, 0) + 1
    if not counts:
        return ""
    return f" ({', '.join(f'{column} {count}' for column, count in sorted(counts.items()))})"


REPAIR = RebuildThreads()
