"""What only people said (names, git, deleted, tools, ...), kept a second time: small snapshots beside the database.

Everything else in ``state.db`` can be folded again from the rollouts; this
cannot. So each change is followed by a snapshot, and a rebuild reads the
newest one that is whole.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from holdfast import folders, holds, ids
from holdfast.engine import Engine, Read, Write
from holdfast.state.directory import BACKUPS
from holdfast.threads import edges, homes, store
from holdfast.threads.model import Home
from holdfast.tools import store as tool_rows

KEPT = 8
"""Snapshots in ``backups/``; the oldest goes first."""

_PREFIX = "said-"
_HOUR_MS = 3_600_000


class Said(msgspec.Struct, frozen=True):
    """What a person said of one thread."""

    home: str
    thread_id: str
    name: str | None = None
    archived: bool | None = None
    archived_ms: int | None = None
    git_sha: str | None = None
    git_branch: str | None = None
    git_origin_url: str | None = None
    memory_mode: str | None = None
    deleted_ms: int | None = None


class SaidEdge(msgspec.Struct, frozen=True):
    """Who a person, or a harness, said spawned whom."""

    home: str
    child: str
    parent: str
    status: str


class SaidTools(msgspec.Struct, frozen=True):
    """Which threads of a home were said to have this list of tools (JSON): each list once, threads are many."""

    home: str
    tools: str
    threads: tuple[str, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """Everything people said, the homes that were known, the epoch of the fences, and the revision it is of."""

    epoch: int
    homes: tuple[str, ...]
    said: tuple[Said, ...]
    revision: int = 0
    version: int = 1
    edges: tuple[SaidEdge, ...] = ()
    tools: tuple[SaidTools, ...] = ()

    def everything(self) -> set[object]:
        """Return all that was said, piece by piece, so that two snapshots can be compared."""
        tools = {(each.home, each.tools, thread) for each in self.tools for thread in each.threads}
        return {*self.said, *self.edges, *tools}


def read(tx: Read) -> Snapshot:
    """Return what people said, from the database. Scans the threads of every home."""
    rows = tx.rows(store.SAID)
    said = tuple(
        Said(
            home=row["home"],
            thread_id=ids.text(row["thread_id"]),
            name=row["name_said"],
            archived=None if row["archived_said"] is None else bool(row["archived_said"]),
            archived_ms=row["archived_said_ms"],
            git_sha=row["git_sha_said"],
            git_branch=row["git_branch_said"],
            git_origin_url=row["git_origin_url_said"],
            memory_mode=row["memory_mode_said"],
            deleted_ms=row["deleted_said_ms"],
        )
        for row in rows
    )
    spawned = tuple(
        SaidEdge(row["home"], ids.text(row["child_id"]), ids.text(row["parent_id"]), row["status"])
        for row in tx.rows(edges.SAID_EDGES)
    )
    # What was said of a home before its index was lost is said again when the new one is whole.
    known = tuple(home.path for home in homes.listing(tx) if home.indexed_ms is not None)
    return Snapshot(holds.epoch(tx), known, said, store.revision(tx), edges=spawned, tools=_tools(tx))


def _tools(tx: Read) -> tuple[SaidTools, ...]:
    found: dict[tuple[str, str], list[str]] = {}
    for row in tx.rows(tool_rows.SAID_TOOLS):
        found.setdefault((row["home"], row["tools"]), []).append(ids.text(row["thread_id"]))
    return tuple(SaidTools(home, tools, tuple(threads)) for (home, tools), threads in found.items())


def with_absent(snapshot: Snapshot, before: Snapshot | None) -> Snapshot:
    """Return ``snapshot`` with what ``before`` holds of homes that it does not know."""
    if before is None:
        return snapshot
    return msgspec.structs.replace(
        snapshot,
        said=snapshot.said + tuple(each for each in before.said if each.home not in snapshot.homes),
        edges=snapshot.edges + tuple(each for each in before.edges if each.home not in snapshot.homes),
        tools=snapshot.tools + tuple(each for each in before.tools if each.home not in snapshot.homes),
    )


def moment(tx: Read) -> tuple[int, int]:
    """Return which moment of the database this is: a snapshot of it, or of a later one, holds all said by then."""
    return holds.epoch(tx), store.revision(tx)


def holds_all_of(state_dir: str, said_at: tuple[int, int]) -> bool:
    """Return True when the newest snapshot is of that ``moment`` or later, whoever wrote it."""
    latest = newest(state_dir)
    return latest is not None and latest.epoch == said_at[0] and latest.revision >= said_at[1]


def is_kept(engine: Engine, state_dir: str) -> bool:
    """Return True when the newest snapshot holds what the database does. Reads an index of what was said."""
    with engine.read() as tx:
        now = read(tx)
    if not now.everything():
        return True
    latest = newest(state_dir)
    return latest is not None and now.everything() <= latest.everything()


def save(engine: Engine, state_dir: str, *, before: Snapshot | None = None) -> None:
    """Write a snapshot, whole or not at all, and let the oldest go. Two syncs.

    What ``before`` (None: the newest snapshot) holds of homes that this
    database does not know is handed on: they may come back.
    """
    folder = os.path.join(state_dir, BACKUPS)
    folders.make(folder)
    # In a write, although nothing is written: what others say, in whatever process, is committed
    # before, and then in here, or after, and then in a snapshot with a later name.
    with engine.write(wait_ms=30_000) as tx:
        _put(folder, with_absent(read(tx), before or newest(state_dir)))
    for old in [*_names(folder)[KEPT:], *_left_behind(folder)]:
        with suppress(FileNotFoundError):  # another process tidies up, too
            os.unlink(os.path.join(folder, old))


def _put(folder: str, snapshot: Snapshot) -> None:
    # Later than every other, also when the clock was set back.
    name = f"{_PREFIX}{max([time.time_ns() // 1_000_000, *(_ms(each) + 1 for each in _names(folder))]):015d}.json"
    partial = os.path.join(folder, f".{name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(snapshot), indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, os.path.join(folder, name))
    except BaseException:
        os.unlink(partial)
        raise
    folders.sync(folder)


def newest(state_dir: str) -> Snapshot | None:
    """Return the newest snapshot that can be read, or None."""
    folder = os.path.join(state_dir, BACKUPS)
    for name in _names(folder):
        try:
            with open(os.path.join(folder, name), "rb") as file:
                return msgspec.json.decode(file.read(), type=Snapshot)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None


def restore(tx: Write, snapshot: Snapshot, home: Home) -> int:
    """Say again what ``snapshot`` holds of ``home``, where nothing newer was said; return of how many threads.

    Of threads that have no rollout any more, that is only who spawned them and their tools.
    """
    edges.restore(
        tx,
        [
            {"home_id": home.home_id, "child_id": child, "parent_id": parent, "status": edge.status}
            for edge in snapshot.edges
            if edge.home == home.path
            if (child := ids.parse(edge.child)) is not None and (parent := ids.parse(edge.parent)) is not None
        ],
        store.next_revision(tx),
    )
    tool_rows.restore(
        tx,
        home.home_id,
        [
            (id16, each.tools)
            for each in snapshot.tools
            if each.home == home.path
            for thread in each.threads
            if (id16 := ids.parse(thread)) is not None
        ],
    )
    return store.restore_said(
        tx,
        [
            {
                "home_id": home.home_id,
                "thread_id": id16,
                "name_said": said.name,
                "archived_said": None if said.archived is None else int(said.archived),
                "archived_said_ms": said.archived_ms,
                "git_sha_said": said.git_sha,
                "git_branch_said": said.git_branch,
                "git_origin_url_said": said.git_origin_url,
                "memory_mode_said": said.memory_mode,
                "deleted_said_ms": said.deleted_ms,
            }
            for said in snapshot.said
            if said.home == home.path and (id16 := ids.parse(said.thread_id)) is not None
        ],
    )


def replace(tx: Write, snapshot: Snapshot, home: Home) -> int:
    """Say of ``home`` what ``snapshot`` holds, in place of what was said before; return of how many threads.

    For a database older than the snapshot. When the snapshot is of the same
    file, only later, it holds all there is to say, and what it does not hold
    was taken back; otherwise its silence may be a loss, and takes back nothing.
    """
    before = read(tx)
    follows = snapshot.epoch == before.epoch and home.path in snapshot.homes
    silenced = {
        said.thread_id for said in (*snapshot.said, *(before.said if follows else ())) if said.home == home.path
    }
    store.forget_said(tx, [{"home_id": home.home_id, "thread_id": ids.parse(thread_id)} for thread_id in silenced])
    return restore(tx, snapshot, home)


def raise_epoch(tx: Write, before: Snapshot | None) -> None:
    """In a database made anew, make every fence larger than any that the one before it gave."""
    # Hours since 1970 are above any epoch that was ever counted up by one, and fit (rules.COUNTER_BITS).
    holds.raise_epoch(tx, max((before.epoch if before else 0) + 1, tx.now_ms // _HOUR_MS))


def _names(folder: str) -> list[str]:
    try:
        found = os.listdir(folder)
    except OSError:
        return []
    return sorted((name for name in found if _ms(name)), key=_ms, reverse=True)


def _ms(name: str) -> int:
    digits = name.removeprefix(_PREFIX).removesuffix(".json")
    return int(digits) if name == f"{_PREFIX}{digits}.json" and digits.isdecimal() else 0


def _left_behind(folder: str) -> list[str]:
    """Return the snapshots that a process began an hour ago and did not live to finish."""
    found = []
    for name in os.listdir(folder):
        if name.startswith(f".{_PREFIX}"):
            with suppress(FileNotFoundError):
                if time.time() - os.stat(os.path.join(folder, name)).st_mtime > _HOUR_MS / 1000:
                    found.append(name)
    return found
