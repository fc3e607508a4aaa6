"""A state is moved to the other engine: every row arrives, nothing of before counts there, and no kill loses it."""

from __future__ import annotations

import os
import random
import threading

import pytest

import holdfast
from engines import open_engine
from holdfast import holds, postgres, schema
from holdfast.errors import Busy, Damaged, Refused, Stale
from holdfast.state import moved, moving_rows
from processes import children
from rows import findings, statement

WAYS = ("to the server", "to a directory")


@pytest.fixture(params=WAYS)
def ends(request, state_dir, tmp_path, schema_url):
    """Where a state is, and where it shall be: a path and a URL, either way round."""
    if request.param == WAYS[0]:
        return str(state_dir), schema_url
    return schema_url, str(tmp_path / "back")


@pytest.fixture
def left(ends, make_home):
    """A state at the first end, with a bit of everything; return the home and a hold that was released."""
    home = make_home()
    ids = [home.thread(f"thread {n}") for n in range(3)]
    with opened(ends[0], home) as state:
        state.threads.rename(str(ids[0]), "named")
        state.threads.archive(str(ids[1]))
        with state.write() as tx:
            hold = holds.take(tx, "work", holds.me(), lease_ms=60_000)
        with state.write() as tx:
            holds.release(tx, hold)
        state.jobs.enqueue("k", "1", payload={"n": 1})
    return home, hold


def opened(where, *homes):
    return holdfast.open(list(homes), state_dir=where, search=False)


def store_at(where):
    return open_engine(where if postgres.is_url(where) else os.path.join(where, "state.db"))


def content(where, *, clean=False):
    """Return every row of every table that is moved, read by SQL of this test's own."""
    found = {}
    with store_at(where) as store, store.read() as tx:
        for table in moving_rows.TABLES:
            rows = [dict(row) for row in tx.rows(statement(f"SELECT * FROM {table}"))]
            if table == "counters":
                rows = [row for row in rows if row["name"] == "revision"]
            if clean:
                rows = [{k: v.replace("\0", "\ufffd") if isinstance(v, str) else v for k, v in r.items()} for r in rows]
            found[table] = sorted(([*sorted(row.items())] for row in rows), key=repr)
    return found


# --- every row -------------------------------------------------------------------------------------------------------

_CHOICES = {
    ("jobs", "status"): ["ready", "resting", "done", "failed", "cancelled", "forgotten"],
    ("jobs", "on_failure"): ["retry", "terminal"],
    ("thread_edges", "status"): ["open", "closed"],
    ("backfill_notes", "status"): ["pending", "running", "complete"],
    ("memory_scopes", "dirty"): [0, 1],
    ("tasks", "status"): ["triage", "todo", "scheduled", "ready", "blocked", "review", "done", "cancelled"],
    ("tasks", "archived_from"): [None],
    ("tasks", "workspace_kind"): ["scratch", "directory", "worktree"],
    ("task_links", "gate"): ["none", "done", "passed", "failed", "ended"],
    ("task_runs", "ended_ms"): [0, 1 << 40],
    ("task_runs", "outcome"): ["completed", "crashed", "released"],
    ("board_requests", "scope"): ["any", "open"],
    ("board_caps", "running_max"): [0, 5],
}
_LETTERS = "aé漢😀 '\"\\%:$\n\0\x7f"


def random_rows(store, rng, count):
    """Put ``count`` rows of random values into every table, such as its constraints allow."""
    columns = {}
    with store.read() as tx:
        for row in tx.rows(statement(
            "SELECT m.name AS t, c.name AS c, c.type AS type, c.\"notnull\" AS needed FROM sqlite_schema m,"
            " pragma_table_xinfo(m.name) c WHERE m.type = 'table' AND c.hidden = 0"
        )):  # fmt: skip
            columns.setdefault(row["t"], []).append((row["c"], row["type"], row["needed"]))
    made = {}
    for table in moving_rows.TABLES[:-1]:
        with store.write() as tx:
            for n in range(1, count + 1):
                values = {c: _value(rng, table, c, kind, needed, n, made) for c, kind, needed in columns[table]}
                made.setdefault(table, []).append(values)
                names = ", ".join(f'"{name}"' for name in values)
                marks = ", ".join(f":{name}" for name in values)
                tx.run(statement(f"INSERT INTO {table} ({names}) VALUES ({marks})"), **values)


def _value(rng, table, column, kind, needed, n, made):
    if (table, column) in _CHOICES:
        return rng.choice(_CHOICES[table, column])
    match column:
        case "label_id" | "job_id" | "n" | "list_id" | "board_id" | "task_id" | "run_id" | "event_id" | "seq":
            return n * 3
        case "comment_id" | "attachment_id":
            return n * 3
        case "child_id" | "parent_id" if table == "task_links":
            return n * 3
        case "stage":
            return rng.choice(["work", "review"])
        case "gates_open" | "gates_vetoed" | "children_open" | "links":
            return rng.randrange(1 << 40)
        case "home_id":
            return n
        case "file_id":
            return n * 70_000  # as a server gives them
        case "digest" | "child_id" | "parent_id":
            return rng.randbytes(8) + n.to_bytes(8, "big")
        case "thread_id" if table == "thread_memories":
            return made["threads"][n - 1]["thread_id"]
        case "thread_id" if table != "files":
            return rng.randbytes(8) + n.to_bytes(8, "big")
        case "file_list_id" | "said_list_id":
            return rng.choice([None, n * 3])
        case "memory_mode_said":
            return rng.choice([None, "enabled", "disabled", "polluted"])
        case "renewed_ms" | "expires_ms":
            return 1_000 + n  # released
        case "fence":
            return rng.randrange(1, 1 << 50)
        case "archived_said" | "archived_file":
            return rng.randrange(2)
        case "running_max":
            return rng.choice([None, 0, 5])
    if not needed and rng.random() < 0.3:
        return None
    if kind == "BLOB":
        return rng.randbytes(rng.randrange(40))
    if kind == "INTEGER":
        return rng.choice([0, 1, -1, rng.randrange(1 << 40), (1 << 63) - 1, -(1 << 63)])
    return f"{n}" + "".join(rng.choices(_LETTERS, k=rng.choice([0, 3, 500])))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_goes_there_and_comes_back(state_dir, tmp_path, schema_url, seed, monkeypatch):
    monkeypatch.setattr(moving_rows, "_PAGE", 7 + seed)
    back = tmp_path / "back"
    with opened(state_dir), store_at(state_dir) as store:
        random_rows(store, random.Random(seed), 40)
    before = content(state_dir, clean=True)

    there = holdfast.move(schema_url, source=state_dir)
    assert content(schema_url) == before
    again = holdfast.move(back, source=schema_url)

    assert content(back) == before
    assert [(each.name, each.rows, each.hash) for each in again.tables] == [
        (each.name, each.rows, each.hash) for each in there.tables
    ]
    assert again.epoch > there.epoch


def test_from_one_schema_to_another(server, schema_url, left_on_server):
    other = server.url(name := server.new_schema())
    before = content(schema_url)
    holdfast.move(other, source=schema_url)
    try:
        assert content(other) == before
    finally:
        server.drop(name)


@pytest.fixture
def left_on_server(schema_url, make_home):
    home = make_home()
    home.thread("hello")
    opened(schema_url, home).close()


# --- what counts afterwards ------------------------------------------------------------------------------------------


def test_the_new_place_goes_on_and_old_fences_are_refused_there(ends, left):
    source, target = ends
    home, hold = left
    with opened(source) as state, state.write() as tx:
        held = holds.take(tx, "gone", holds.me(), lease_ms=60_000)
        tx.run(statement("UPDATE holds SET owner = replace(owner, :pid, '\"pid\":4194305') WHERE resource = 'gone'"),
               pid=f'"pid":{os.getpid()}')  # fmt: skip

    done = holdfast.move(target, source=source)

    assert done.ended == 1  # of a process that is gone
    assert done.epoch > hold.fence >> 40
    new = home.change(lambda: home.thread("since"))
    with opened(target, home) as state:
        assert sorted(thread.label for thread in state.threads.list(archived=None)) == [
            "named", "since", "thread 1", "thread 2"
        ]  # fmt: skip
        assert new is not None
        with state.write() as tx, pytest.raises(Stale):
            holds.renew(tx, held, lease_ms=1_000)
        with state.write() as tx:
            again = holds.take(tx, "gone", holds.me(), lease_ms=60_000)
        assert again.fence > max(held.fence, hold.fence)
        assert again.fence >> 40 == done.epoch
        state.jobs.enqueue("k", "2")  # ids go on past those that came along
        state.jobs.enqueue("k", "3")
    with store_at(target) as store, store.read() as tx:
        assert findings(tx) == []


def test_the_old_place_refuses_to_be_opened_and_to_be_written_by_who_has_it_open(ends, left):
    source, target = ends
    with opened(source) as state:
        holdfast.move(target, source=source)
        for change in (
            lambda: state.jobs.enqueue("k", "9"),
            lambda: state.jobs.cancel("k", "1"),
            lambda: state.submit(lambda tx: holds.raise_epoch(tx, 9)).result(),
        ):
            with pytest.raises(Refused, match="was moved to"):
                change()
    for look in (holdfast.open, holdfast.peek):
        with pytest.raises(Refused, match="was moved to") as refused:
            look([], state_dir=source)
        assert "--undo" in refused.value.remedy
    with pytest.raises(Refused, match="has ended"):
        holdfast.move(target, source=source)
    with pytest.raises(Refused, match="was moved to"):
        holdfast.move(source, source=target)


def test_no_password_is_shown_in_any_mark(state_dir, schema_url, left_at_home):
    secret = schema_url.replace("postgres@", "postgres:s3cret@")
    done = holdfast.move(secret, source=state_dir)
    with pytest.raises(Refused) as refused:
        opened(state_dir)
    assert "postgresql://" in str(refused.value)
    assert "s3cret" not in f"{refused.value} {refused.value.remedy} {done}"
    assert b"s3cret" not in (state_dir / "state.db").read_bytes()


@pytest.fixture
def left_at_home(state_dir):
    opened(state_dir).close()


def test_undo_takes_the_old_place_up_again_with_fences_above(ends, left):
    source, target = ends
    done = holdfast.move(target, source=source)
    holdfast.undo_move(source)
    with opened(source) as state:
        state.jobs.enqueue("k", "9")
        with state.write() as tx:
            assert holds.epoch(tx) > done.epoch
    with pytest.raises(Refused, match="not moved away"):
        holdfast.undo_move(source)


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_target_that_holds_something_is_refused_and_says_how_much(ends, left):
    source, target = ends
    with opened(target) as state:
        state.jobs.enqueue("k", "theirs")
    before = content(target)
    for dry in (True, False):
        with pytest.raises(Refused, match="1 in jobs"):
            holdfast.move(target, source=source, dry_run=dry)
    assert content(target) == before
    opened(source).close()
    opened(target).close()


def test_who_is_at_work_is_named_or_waited_for(ends, left):
    source, target = ends
    with opened(source) as state:
        with state.write() as tx:
            hold = holds.take(tx, "work", holds.me(), lease_ms=60_000)
        claim = state.jobs.claim("k", "1")
        with pytest.raises(Busy, match=rf"pid {os.getpid()} .*holds work; pid .*works on the job k 1"):
            holdfast.move(target, source=source)
        waited = []

        def end_one(progress):
            if progress.step == "waiting":
                waited.append(progress.by)
                if len(waited) == 1:
                    with state.write() as tx:
                        holds.release(tx, hold)
                else:
                    state.jobs.finish(claim)

        assert holdfast.move(target, source=source, wait=True, on_progress=end_one).ended == 0
        assert len(waited) == 2


def test_writers_of_the_source_wait_and_then_say_busy(ends, left):
    source, target = ends
    refused = []

    def write():
        with store_at(source) as other, pytest.raises(Busy), other.write(wait_ms=50) as tx:
            holds.raise_epoch(tx, 99)
        refused.append(True)

    def meanwhile(progress):
        if progress.step == "marked":
            with store_at(source) as reader, reader.read() as tx:
                assert holds.epoch(tx) == 1
            another = threading.Thread(target=write)
            another.start()
            another.join()

    holdfast.move(target, source=source, on_progress=meanwhile)
    assert refused


def test_nothing_is_written_by_a_dry_run(ends, left, server):
    source, target = ends
    before = content(source)
    done = holdfast.move(target, source=source, dry_run=True)
    assert done.dry_run
    assert {each.name: each.rows for each in done.tables}["threads"] == 3
    assert done.bytes > 0
    assert content(source) == before
    if postgres.is_url(target):
        name = target.rpartition("schema=")[2]
        assert server.run(f"SELECT 1 FROM pg_namespace WHERE nspname = '{name}'") == []
    else:
        assert not os.path.exists(target)


# --- damage and death ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE threads SET name_said = 'other' WHERE name_said = 'named'",
        "DELETE FROM jobs",
        "UPDATE files SET mtime_ns = mtime_ns + 1",
        "UPDATE counters SET value = value + 1 WHERE name = 'revision'",
        "INSERT INTO labels (label_id, label) VALUES (9999, 'one too many')",
    ],
)
def test_a_copy_that_is_not_the_same_is_found_and_the_source_counts(ends, left, damage):
    source, target = ends

    def spoil(progress):
        if progress.step == "copied":
            with store_at(target) as other, other.write() as tx:
                tx.run(statement(damage))

    before = content(source)
    with pytest.raises(Damaged, match=f"table {damage.split()[2 if damage[0] in 'DI' else 1]}"):
        holdfast.move(target, source=source, on_progress=spoil)
    with pytest.raises(Refused, match="not complete"):
        opened(target)
    opened(source).close()
    assert holdfast.move(target, source=source).resumed
    assert content(target) == before


MOVER = """
import holdfast
def at(progress):
    if progress.step == sys.argv[3]:
        pause(progress.step)
holdfast.move(sys.argv[2], source=sys.argv[1], on_progress=at)
say("done")
"""


@pytest.mark.parametrize("step", ["marked", "copying", "copied", "checked", "complete", "left"])
def test_killed_at_any_step_one_of_the_two_counts_and_the_move_ends_when_run_again(ends, left, step):
    source, target = ends
    before = content(source)
    with children("") as start:
        mover = start(MOVER, source, target, step)
        assert mover.line() == step
        mover.kill()

    with pytest.raises(Refused, match="not complete"):
        opened(target)
    if step == "left":
        with pytest.raises(Refused, match="was moved to"):
            opened(source)
    else:
        opened(source).close()
        assert content(source) == before

    assert holdfast.move(target, source=source).resumed
    assert content(target) == before
    opened(target).close()
    with pytest.raises(Refused, match="was moved to"):
        opened(source)


def test_a_half_filled_target_is_no_source_and_not_another_moves_target(ends, left, tmp_path):
    source, target = ends
    other = tmp_path / "other"
    opened(other).close()

    def stop(progress):
        if progress.step == "copied":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        holdfast.move(target, source=source, on_progress=stop)
    for to, origin in ((tmp_path / "third", target), (target, other)):
        with pytest.raises(Refused, match="not complete"):
            holdfast.move(to, source=origin)
    with pytest.raises(Refused, match="not moved away"):
        holdfast.undo_move(target)
    assert holdfast.move(target, source=source).resumed


def test_no_table_is_forgotten_by_a_move(tmp_path, schema_url):
    for where in (str(tmp_path / "state.db"), schema_url):
        with open_engine(where) as store:
            schema.migrate(store)
            with store.read() as tx:
                found = {row["table_name"] for row in tx.rows(moved.SQL["columns_kept"])}
        assert found - set(moving_rows.LOCAL) == set(moving_rows.TABLES)


def test_a_directory_gets_the_indexes_that_lists_are_read_by(schema_url, left_on_server, tmp_path):
    holdfast.move(tmp_path / "back", source=schema_url)
    with store_at(str(tmp_path / "back")) as store, store.read() as tx:
        names = {row["name"] for row in tx.rows(statement("SELECT name FROM sqlite_schema WHERE type = 'index'"))}
    assert {"threads_by_updated", "threads_by_created", "threads_by_parent"} <= names
