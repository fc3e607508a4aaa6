"""What the real Codex 0.169 makes of a home that was changed with `in_home`: `make codex` runs these.

Without a database Codex reads the files, and sees everything but the name of a
paginated thread. With one it believes its rows, so these are changed, too: what
it lists, reads and resumes is then what it does after its own commands, given
in a twin of the home, whether it is started anew or was running all the time.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from bench import codex_peer

import holdfast
from holdfast.rollouts import writer_lock
from homes import MadeHome

pytestmark = pytest.mark.codex

LEGACY = "01a1fa08-2b2b-7a90-ac4c-b3ba844b7475"
RENAMED = "01a1fa08-2161-7e32-870d-1d50962ff311"
DELETED = "01a1fa08-2024-7ff2-9f39-596ae012912d"
PAGINATED = "01a1fa07-e64e-7e01-8d7f-ea55f73c38fc"
NAMED = "01a1fa07-e510-75b1-999a-9b38734d56a8"
ARCHIVED = "01a1fa08-2a48-7fa2-a9dc-e968a91457b8"
SPAWNER = "01a1fa0b-589d-7420-a3a3-86c4f7ca642c"  # it started two sub-agents
CONCERNED = [LEGACY, RENAMED, DELETED, PAGINATED, NAMED, ARCHIVED, SPAWNER]
EVERYTHING = {"modelProviders": [], "sourceKinds": codex_peer.EVERY_SOURCE}
PICKER = {"sourceKinds": ["cli", "vscode", "exec"]}
"""As Codex's own lists ask: of the provider in use. For these it looks at the files, for everything it does not."""

TIMES = {"updated_at", "updated_at_ms", "archived_at", "created_at_ms", "updatedAt"}
"""What two homes have of their own: when it was done, and the digits Codex adds to keep its times apart."""


TRIGGERED = ("queued_thread_revisions",)
"""What a trigger counts up with every change of another table, also when it is taken back."""


@pytest.fixture
def home(tmp_path):
    """A home as Codex left it, without databases: theirs name the paths of another machine."""
    return fresh(tmp_path)


@pytest.fixture
def known_home(home):
    """The same, and Codex has made its database of it."""
    return known(home)


@pytest.fixture
def twin(tmp_path):
    """Another such home, for Codex's own commands."""
    return known(fresh(tmp_path / "twin"))


@pytest.fixture
def state(home, state_dir):
    with holdfast.open(home, state_dir=state_dir, search=False) as state:
        yield state


def fresh(folder):
    recorded = MadeHome.recorded("0.169", folder)
    forget_databases(recorded)
    return recorded


def known(home):
    with codex_peer.running(home.path):
        pass
    return home


def forget_databases(home):
    for file in home.path.glob("*.sqlite*"):
        file.unlink()


def listed(peer, filters=EVERYTHING):
    """Return what Codex lists: by id, ``archived``, name and branch."""
    found = {}
    for archived in (False, True):
        for each in peer.call("thread/list", {"limit": 100, "archived": archived, **filters})["data"]:
            assert each["id"] not in found
            found[each["id"]] = (archived, each["name"], (each["gitInfo"] or {}).get("branch"))
    return found


def tells(peer, home):
    """Return all that Codex says of the threads that were changed: lists, what it reads, whether it resumes them."""
    answers = [listed(peer), listed(peer, PICKER)]
    for id in CONCERNED:
        read = answer(peer, "thread/read", id)
        answers.append({key: value for key, value in read.get("thread", read).items() if key not in TIMES})
        answers.append(answer(peer, "thread/resume", id).keys() - {"initialTurnsPage"})
        answer(peer, "thread/unsubscribe", id)
    return json.loads(json.dumps(answers, default=sorted).replace(str(home), "HOME"))


def answer(peer, method, id):
    try:
        return peer.call(method, {"threadId": id})
    except codex_peer.NoPeerError as error:
        return {"error": str(error)}


def records(home, but=TIMES):
    """Return every row that Codex keeps, without its logs of itself and those columns."""
    found = {}
    for path in sorted(home.path.glob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                if table.startswith(("sqlite_", "_sqlx")) or table in ("backfill_state", *TRIGGERED):
                    continue
                cursor = db.execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in cursor.description]
                for values in cursor:
                    row = dict(zip(columns, values, strict=True))
                    if table != "logs" or row["thread_id"]:
                        told = {key: value for key, value in row.items() if key not in but}
                        found.setdefault(f"{path.name} {table}", []).append(repr(told).replace(str(home), "HOME"))
    return {table: sorted(rows) for table, rows in found.items()}


def change_it_all(state):
    return [
        state.threads.archive(LEGACY, in_home=True),
        state.threads.archive(PAGINATED, in_home=True),
        state.threads.archive(SPAWNER, in_home=True),
        state.threads.unarchive(ARCHIVED, in_home=True),
        state.threads.rename(RENAMED, "given here", in_home=True),
        state.threads.rename(NAMED, "given here, too", in_home=True),
        state.in_home.set_git(RENAMED, branch="made here"),
        state.in_home.delete(DELETED),
    ]


def change_paginated(state):
    """What there is of paginated threads in the database only."""
    return [
        state.in_home.set_git(NAMED, branch="made here", sha=None),
        state.in_home.set_memory_mode(NAMED, "disabled"),
    ]


def as_codex_would(peer):
    peer.call("thread/archive", {"threadId": LEGACY})
    peer.call("thread/archive", {"threadId": PAGINATED})
    peer.call("thread/archive", {"threadId": SPAWNER})
    peer.call("thread/unarchive", {"threadId": ARCHIVED})
    peer.call("thread/name/set", {"threadId": RENAMED, "name": "given here"})
    peer.call("thread/name/set", {"threadId": NAMED, "name": "given here, too"})
    peer.call("thread/metadata/update", {"threadId": RENAMED, "gitInfo": {"branch": "made here"}})
    peer.call("thread/delete", {"threadId": DELETED})


def as_codex_would_paginated(peer):
    peer.call("thread/metadata/update", {"threadId": NAMED, "gitInfo": {"branch": "made here", "sha": None}})
    peer.call("thread/memoryMode/set", {"threadId": NAMED, "mode": "disabled"})


def undo_it_all(state, done):
    for change in reversed(done):
        assert state.in_home.undo(change.receipt).state == "undone"


def test_codex_sees_in_the_files_what_was_done_and_what_was_undone(home, state):
    with codex_peer.running(home.path) as peer:
        before = listed(peer)
    forget_databases(home)
    done = change_it_all(state)

    with codex_peer.running(home.path) as peer:
        now = listed(peer)

    assert now[LEGACY][0] and now[PAGINATED][0] and not now[ARCHIVED][0]
    assert now[RENAMED] == (False, "given here", "made here")
    assert DELETED not in now
    assert now[NAMED][1] is None  # it keeps the names of paginated threads in its database only
    others = set(before) - {LEGACY, PAGINATED, ARCHIVED, RENAMED, DELETED}
    assert {id: now[id] for id in others if not now[id][0]} == {id: before[id] for id in others if not now[id][0]}

    forget_databases(home)
    undo_it_all(state, done)
    with codex_peer.running(home.path) as peer:
        assert listed(peer) == before


def test_codex_with_rows_of_its_own_lists_reads_and_resumes_as_after_its_own_commands(known_home, state, twin):
    before = records(known_home, but=())
    done = change_it_all(state) + change_paginated(state)
    with codex_peer.running(twin.path) as peer:
        as_codex_would(peer)
        as_codex_would_paginated(peer)

    assert records(known_home) == records(twin)
    assert [note for change in done for note in change.notes if "left as it is" in note] == []
    after = records(known_home)
    undo_it_all(state, done)
    assert records(known_home, but=()) == before
    done = change_it_all(state) + change_paginated(state)
    assert records(known_home) == after
    with codex_peer.running(known_home.path) as ours, codex_peer.running(twin.path) as theirs:
        assert tells(ours, known_home) == tells(theirs, twin)


def test_a_codex_that_was_running_all_the_time_does_so_too(known_home, state, twin):
    with codex_peer.running(known_home.path) as ours, codex_peer.running(twin.path) as theirs:
        for peer in (ours, theirs):
            listed(peer)
        change_it_all(state)
        change_paginated(state)
        as_codex_would(theirs)
        as_codex_would_paginated(theirs)

        assert tells(ours, known_home) == tells(theirs, twin)


def test_codex_goes_on_from_what_was_done_here(known_home, state):
    change_it_all(state)

    with codex_peer.running(known_home.path) as peer:
        for id in (LEGACY, PAGINATED):
            assert peer.call("thread/unarchive", {"threadId": id})["thread"]["id"] == id
        assert peer.call("thread/archive", {"threadId": ARCHIVED}) == {}
        with pytest.raises(codex_peer.NoPeerError):
            peer.call("thread/read", {"threadId": DELETED})


@pytest.mark.parametrize("running", [False, True])
def test_codex_with_rows_of_its_own_is_content_again_once_it_is_undone(known_home, state, twin, running):
    if running:
        with codex_peer.running(known_home.path) as ours, codex_peer.running(twin.path) as theirs:
            undo_it_all(state, change_it_all(state) + change_paginated(state))
            assert tells(ours, known_home) == tells(theirs, twin)
        return
    undo_it_all(state, change_it_all(state) + change_paginated(state))
    with codex_peer.running(known_home.path) as ours, codex_peer.running(twin.path) as theirs:
        assert tells(ours, known_home) == tells(theirs, twin)


def test_a_deletion_takes_the_rows_that_codex_takes_and_undoing_brings_each_back(known_home, state, twin):
    for home in (known_home, twin):
        with codex_peer.running(home.path) as peer:
            peer.call("thread/resume", {"threadId": NAMED})  # makes the projection of its history
            turns = peer.call("thread/read", {"threadId": NAMED, "includeTurns": True})["thread"]["turns"]
        strew(home, NAMED)
    before = records(known_home, but=())
    assert sum(NAMED in repr(rows) for rows in before.values()) == 16

    done = state.in_home.delete(NAMED)
    with codex_peer.running(twin.path) as peer:
        peer.call("thread/delete", {"threadId": NAMED})

    assert records(known_home) == records(twin)
    assert (done.notes, state.in_home.undo(done.receipt).state) == ((), "undone")
    assert records(known_home, but=()) == before
    with codex_peer.running(known_home.path) as peer:
        read = peer.call("thread/read", {"threadId": NAMED, "includeTurns": True})
        assert (read["thread"]["turns"], bool(turns)) == (turns, True)


def strew(home, id):
    """Put rows of a thread into every table that has a place for them, but its turns: Codex is to read these."""
    for path in sorted(home.path.glob("*.sqlite")):
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                info = db.execute(f"PRAGMA table_info({table})").fetchall()
                names = {name for _, name, *_ in info}
                if table in ("thread_turns", "thread_items", *TRIGGERED) or not names & {"thread_id", "job_key"}:
                    if table == "thread_spawn_edges":
                        db.execute("INSERT INTO thread_spawn_edges VALUES (?, ?, 'open')", (SPAWNER, id))
                    continue
                for number in range(2):
                    given = {name: filler(name, kind, number) for _, name, kind, must, default, key in info
                             if key or (must and default is None)}  # fmt: skip
                    given |= dict.fromkeys(names & {"thread_id", "job_key"}, id)
                    columns, marks = ", ".join(given), ", ".join("?" * len(given))
                    db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", list(given.values()))


def filler(name, kind, number):
    if name == "kind":
        return ["memory_stage1", "other"][number]
    if name == "status":
        return "active"
    return 1000 + number if "INT" in kind else b"\0x" if kind == "BLOB" else f"text {number}"


def test_a_thread_that_codex_has_open_is_left_alone(home, state):
    with codex_peer.running(home.path) as peer:
        peer.call("thread/resume", {"threadId": RENAMED})
        for change in (state.in_home.archive, state.in_home.delete):
            with pytest.raises(holdfast.Busy, match=rf"is locked by pid {peer.pid}"):
                change(RENAMED)
    assert state.in_home.receipts() == []


def test_codex_leaves_a_thread_alone_that_is_locked_here(home):
    with codex_peer.running(home.path) as peer:
        with (
            writer_lock(str(home), RENAMED),
            pytest.raises(codex_peer.NoPeerError, match="active writer"),
        ):
            peer.call("thread/archive", {"threadId": RENAMED})
        assert peer.call("thread/archive", {"threadId": RENAMED}) == {}


def test_the_same_changes_made_by_codex_leave_the_same_files(home, state, tmp_path):
    theirs = fresh(tmp_path / "theirs")
    with codex_peer.running(theirs.path) as peer:
        as_codex_would(peer)
    change_it_all(state)

    assert rollouts(home) == rollouts(theirs)


def rollouts(home):
    """Return where every rollout lies and how large it is, and the names, without their times."""
    sizes = {str(file.relative_to(home.path)): file.stat().st_size for file in home.files()}
    lines = (home.path / "session_index.jsonl").read_text().splitlines()
    return sizes, [line.partition('"updated_at"')[0] for line in lines]
