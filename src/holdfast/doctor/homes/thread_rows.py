"""Codex's thread rows beside the rollouts of its home: which belong together, and which have no other half."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import NamedTuple

from holdfast import ids, rollouts
from holdfast.doctor.homes import recognising
from holdfast.doctor.homes.look import SqlLook
from holdfast.rollouts import Entry, paths
from holdfast.sqlite import paging
from holdfast.sqlite.inspecting import Inspection, Row

VERIFIED_MAX = 500
"""Of what looks wrong, so much is looked at a second time."""

_SETTLED_S = 0.3
_READ_BYTES_MAX = 1 << 20  # of a file that is read to its end; a larger one has turns


class Home(NamedTuple):
    """What lies in a home. ``whole``: every folder of it could be listed."""

    path: str
    by_id: dict[str, list[Entry]]
    whole: bool

    def inside(self, path: str) -> str | None:
        """Return ``path`` relative to the home, in the plain spelling; None for one that is not in it."""
        for root in (self.path, os.path.realpath(self.path)):
            if path.startswith(root.rstrip("/") + "/"):
                return paths.logical(path[len(root.rstrip("/")) + 1 :])
        return None


class Sorted(NamedTuple):
    """Thread rows by what is wrong with them: each with the file that is its own, where there is one."""

    missing: list[Row]
    stale: list[tuple[Row, Entry]]
    misplaced: list[tuple[Row, Entry]]
    cwds: Counter[str]
    ids: set[str]


def home_of(look: SqlLook) -> Home | None:
    """Return what lies in the home; None for a folder that is there for databases only."""
    path = look.target.path
    if not recognising.is_sessions_home(path):
        return None
    by_id: dict[str, list[Entry]] = {}
    for entry in look.rollouts.entries:
        id16 = paths.name_id(entry.path)
        if id16 is not None:
            by_id.setdefault(ids.text(id16), []).append(entry)
    has_sessions = os.path.isdir(os.path.join(path, paths.SESSIONS))
    return Home(path, by_id, has_sessions and look.rollouts.whole)


def compared(home: Home, inspection: Inspection) -> Sorted:
    """Read every row, and find its file. 50,000 rows: 0.5 s. Raises ``UnreadError``."""
    has = inspection.columns("threads")
    columns = [name for name in ("id", "rollout_path", "archived", "cwd", "created_at") if name in has]
    found = Sorted([], [], [], Counter(), set())
    for page in paging.pages(inspection, "threads", columns):
        for row in page:
            found.ids.add(str(row["id"]))
            found.cwds[str(row.get("cwd") or "")] += 1
            _sort(home, row, found)
    return found


def _sort(home: Home, row: Row, found: Sorted) -> None:
    entries = home.by_id.get(str(row["id"]), [])
    path = str(row["rollout_path"])
    inside = home.inside(path)
    own = next((entry for entry in entries if entry.path == inside), None)
    if own is None and inside is None and entries:
        own = next((entry for entry in entries if inode_of(path) == entry.inode), None)
    if own is None and not entries:
        if inode_of(path) is None:
            found.missing.append(row)
        return
    entry = own or entries[0]
    if bool(row["archived"]) != entry.archived and len(entries) == 1:
        found.misplaced.append((row, entry))
    elif own is None:
        found.stale.append((row, entry))


def inode_of(path: str) -> int | None:
    """Return the inode of a rollout in whichever spelling it is there."""
    for spelling in (path, path + paths.ZST):
        try:
            return os.stat(spelling).st_ino
        except OSError:
            continue
    return None


def lasting(home: Home, inspection: Inspection, found: Sorted) -> Sorted:
    """Return what is still so a moment later, of files that nobody touched meanwhile: the rest is somebody's work.

    Of each kind 500 rows are looked at again. Takes 0.3 s when there is one.
    """
    pairs = [*found.stale[:VERIFIED_MAX], *found.misplaced[:VERIFIED_MAX]]
    missing = found.missing[:VERIFIED_MAX]
    if not pairs and not missing:
        return found
    before = {str(row["id"]): _mark(home, row, entry) for row, entry in pairs}
    time.sleep(_SETTLED_S)
    kept = {
        str(row["id"])
        for row, entry in pairs
        if before[str(row["id"])] == _mark(home, row, entry) and before[str(row["id"])][0] and _is_same(inspection, row)
    }
    kept |= {
        str(row["id"]) for row in missing if inode_of(str(row["rollout_path"])) is None and _is_same(inspection, row)
    }
    return found._replace(
        missing=[row for row in missing if str(row["id"]) in kept] + found.missing[VERIFIED_MAX:],
        stale=[pair for pair in found.stale[:VERIFIED_MAX] if str(pair[0]["id"]) in kept] + found.stale[VERIFIED_MAX:],
        misplaced=[pair for pair in found.misplaced[:VERIFIED_MAX] if str(pair[0]["id"]) in kept]
        + found.misplaced[VERIFIED_MAX:],
    )


def _mark(home: Home, row: Row, entry: Entry) -> tuple[int | None, int | None]:
    """Return what changes when the file of a row is moved: when it last was, and what lies where the row says."""
    try:
        moved_ns = os.stat(file_of(home.path, entry)).st_ctime_ns
    except OSError:
        moved_ns = None
    return moved_ns, inode_of(str(row["rollout_path"]))


def _is_same(inspection: Inspection, row: Row) -> bool:
    now = inspection.rows("SELECT rollout_path, archived FROM threads WHERE id = ?", (row["id"],))
    return bool(now) and all(now[0][name] == row[name] for name in ("rollout_path", "archived"))


def file_of(home: str, entry: Entry) -> str:
    """Return where the file of an entry lies, in the spelling that is there."""
    return f"{home}/{entry.path}{paths.ZST if entry.zst else ''}"


def id_of(entry: Entry) -> str:
    """Return the thread that the name of a file says, or an empty text."""
    id16 = paths.name_id(entry.path)
    return "" if id16 is None else ids.text(id16)


def names_itself(home: str, entry: Entry, thread_id: str) -> bool:
    """Whether the file says, too, that it is this thread's. Reads its head."""
    id16 = rollouts.verify(file_of(home, entry))
    return id16 is not None and ids.text(id16) == thread_id


def is_whole(home: str, entry: Entry) -> bool:
    """Whether Codex would make a row of it: it says which thread it is, and somebody said something in it."""
    if entry.size > _READ_BYTES_MAX:
        return names_itself(home, entry, id_of(entry))
    scan = rollouts.scan(entry.path, home=home, zst=entry.zst)
    return scan.status == "ok" and scan.facts is not None and bool(scan.facts.preview)
