"""Codex's thread rows beside the rollouts they are made of: who has no other half, who has two, whose path is stale."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from holdfast.doctor.homes import thread_rows
from holdfast.doctor.homes.look import SqlLook
from holdfast.doctor.homes.thread_rows import VERIFIED_MAX, Home, Sorted, id_of, inode_of
from holdfast.doctor.model import Confidence, Finding, Json, Status
from holdfast.doctor.probes import unread
from holdfast.rollouts import Entry, paths
from holdfast.sqlite.inspecting import Inspection, Row

_YOUNG_S = 600
"""A file or a row so young may wait for its other half, which Codex writes a little later."""

_SHOWN = 5
_ROOTS = 20


@unread.probe
def threads_and_files(look: SqlLook) -> Iterator[Finding]:
    """Compare the rows of ``threads`` with the rollouts of the home. 50,000 of each: 1.5 s."""
    state = look.database("state")
    home = thread_rows.home_of(look)
    if home is None:
        return
    yield from _duplicates(home)
    inspection = None if state is None else look.open(state)
    if inspection is None or not {"id", "rollout_path", "archived"} <= inspection.columns("threads").keys():
        return  # Codex makes the rows when it starts
    found = thread_rows.lasting(home, inspection, thread_rows.compared(home, inspection))
    if home.whole:
        yield from _without_files(inspection, found)
    if _backfilled(inspection):
        yield from _without_threads(inspection, home, found)
    yield from _mismatched(inspection, found)
    yield from _stale(inspection, home, found)


def _backfilled(inspection: Inspection) -> bool:
    if "status" not in inspection.columns("backfill_state"):
        return True
    return inspection.value("SELECT status FROM backfill_state WHERE id = 1") in ("complete", None)


# --- the findings ------------------------------------------------------------------


def _without_files(inspection: Inspection, found: Sorted) -> Iterator[Finding]:
    rows = [row for row in found.missing if not _is_young(row.get("created_at"))]
    if not rows:
        return
    yield Finding(
        id="threads-without-files",
        status=Status.WARN,
        path=inspection.path,
        measured=f"{len(rows):,} of {len(found.ids):,} threads have a row and no rollout, neither where the row says "
        f"nor elsewhere in the home. Such as {rows[0]['id']!s}.",
        expected="Each row has its rollout.",
        confidence=Confidence.CERTAIN,
        cause="The files were deleted or moved past Codex, or a disk that holds them is not mounted. Codex hides such "
        "threads.",
        remedy="Mount the disk, or put the files back from a copy. Do so before Codex lists its threads: some versions "
        "take such rows away.",
        details={"rows": len(rows), "threads": _first(str(row["id"]) for row in rows)},
    )


def _without_threads(inspection: Inspection, home: Home, found: Sorted) -> Iterator[Finding]:
    strays = [
        entry
        for thread_id, entries in home.by_id.items()
        if thread_id not in found.ids
        for entry in entries[:1]
        if entry.size and time.time() - entry.mtime_ns / 1e9 > _YOUNG_S
    ]
    own = [entry for entry in strays[:VERIFIED_MAX] if thread_rows.is_whole(home.path, entry)]
    known = {str(row["id"]) for row in _known(inspection, own)}
    own = [entry for entry in own if id_of(entry) not in known]
    count = len(own) + max(0, len(strays) - VERIFIED_MAX)
    if not count:
        return
    yield Finding(
        id="files-without-threads",
        status=Status.WARN,
        path=inspection.path,
        measured=f"{count:,} of {len(home.by_id):,} rollouts have no row. Such as {own[0].path if own else ''}.",
        expected="Each rollout has its row: without one, Codex lists the thread in some views only, or in none.",
        confidence=Confidence.LIKELY,
        cause="The backfill ended before it had seen them, the files were put back from a copy, or the database was "
        "made anew.",
        remedy="`holdfast doctor --plan` makes a plan that makes the rows from the rollouts.",
        repair="rebuild-threads",
        details={
            "files": count,
            "threads": _first(id_of(entry) for entry in own),
            "paths": _first(e.path for e in own),
        },
    )


def _duplicates(home: Home) -> Iterator[Finding]:
    twice = {key: entries for key, entries in home.by_id.items() if len(entries) > 1}
    sure: dict[str, list[Entry]] = {}
    for thread_id, entries in list(twice.items())[:VERIFIED_MAX]:
        own = [entry for entry in entries if thread_rows.names_itself(home.path, entry, thread_id)]
        if len(own) > 1:
            sure[thread_id] = own
    if not sure:
        return
    first, entries = next(iter(sure.items()))
    yield Finding(
        id="duplicate-thread-ids",
        status=Status.WARN,
        path=home.path,
        measured=f"{len(sure):,} threads have more than one rollout. {first}: {', '.join(e.path for e in entries)}.",
        expected="One file for each thread, in `sessions` or in `archived_sessions`.",
        confidence=Confidence.CERTAIN,
        cause="A move to or from the archive was stopped in the middle, or a copy was put beside the original.",
        remedy="Compare the files; Codex goes on in one of them only. Keep both until you know which.",
        details={"threads": _first(sure), "paths": _first(entry.path for found in sure.values() for entry in found)},
    )


def _mismatched(inspection: Inspection, found: Sorted) -> Iterator[Finding]:
    if not found.misplaced:
        return
    rows = [row for row, _ in found.misplaced]
    row, entry = found.misplaced[0]
    lies = "archived" if entry.archived else "not archived"
    yield Finding(
        id="archive-mismatch",
        status=Status.WARN,
        path=inspection.path,
        measured=f"{len(rows):,} threads are archived by their row and not by their file, or the other way round. "
        f"{row['id']!s}: its file is {lies}.",
        expected="The row says where the file lies.",
        confidence=Confidence.CERTAIN,
        cause="The file was moved past Codex, or a move was stopped before the row was written.",
        remedy="`holdfast doctor --plan` makes a plan that has the rows say what the files do.",
        repair="rebuild-threads",
        details={"rows": len(rows), "threads": _first(str(row["id"]) for row in rows)},
    )


def _stale(inspection: Inspection, home: Home, found: Sorted) -> Iterator[Finding]:
    rows = [row for row, _ in found.stale]
    roots = Counter(_root(str(row["rollout_path"]), entry) for row, entry in found.stale)
    cwds = _moved_cwds(home, found.cwds, [root for root, _ in roots.most_common() if root])
    if not rows and not cwds:
        return
    elsewhere = [row for row in rows if inode_of(str(row["rollout_path"])) is not None]
    said = []
    if rows:
        most = roots.most_common(1)[0][0]
        said.append(
            f"{len(rows):,} of {len(found.ids):,} rows name a rollout in another place"
            + (f", most under {most}" if most else "")
            + "; the file lies in this home"
        )
    if elsewhere:
        said.append(
            f"{len(elsewhere):,} of those name a file that is there: another home's, which Codex would write to"
        )
    if cwds:
        old, new = next(iter(cwds.items()))
        said.append(f"{sum(found.cwds[cwd] for cwd in cwds):,} rows name a project that moved, such as {old} to {new}")
    known: dict[str, Json] = dict(roots.most_common(_ROOTS))
    moved: dict[str, Json] = dict(cwds)
    yield Finding(
        id="stale-paths",
        status=Status.WARN,
        path=inspection.path,
        measured=". ".join(each[0].upper() + each[1:] for each in said) + ".",
        expected="Paths in the rows are those of this home, and of projects that are there.",
        confidence=Confidence.CERTAIN if rows else Confidence.LIKELY,
        cause="The home or the projects were moved or copied: Codex keeps whole paths. It cannot resume such threads.",
        remedy="Start no Codex in this home until it is mended: a turn may be written into the other home. "
        "`holdfast doctor --plan` makes a plan that puts the paths right.",
        repair="reroot",
        details={
            "home": home.path,
            "rows": len(rows),
            "elsewhere": len(elsewhere),
            "roots": known,
            "cwds": moved,
            "threads": _first(str(row["id"]) for row in rows),
        },
    )


def _root(path: str, entry: Entry) -> str:
    """Return the home that a path is in, when it has the same place there as the file has here; else an empty text."""
    plain = paths.logical(path)
    return plain[: -len(entry.path) - 1] if plain.endswith("/" + entry.path) else ""


def _moved_cwds(home: Home, cwds: Counter[str], roots: Sequence[str]) -> dict[str, str]:
    """Return projects that are not where they were and lie at the same place beside the home, old path to new."""
    new = os.path.dirname(os.path.realpath(home.path))
    found: dict[str, str] = {}
    for cwd in cwds:
        for old in (os.path.dirname(root) for root in roots):
            moved = new + cwd[len(old) :]
            if len(old) > 1 and cwd.startswith(old + "/") and not os.path.exists(cwd) and os.path.isdir(moved):
                found[cwd] = moved
                break
    return found


# --- files -------------------------------------------------------------------------


def _known(inspection: Inspection, entries: Sequence[Entry]) -> Iterator[Row]:
    for entry in entries:
        yield from inspection.rows("SELECT id FROM threads WHERE id = ?", (id_of(entry),))


def _is_young(created_s: object) -> bool:
    return isinstance(created_s, int) and time.time() - created_s < _YOUNG_S


def _first(texts: Iterable[str]) -> list[Json]:
    return list(islice(texts, _SHOWN))
