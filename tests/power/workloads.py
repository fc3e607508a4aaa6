"""What is done while the power may fail, what was promised meanwhile, and what an image must then hold.

A workload is recorded once (``run``), and then its images are looked at with
``examine`` and ``judge`` (see ``replay.py``). Everything goes through the doors
a program would use: ``Store``, ``holds``, ``holdfast.open``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contents import Commits, check_integrity, commits_marked, content_of
from faults import Fault
from recorder import Recorder, recorded
from replay import Promises

from holdfast import holds, schema
from holdfast.clock import wall_ms
from holdfast.engine import Read
from holdfast.errors import HoldfastError
from holdfast.holds import Denied, Hold, Owner
from holdfast.sqlite import Store
from holdfast.sqlite.settings import Durability
from rows import findings, statement


@dataclass(frozen=True, slots=True)
class Workload:
    """A recorded run, and how its images are looked at and judged."""

    log: Recorder
    examine: Callable[[str], Any]
    judge: Callable[[Any, Promises], str]


def open_state_db(folder: str) -> Store:
    """Open ``state.db`` as ``holdfast.open`` does, and bring it to today's shape."""
    store = Store.open(f"{folder}/state.db", clock=wall_ms)
    try:
        schema.migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def look(store: Store, *, probes: bool = True) -> bytes:
    """Return what a database holds; raise when it is not sound."""
    with store.read() as tx:
        check_integrity(tx)
        if probes and tx.user_version:
            check_probes(tx)
        return content_of(tx)


def check_probes(tx: Read) -> None:
    found = findings(tx)
    assert found == [], f"probes: {found[:2]}"


def examine_state_db(folder: str, *, probes: bool = True) -> bytes:
    with Store.open(f"{folder}/state.db", clock=wall_ms) as store:
        return look(store, probes=probes)


# --- creation -----------------------------------------------------------------


def creation(root: str) -> Workload:
    """A new state.db and all its migrations, the anchor of its clock, and the last close."""
    with recorded(root) as log, commits_marked(log):
        store = Store.open(f"{root}/state.db", clock=wall_ms)
        log.mark("made")
        schema.migrate(store)
        schema.anchored_clock(store)
        store.close()
    commits = Commits(log)

    def examine(folder: str) -> tuple[bool, bytes]:
        made = _is_made(f"{folder}/state.db")
        seen = examine_state_db(folder)
        open_state_db(folder).close()  # what was cut short is gone on with
        return made, seen

    def judge(seen: tuple[bool, bytes], promises: Promises) -> str:
        made, held = seen
        if promises["made"] and not made:
            return "the store was open, and its file is no database in WAL mode any more"
        return commits.judge(held, promises)

    return Workload(log, examine, judge)


def _is_made(path: str) -> bool:
    """Return True for a database whose header says WAL, and beside which no journal lies that would take that back."""
    if not os.path.exists(path):
        return False
    if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal") > 32:
        return True  # the header may be in the log, and the one in the file half copied
    with open(path, "rb") as file:
        header = file.read(100)
    journal = b""
    if os.path.exists(f"{path}-journal"):
        with open(f"{path}-journal", "rb") as file:
            journal = file.read(8)
    # Bytes 18 and 19: how it is written and read (sqlite.org/fileformat.html); a journal's first eight are its magic.
    return header[18:20] == b"\2\2" and journal != b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"


# --- commits, checkpoints, closes ------------------------------------------------

_NOTES = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT; CREATE INDEX notes_text ON notes (text)"
)
_INSERT = statement("INSERT INTO notes (text) VALUES (:text)")
_UPDATE = statement("UPDATE notes SET text = text || :text WHERE id % 3 = 0")
_DELETE = statement("DELETE FROM notes WHERE id % 5 = 0")


def notes(root: str, *, durability: Durability = "full", judged: str = "", rounds: int = 3) -> Workload:
    """A database of one's own: commits of several pages, the log emptied in between, closed and opened again."""
    with recorded(root) as log, commits_marked(log):
        for turn in range(rounds):
            with Store.open(f"{root}/notes.db", clock=wall_ms, durability=durability) as store:
                if turn == 0:
                    with store.write() as tx:
                        tx.script(_NOTES)
                for n in range(6):
                    with store.write() as tx:
                        for _ in range(1 + n % 3):
                            tx.run(_INSERT, text=f"{turn} {n} " + "x" * (700 * n))
                        if n % 2:
                            tx.run(_UPDATE, text="y" * 40)
                        if n == 4:
                            tx.run(_DELETE)
                    if n == 3:
                        empty_log(store)
    commits = Commits(log, "notes.db", durability=judged or durability)

    def examine(folder: str) -> bytes:
        with Store.open(f"{folder}/notes.db", clock=wall_ms, durability=durability) as store:
            return look(store)

    return Workload(log, examine, commits.judge)


def failed_sync(root: str, nth: int) -> Workload | None:
    """Commits, of which one sync fails; whoever was told so asks, in a write, and goes on. None: no ``nth`` sync."""
    fault = Fault("sync")
    with recorded(root) as log, commits_marked(log), Store.open(f"{root}/notes.db", clock=wall_ms) as store:
        with store.write() as tx:
            tx.script(_NOTES)
        log.faults.arm(fault, nth)
        for n in range(8):
            try:
                with store.write() as tx:
                    tx.run(_INSERT, text=f"{n} " + "x" * 900 * (n % 3))
                if n in (2, 5):
                    empty_log(store)
            except HoldfastError:
                log.faults.lift()
                with store.write():
                    pass  # what this finds is promised: see ``commits_marked``
        with store.read():
            log.faults.lift()
    if not log.faults.hits:
        return None
    commits = Commits(log, "notes.db")

    def examine(folder: str) -> bytes:
        with Store.open(f"{folder}/notes.db", clock=wall_ms) as store:
            return look(store)

    return Workload(log, examine, commits.judge)


def empty_log(store: Store) -> None:
    """Do what the janitor does when the log has grown: TRUNCATE, with baton and seat."""
    core: Any = store._core
    with core.baton.exclusive(0, 1 << 62):
        core.wal.truncate()


# --- holds --------------------------------------------------------------------

_RESOURCES = ("index:1", "task:7", "board")


def owner(label: str) -> Owner:
    """An owner of this process, told from others by its label, as indexers are."""
    return holds.me(label)


def hold_turns(root: str, *, turns: int = 12) -> Workload:
    """Taken, renewed, released, and taken by others: every fence that was told is noted."""
    open_state_db(root).close()
    first = content_at(root)
    with recorded(root) as log, commits_marked(log), Store.open(f"{root}/state.db", clock=wall_ms) as store:
        held: dict[str, Hold] = {}
        for turn in range(turns):
            resource = _RESOURCES[turn % len(_RESOURCES)]
            with store.write() as tx:
                answer = holds.take(tx, resource, owner(f"owner {turn}"), lease_ms=60_000, is_dead=lambda _: True)
            assert isinstance(answer, Hold)
            held[resource] = answer
            log.mark("fence", (resource, answer.fence))
            with store.write() as tx:
                held[resource] = holds.renew(tx, held[resource], lease_ms=90_000, note=f"{turn} %")
            if turn % 4 == 3:
                with store.write(reserve=True) as tx:
                    assert holds.release(tx, held.pop(resource))
            if turn % 5 == 4:
                empty_log(store)
    return Workload(log, *_holds_judged(log, first))


def group_commits(root: str, *, threads: int = 4, turns: int = 6) -> Workload:
    """Several threads that take holds at once, and share commits; each notes what it was told."""
    open_state_db(root).close()
    first = content_at(root)
    with recorded(root) as log, commits_marked(log), Store.open(f"{root}/state.db", clock=wall_ms) as store:
        failed: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(turns):
                    with store.write(wait_ms=60_000) as tx:
                        label = f"thread {number}, turn {turn}"
                        answer = holds.take(tx, f"task:{number}", owner(label), lease_ms=60_000, is_dead=lambda _: True)
                    assert isinstance(answer, Hold)
                    log.mark("fence", (answer.resource, answer.fence))
            except BaseException as error:
                failed.append(error)

        crowd = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        with store.write():  # so that they queue up, and the first group is large
            for thread in crowd:
                thread.start()
        for thread in crowd:
            thread.join()
        assert not failed, failed
    return Workload(log, *_holds_judged(log, first))


def content_at(root: str) -> bytes:
    """Return the digest of the state's database in this folder."""
    with Store.open(f"{root}/state.db", clock=wall_ms) as store, store.read() as tx:
        return content_of(tx)


def _holds_judged(log: Recorder, first: bytes) -> tuple[Callable[[str], Any], Callable[[Any, Promises], str]]:
    commits = Commits(log, first=first)

    def examine(folder: str) -> tuple[bytes, dict[str, int]]:
        fences = {}
        with open_state_db(folder) as store:
            seen = look(store)
            with store.read() as tx:
                known = [hold.resource for hold in holds.listing(tx)]
            with store.write() as tx:
                for resource in {*known, *_RESOURCES}:
                    answer = holds.take(tx, resource, owner("survivor"), lease_ms=1_000, is_dead=lambda _: True)
                    assert not isinstance(answer, Denied)
                    fences[resource] = answer.fence
        return seen, fences

    def judge(seen: tuple[bytes, dict[str, int]], promises: Promises) -> str:
        held, fences = seen
        for resource, told in promises["fence"]:
            if fences.get(resource, 0) <= told:
                return f"{resource} was given out with fence {told}, and again with {fences.get(resource)}"
        return commits.judge(held, promises)

    return examine, judge
