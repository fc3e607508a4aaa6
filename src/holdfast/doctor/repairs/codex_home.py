"""What the repairs of a Codex home share: its files, who is at work on them, and its state database.

Its rows are read and changed as a neighbour would (``sqlite.foreign``): for a
process that may open databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from holdfast import lockfiles
from holdfast.changes import Append, Change, Mode, Plan, Remove, Rewrite, Row, Rows, Value, paths_of
from holdfast.doctor import holding
from holdfast.doctor.homes import recognising
from holdfast.doctor.model import Database, Finding, Json, Target
from holdfast.doctor.repairs.repair import Action
from holdfast.errors import Refused
from holdfast.receipts import families
from holdfast.rollouts import Scan, ScanRequest, paths, scan_many, walk
from holdfast.rollouts.writing.lock import lock_path
from holdfast.sqlite import foreign
from holdfast.threads import rules

Record = dict[str, Value]
OwnChange = Append | Mode | Remove | Rewrite | Rows

_STATE_NEWEST = 62
"""The newest migration of ``state_5.sqlite`` that we know, of Codex 0.169."""


def plan(title: str, home: str, changes: Iterable[OwnChange], thread_ids: Sequence[str] = ()) -> Plan:
    """Return a plan of the doctor's, with the files it names as they are now.

    ``thread_ids``: whose rollouts it changes. Whoever undoes it holds their locks.
    """
    made: tuple[Change, ...] = tuple(changes)
    named = dict.fromkeys(path for change in made for path in paths_of(change))
    seen = tuple(families.seen(path) for path in named)
    return Plan(title=title, folder=home, subjects=tuple(thread_ids), changes=made, seen=seen, by="doctor")


def state_of(target: Target) -> Database:
    """Return the database of the threads. Raises ``Refused`` when there is none that we know."""
    found = [each for each in target.databases if each.role == "state"]
    if not found:
        raise Refused(f"{target.path} has no database of threads: Codex makes one from the rollouts when it starts")
    newest = max(found, key=lambda each: each.generation or 0)
    if not newest.known:
        raise Refused(f"{newest.path} is of a generation that this version does not know: its rows are left alone")
    return newest


def is_about(finding: Finding, target: Target) -> bool:
    """Whether a finding is about this home of Codex: itself, or one of its databases or files."""
    return target.kind == "codex" and is_in(finding.path, target)


def is_in(path: str, target: Target) -> bool:
    """Whether a path is the target, lies in it, or is one of its databases, which may lie elsewhere."""
    return path == target.path or path.startswith(f"{target.path}/") or path in {each.path for each in target.databases}


def target_of(action: Action, name: str = "home") -> Target:
    """Return what a plan's argument says its action is in. Raises ``Refused`` unless it is so: plans are files."""
    path = text_of(action.arguments, name)
    target = recognising.recognise(path)
    if target is None or target.path != path or not is_in(action.path, target):
        raise Refused(f"{action.path} is nothing of {path}, which the plan says it is of")
    return target


def counted(count: int, what: str) -> str:
    """Return a number of things, in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def text_of(arguments: Mapping[str, Json], name: str) -> str:
    """Return a text of a plan's arguments. Raises ``Refused`` for anything else."""
    found = arguments.get(name)
    if not isinstance(found, str) or not found:
        raise Refused(f"the plan does not say {name}")
    return found


@contextmanager
def looking(path: str) -> Iterator[foreign.Look]:
    """Look at a database without a trace. Raises as ``foreign.looking``, and ``Refused`` for texts not in UTF-8."""
    try:
        with foreign.looking(path) as look:
            yield look
    except UnicodeDecodeError as error:
        raise Refused(f"a text in {path} is no UTF-8, so its rows are left alone") from error


@contextmanager
def looking_at_threads(path: str) -> Iterator[foreign.Look]:
    """Look at the database of threads. Raises as ``looking``, and ``Refused`` when it is none of Codex's."""
    with looking(path) as look:
        if not {"id", "rollout_path"} <= set(look.columns("threads")):
            raise Refused(f"{path} has no table of threads as Codex makes it")
        yield look


def newer_words(look: foreign.Look) -> tuple[str, ...]:
    """Return, for a person, that the database is of a newer Codex than we know; nothing when it is not."""
    if not look.columns("_sqlx_migrations"):
        return ()
    newest = max((int(str(row["version"])) for row in look.rows("_sqlx_migrations", {"success": 1})), default=0)
    if newest <= _STATE_NEWEST:
        return ()
    return (f"The database is of a newer Codex (its migration {newest}, known here are {_STATE_NEWEST}): columns that "
            "we do not know keep what they have, and have their default in new rows.",)  # fmt: skip


def rows_by_id(look: foreign.Look) -> dict[str, Record]:
    """Return every row of ``threads``. Reads all of them at once."""
    return {str(row["id"]): row for row in look.rows("threads", {})}


def scans(home: str) -> dict[bytes, list[Scan]]:
    """Return every rollout that says whose it is, by the 16 bytes of the id; the one that speaks for it first.

    Reads every rollout of the home. One whose name is no UTF-8 is left out: no row could hold it.
    """
    found: dict[bytes, list[Scan]] = {}
    requests = [ScanRequest(home=home, path=entry.path, zst=entry.zst, size=entry.size) for entry in walk(home)
                if paths.is_text(entry.path)]  # fmt: skip
    for scanned in scan_many(requests):
        if scanned.status == "ok" and scanned.facts is not None and scanned.facts.thread_id is not None:
            of_it = found.setdefault(scanned.facts.thread_id, [])
            of_it.insert(0 if of_it and rules.better(_claim(scanned), _claim(of_it[0])) else len(of_it), scanned)
    return found


def _claim(scanned: Scan) -> tuple[bool, int, str]:
    return scanned.archived, scanned.facts.updated_ms if scanned.facts else 0, scanned.path


def at_work(home: str, files: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return who is writing a thread, in words, by its id. ``files``: the rollouts of each, absolute and plain.

    That is whoever has its writer's lock, and whoever has the file open at all: an
    older Codex takes no lock. Costs a ``stat`` for each descriptor of each process.
    """
    found: dict[str, str] = {}
    for thread_id in files:
        if holders := lockfiles.holders(lock_path(home, thread_id)):
            found[thread_id] = ", ".join(map(str, holders))
    whose = {each: thread_id for thread_id, its in files.items() for path in its for each in (path, path + paths.ZST)}
    for path, who in openers(whose).items():
        found.setdefault(whose[path], who)
    return found


def openers(files: Iterable[str]) -> dict[str, str]:
    """Return who has these files open, in words, by path. A ``stat`` for each descriptor of each process.

    Processes of other users cannot be looked into, unless this is root. Raises ``Busy`` when that takes a minute.
    """
    wanted: dict[tuple[int, int], str] = {}
    for path in files:
        with suppress(OSError):
            info = os.stat(path)
            wanted[info.st_dev, info.st_ino] = path
    if not wanted:
        return {}
    found, _ = holding.openers(set(wanted), except_fds=set())
    return {wanted[identity]: str(who) for who, identity in found}


def updated(row: Record, after: Record) -> Row:
    """Return the change of a row of ``threads``: only the columns that are to be set, as they are and will be."""
    return Row("threads", {"id": row["id"]}, {column: row[column] for column in after}, after)
