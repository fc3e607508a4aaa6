"""Codex's own rows are changed with its files: exactly those, beside whoever uses them, and back again.

The databases are those Codex 0.169 made. Their owner is played by another
process with the standard library's SQLite, as careless as any.
"""

from __future__ import annotations

import json
import os
import re
import tarfile

import pytest

import holdfast
from holdfast import receipts
from holdfast.changes import Rows
from holdfast.sqlite import foreign
from holdfast.state import codex_rows
from homes import FIXTURES
from processes import children

OWNER = """
import json, sqlite3
home = sys.argv[1]
db = {name: sqlite3.connect(f"{home}/{name}", isolation_level=None, timeout=1) for name in os.listdir(home)
      if name.endswith(".sqlite")}
for each in db.values():
    each.execute("PRAGMA journal_mode = WAL")  # as Codex has them

def dump():
    found = {}
    for name in sorted(db):
        for (table,) in db[name].execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            if not table.startswith(("sqlite_", "_sqlx")) and table != "queued_thread_revisions":
                cursor = db[name].execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in cursor.description]
                found[f"{name} {table}"] = sorted(repr(dict(zip(columns, row))) for row in cursor)
    return found

while True:
    name, sql, values = json.loads(hear())
    if name == "dump":
        say(json.dumps(dump()))
    elif name == "threads":
        cursor = db["state_5.sqlite"].execute("SELECT * FROM threads")
        columns = [column[0] for column in cursor.description]
        say(json.dumps({row[0]: dict(zip(columns, row)) for row in cursor}))
    else:
        say(json.dumps(db[name].execute(sql, values).fetchall()))
"""

ADD = """INSERT INTO threads (id, rollout_path, created_at, updated_at, source, model_provider, cwd, title,
    sandbox_policy, approval_mode, archived, history_mode)
    VALUES (?, ?, 1, 2, 'cli', 'mock', '/', 'first words', '', '', ?, ?)"""


class Owner:
    """Codex, at work in its home."""

    def __init__(self, child, home):
        self.child, self.home = child, home

    def ask(self, name, sql="", *values):
        self.child.tell(json.dumps([name, sql, values]))
        return json.loads(self.child.line())

    def do(self, name, sql, *values):
        return self.home.change(lambda: self.ask(name, sql, *values))

    def row(self, id):
        return self.ask("threads")[id]

    def leave(self):
        """Close everything, as the last who has it open: the files are whole then, without a log."""
        self.home.change(self.child.end)
        self.home.change(lambda: [foreign.turn(Rows(str(path), ())) for path in databases(self.home)])


def databases(home):
    return sorted(home.path.glob("*.sqlite"))


@pytest.fixture
def owner(make_home, open_state):
    """The owner of a home with a thread that has a sub-agent, a paginated thread, and an archived one."""
    home = make_home()
    home.top = home.thread("begin")
    home.child = home.thread("look there", parent=home.top)
    home.paginated = home.thread("numbered", paginated=True)
    home.archived = home.thread("long ago", archived=True)

    def unpack():
        with tarfile.open(FIXTURES / "codex-home-0.169.tar.gz") as archive:
            for member in archive.getmembers():
                if member.name.endswith(".sqlite"):
                    member.name = os.path.basename(member.name)
                    archive.extract(member, home.path, filter="data")

    home.change(unpack)
    with children("") as start:
        owner = Owner(start(OWNER, home), home)
        for table in ("threads", "thread_spawn_edges"):
            owner.do("state_5.sqlite", f"DELETE FROM {table}")
        for id in (home.top, home.child, home.paginated, home.archived):
            mode = "paginated" if id == home.paginated else "legacy"
            owner.do("state_5.sqlite", ADD, id, str(home.file(id)), id == home.archived, mode)
        owner.do("state_5.sqlite", "INSERT INTO thread_spawn_edges VALUES (?, ?, 'open')", home.top, home.child)
        owner.do("thread_history_1.sqlite", "INSERT INTO thread_history_projection_state VALUES (?, 7, 3)", home.top)
        owner.do(
            "logs_2.sqlite",
            "INSERT INTO logs (ts, ts_nanos, level, target, thread_id) VALUES (1, 2, 'I', 't', ?)",
            home.child,
        )
        yield owner, open_state(home)
        home.change(owner.child.end)  # its going changes what lies beside its files


CHANGES = {
    "archive": lambda home, state: state.in_home.archive(home.top),
    "unarchive": lambda home, state: state.in_home.unarchive(home.archived),
    "rename": lambda home, state: state.in_home.rename(home.top, " näw "),
    "rename paginated": lambda home, state: state.in_home.rename(home.paginated, "näw"),
    "git": lambda home, state: state.in_home.set_git(home.top, branch="b", sha=None, origin_url="u"),
    "git paginated": lambda home, state: state.in_home.set_git(home.paginated, branch="b"),
    "memory": lambda home, state: state.in_home.set_memory_mode(home.top, "disabled"),
    "memory paginated": lambda home, state: state.in_home.set_memory_mode(home.paginated, "disabled"),
    "delete": lambda home, state: state.in_home.delete(home.top),
}
SET = {
    "archive": {
        "top": {"rollout_path", "archived", "archived_at"},
        "child": {"rollout_path", "archived", "archived_at"},
    },
    "unarchive": {"archived": {"rollout_path", "archived", "updated_at", "updated_at_ms"}},
    "rename": {"top": {"title"}},
    "rename paginated": {"paginated": {"name"}},
    "git": {"top": {"git_branch", "git_origin_url"}},
    "git paginated": {"paginated": {"git_branch"}},
    "memory": {"top": {"memory_mode"}},
    "memory paginated": {"paginated": {"memory_mode"}},
    "delete": {},
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_columns_that_codex_sets_are_set_and_undone_beside_its_own_connections(owner, what):
    owner, state = owner
    home = owner.home
    before, threads = owner.ask("dump"), owner.ask("threads")

    done = home.change(lambda: CHANGES[what](home, state))

    now = owner.ask("threads")
    changed = {id: {key for key in row if now[id][key] != row[key]} for id, row in threads.items() if id in now}
    assert {id: keys for id, keys in changed.items() if keys} == {
        getattr(home, who): keys for who, keys in SET[what].items()
    }
    for id, row in now.items():
        assert row["rollout_path"] == str(home.file(id))
    assert now.get(home.top, {}).get("title") != " näw "
    if what == "delete":
        assert threads.keys() - now.keys() == {home.top, home.child}
        assert home.top not in json.dumps(owner.ask("dump")) and home.child not in json.dumps(owner.ask("dump"))
    assert [note for note in done.notes if "left as it is" in note] == []

    home.change(lambda: state.in_home.undo(done.receipt))
    assert owner.ask("dump") == before
    home.change(lambda: state.in_home.undo(done.receipt))
    assert owner.ask("dump") == before


@pytest.mark.parametrize("what", CHANGES)
def test_nothing_is_left_beside_a_database_that_nobody_uses(owner, what):
    owner, state = owner
    home = owner.home
    owner.leave()
    before = {path.name for path in home.path.iterdir()}
    assert not any(name.endswith(("-wal", "-shm")) for name in before)

    done = home.change(lambda: CHANGES[what](home, state))
    home.change(lambda: state.in_home.undo(done.receipt))

    made = {path.name for path in home.path.iterdir()} - before
    assert made <= {"thread-writer-locks", "session_index.jsonl.lock", "archived_sessions"}
    assert {path.read_bytes()[18:20] for path in databases(home)} == {b"\2\2"}  # still with a write-ahead log


def test_a_dry_run_looks_and_leaves_no_trace(owner):
    owner, state = owner
    home = owner.home
    used = state.in_home.delete(home.top, dry_run=True)
    owner.leave()
    unused = state.in_home.delete(home.top, dry_run=True)
    home.check()
    for planned in (used, unused):
        told = [change.path for change in planned.plan.changes if isinstance(change, Rows)]
        names = ("thread_history_1.sqlite", "logs_2.sqlite", "state_5.sqlite")
        assert (told, planned.notes) == ([str(home.path / name) for name in names], ())


def test_while_somebody_else_writes_the_database_nothing_is_done(owner, monkeypatch):
    owner, state = owner
    home = owner.home
    monkeypatch.setattr(foreign, "WAIT_MS", 50)
    files = {path: path.read_bytes() for path in home.files()}
    owner.do("state_5.sqlite", "BEGIN IMMEDIATE")

    for what in CHANGES:
        with pytest.raises(holdfast.Busy):
            home.change(lambda what=what: CHANGES[what](home, state))

    assert state.in_home.receipts() == []
    assert {path: path.read_bytes() for path in home.files()} == files
    owner.do("state_5.sqlite", "ROLLBACK")
    done = home.change(lambda: state.in_home.archive(home.top))
    owner.do("state_5.sqlite", "BEGIN IMMEDIATE")
    with pytest.raises(holdfast.Busy):
        home.change(lambda: state.in_home.undo(done.receipt))
    assert state.in_home.receipts()[0].state == "done"


def test_a_row_that_codex_changed_since_is_not_undone_but_other_seconds_are(owner):
    owner, state = owner
    home = owner.home
    done = home.change(lambda: state.in_home.archive(home.top))
    owner.do("state_5.sqlite", "UPDATE threads SET archived_at = archived_at + 1 WHERE id = ?", home.top)
    home.change(lambda: state.in_home.undo(done.receipt))
    assert (owner.row(home.top)["archived"], owner.row(home.top)["archived_at"]) == (0, None)

    done = home.change(lambda: state.in_home.rename(home.top, "mine"))
    owner.do("state_5.sqlite", "UPDATE threads SET title = 'theirs' WHERE id = ?", home.top)
    with pytest.raises(holdfast.Refused, match=r"changed since, by somebody else: rows of .*state_5\.sqlite"):
        home.change(lambda: state.in_home.undo(done.receipt))
    assert owner.row(home.top)["title"] == "theirs"


def test_rows_changed_between_planning_and_doing_stop_it_before_anything_is_done(owner, monkeypatch):
    owner, state = owner
    home = owner.home
    written = receipts.write

    def meanwhile(*args):
        owner.do("state_5.sqlite", "UPDATE threads SET archived = 1 WHERE id = ?", home.top)
        return written(*args)

    monkeypatch.setattr(receipts, "write", meanwhile)
    with pytest.raises(holdfast.Stale, match="nothing was done"):
        home.change(lambda: state.in_home.archive(home.top))
    assert home.file(home.top).parent.name != "archived_sessions"
    assert state.in_home.receipts() == []


def test_no_row_is_overwritten_that_is_not_as_it_was_seen(owner):
    owner, state = owner
    home = owner.home
    (_, rows) = state.in_home.rename(home.top, "mine", dry_run=True).plan.changes
    owner.do("state_5.sqlite", "UPDATE threads SET title = 'theirs' WHERE id = ?", home.top)
    for back in (False, True):
        with pytest.raises(holdfast.Stale):
            home.change(lambda back=back: foreign.turn(rows, back=back))
    assert owner.row(home.top)["title"] == "theirs"


def drop_name(owner):
    owner.do("state_5.sqlite", "ALTER TABLE threads DROP COLUMN name")


def newer(owner):
    owner.do("state_5.sqlite", "INSERT INTO _sqlx_migrations VALUES (63, 'x', '', 1, x'', 0)")


def elsewhere(owner):
    owner.do("state_5.sqlite", "UPDATE threads SET rollout_path = '/elsewhere' || rollout_path")


def garble(owner):
    owner.leave()
    path = owner.home.path / "state_5.sqlite"
    owner.home.change(lambda: path.write_bytes(b"garbled!" * 1024))


def link(owner):
    owner.leave()
    path = owner.home.path / "state_5.sqlite"
    owner.home.change(lambda: (path.rename(f"{path}.real"), path.symlink_to(f"{path}.real")))


LEFT = [
    (drop_name, "rename paginated", "has no column threads.name"),
    (newer, "archive", "is of a newer kind: its migration 63, known here are 62"),
    (newer, "delete", "is of a newer kind"),
    (elsewhere, "archive", "says that the file of thread .* is /elsewhere/"),
    (garble, "archive", "cannot be read: "),
    (garble, "delete", "cannot be read: "),
    (link, "rename", "is no plain file"),
]


@pytest.mark.parametrize(("damage", "what", "why"), LEFT, ids=lambda value: getattr(value, "__name__", None))
def test_a_database_that_cannot_be_understood_is_left_as_it_is_and_that_is_told(owner, damage, what, why):
    owner, state = owner
    home = owner.home
    damage(owner)
    before = (home.path / "state_5.sqlite").read_bytes()

    done = home.change(lambda: CHANGES[what](home, state))

    notes = [note for note in done.notes if "state_5" in note]
    assert notes and all(re.search(why, note) and note.endswith("It was left as it is.") for note in notes)
    assert (home.path / "state_5.sqlite").read_bytes() == before
    assert home.change(lambda: state.in_home.undo(done.receipt)).state == "undone"


def test_what_codex_keeps_in_its_database_only_is_refused_without_one(owner):
    owner, state = owner
    newer(owner)
    for what in ("git paginated", "memory paginated"):
        with pytest.raises(holdfast.Refused, match="in its own database only"):
            owner.home.change(lambda what=what: CHANGES[what](owner.home, state))
    with pytest.raises(holdfast.Refused, match="is not one of"):
        owner.home.change(lambda: state.in_home.set_memory_mode(owner.home.paginated, "polluted"))


def test_more_than_a_receipt_can_hold_stays_and_that_is_told(owner, monkeypatch):
    owner, state = owner
    monkeypatch.setattr(
        codex_rows, "COPIED_BYTES_MAX", 200
    )  # more than the log line, less than the rows of two threads

    done = owner.home.change(lambda: state.in_home.delete(owner.home.top))

    assert any("state_5.sqlite keeps 3 rows" in note and "too much for a receipt" in note for note in done.notes)
    assert owner.home.top in owner.ask("threads")
    assert owner.ask("logs_2.sqlite", "SELECT count(*) FROM logs WHERE thread_id = ?", owner.home.child) == [[0]]


def test_a_database_that_was_lost_meanwhile_does_not_stop_the_undoing(owner):
    owner, state = owner
    home = owner.home
    done = home.change(lambda: state.in_home.archive(home.top))
    owner.leave()
    home.change(lambda: [path.unlink() for path in home.path.glob("*.sqlite*")])

    assert home.change(lambda: state.in_home.undo(done.receipt)).state == "undone"
    assert home.file(home.top).parent.name != "archived_sessions"
    assert databases(home) == []


def test_a_database_that_was_garbled_meanwhile_can_be_moved_out_of_the_way(owner):
    owner, state = owner
    home = owner.home
    done = home.change(lambda: state.in_home.archive(home.top))
    garble(owner)

    with pytest.raises(holdfast.Damaged) as refused:
        home.change(lambda: state.in_home.undo(done.receipt))
    assert "moved away" in refused.value.remedy
    home.change((home.path / "state_5.sqlite").unlink)
    assert home.change(lambda: state.in_home.undo(done.receipt)).state == "undone"
