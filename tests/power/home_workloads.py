"""A home indexed, its words found, and what people say of its threads, while the power may fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contents import Commits, commits_marked
from recorder import recorded
from replay import Promises
from workloads import Workload, check_probes, content_at, examine_state_db, look

import holdfast
from holdfast.clock import wall_ms
from holdfast.ingest import reading
from holdfast.sqlite import Store
from holdfast.state import said
from index_helpers import conversation, event, index_of, make_home, path_of, put, text, thread_id

# --- a home -------------------------------------------------------------------


def index_home(root: str, home: Path, *, count: int = 9) -> Workload:
    """A home indexed in small batches; it grows, and is indexed again."""
    make_home(home, count)
    batch, reading._BATCH = reading._BATCH, 4
    try:
        with recorded(root) as log, commits_marked(log):
            holdfast.open(home, state_dir=f"{root}/state", search=False).close()
            _go_on(home, count)
            holdfast.open(home, state_dir=f"{root}/state", search=False).close()
    finally:
        reading._BATCH = batch
    alone = Path(f"{home}-alone")
    holdfast.open(home, state_dir=alone, search=False).close()
    fresh = index_of(alone)
    shutil.rmtree(alone)
    commits = Commits(log)

    def examine(folder: str) -> bytes:
        os.makedirs(f"{folder}/state", exist_ok=True)
        # Half an index is no finding of its own: the next one goes on with it.
        seen = examine_state_db(f"{folder}/state", probes=False)
        with holdfast.open(home, state_dir=f"{folder}/state", search=False) as state:
            assert state.reports[0].complete
            with state.read() as tx:
                check_probes(tx)
        assert index_of(f"{folder}/state") == fresh, "indexed again, it is not what a fresh index is"
        return seen

    return Workload(log, examine, commits.judge)


def _go_on(home: Path, count: int) -> None:
    """Do to a home what its agents do: a thread goes on, one is archived, one begins."""
    with (home / path_of(1)).open("ab") as file:
        file.write(text([event(1, 90, type="user_message", message="and now the tests")]))
    (home / "archived_sessions").mkdir(exist_ok=True)
    (home / path_of(2)).rename(home / path_of(2, archived=True))
    put(home, path_of(count), text(conversation(count)))


def index_words(root: str, home: Path, *, count: int = 5) -> Workload:
    """The words of a home, put into ``search.db`` (durability normal); the home grows, and they follow."""
    make_home(home, count)
    state_dir = f"{root}/state"
    holdfast.open(home, state_dir=state_dir, search=False).close()
    first = content_at(state_dir)
    with recorded(root) as log, commits_marked(log):
        for turn in range(2):
            if turn:
                _go_on(home, count)
            with holdfast.open(home, state_dir=state_dir) as state:
                assert state.wait_for_search().complete
    commits = Commits(log, first=first)
    words = Commits(log, "search.db", durability="normal")

    def examine(folder: str) -> tuple[bytes, bytes]:
        folder += "/state"
        held = examine_state_db(folder, probes=False)
        with Store.open(f"{folder}/search.db", clock=wall_ms, durability="normal") as store:
            said = look(store, probes=False)
        with holdfast.open(home, state_dir=folder) as state:
            assert state.wait_for_search().complete
            hits = state.threads.search("mended", limit=100, archived=None)
            assert len({hit.thread.id for hit in hits.hits}) == count + 1
            with state.read() as tx:
                check_probes(tx)
        return held, said

    def judge(seen: tuple[bytes, bytes], promises: Promises) -> str:
        return commits.judge(seen[0], promises) or words.judge(seen[1], promises)

    return Workload(log, examine, judge)


# --- what people say ------------------------------------------------------------


def say(root: str, home: Path, *, turns: int = 10, deaf: Callable[[str], bool] = lambda _path: False) -> Workload:
    """Threads renamed and archived, each followed by its snapshot in ``backups/``; old snapshots go."""
    make_home(home, 3)
    state_dir = f"{root}/state"
    holdfast.open(home, state_dir=state_dir, search=False).close()
    first = content_at(state_dir)
    with recorded(root, deaf=deaf) as log, commits_marked(log):
        for turn in range(turns):
            id = thread_id(turn % 3)
            with holdfast.open(home, state_dir=state_dir, search=False, refresh=False) as state:
                if turn % 4 == 3:
                    state.threads.archive(id)
                    told = (id, "archived", True)
                else:
                    state.threads.rename(id, f"name of turn {turn}")
                    told = (id, "name", f"name of turn {turn}")
                log.mark("said", told)
            log.mark("kept", told)  # closing has waited for the snapshot
    commits = Commits(log, first=first)

    def examine(folder: str) -> tuple[bytes, dict[tuple[str, str], object], dict[tuple[str, str], object]]:
        folder += "/state"
        seen = examine_state_db(folder)
        snapshot = said.newest(folder)
        twice = {}
        for each in snapshot.said if snapshot else ():
            twice[each.thread_id, "name"] = each.name
            twice[each.thread_id, "archived"] = each.archived
        once: dict[tuple[str, str], object] = {}
        with holdfast.open(home, state_dir=folder, search=False, refresh=False) as state:
            for number in range(3):
                thread = state.threads.get(thread_id(number))
                assert thread is not None
                once[thread.id, "name"], once[thread.id, "archived"] = thread.name, thread.archived
        return seen, once, twice

    said_in_order = [op.value for op in log.ops if getattr(op, "what", "") == "said"]

    def judge(seen: tuple[bytes, dict[Any, object], dict[Any, object]], promises: Promises) -> str:
        held, once, twice = seen
        for where, found, done in (
            ("state.db", once, promises["said"]),
            ("the newest snapshot", twice, promises["kept"]),
        ):
            for (id, what), value in {(id, what): value for id, what, value in done}.items():
                later = [said for said in said_in_order[len(done) :] if said[:2] == (id, what)]
                if found.get((id, what)) not in (value, *(said[2] for said in later)):
                    return f"{id}: {what} {value!r} was promised, {where} has {found.get((id, what))!r}"
        return commits.judge(held, promises)

    return Workload(log, examine, judge)
