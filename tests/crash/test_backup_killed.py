"""A backup is taken while others write, is whole or is not there; a restore leaves the old state or the new one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys

import apsw
import pytest

import holdfast
from holdfast import Busy, Damaged, Full, Refused, Stale, Unsupported, holds, schema
from holdfast.clock import wall_ms
from holdfast.sql import Statement
from holdfast.sqlite import Limits, Store
from holdfast.state import backups
from index_helpers import Homes, expected_labels, labels, make_home, thread_id
from processes import Child
from rows import statement

COUNT = 60


def open_home(home, state_dir, **options):
    return holdfast.open(home, state_dir=state_dir, search=False, **options)


def take(state, lease_ms=600_000):
    with state.write() as tx:
        return holds.take(tx, "a job", holds.me("test"), lease_ms=lease_ms)


def rows(path):
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("homes", "files", "labels", "holds", "counters", "migrations")
        }
    finally:
        connection.close()


def left_over(state_dir):
    """Return what a killed backup or restore may leave, and the next one must clear away."""
    names = [*os.listdir(state_dir), *os.listdir(state_dir / "backups")]
    return [name for name in names if ".partial" in name or name.startswith((".restoring", ".replacing"))]


@pytest.fixture
def home(homes: Homes):
    return homes.make(COUNT)


@pytest.fixture
def state(home, state_dir):
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(1), "mine")
        yield state


@pytest.fixture
def backup(home, state_dir):
    """A backup in which thread 1 has a name and a job is held; the state is closed, and went on since."""
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(1), "mine")
        state.threads.archive(thread_id(2))
        take(state)
        path = state.backup().path
        state.threads.rename(thread_id(3), "since")
        state.threads.rename(thread_id(1), "")
        state.threads.unarchive(thread_id(2))
    return path


# Backing up


def test_a_backup_is_the_whole_of_one_moment_for_its_owner_alone(state, state_dir):
    report = state.backup()

    assert os.path.dirname(report.path) == str(state_dir / "backups")
    assert stat.S_IMODE(os.stat(report.path).st_mode) == 0o600
    assert (report.threads, report.homes, report.findings, report.sqlite_check) == (COUNT, 1, (), "ok")
    assert report.bytes == os.stat(report.path).st_size
    assert any("search.db" in each for each in report.not_included)
    kept = rows(report.path)
    state.close()
    assert rows(state_dir / "state.db") == kept
    assert left_over(state_dir) == []


def test_progress_is_told_and_what_it_raises_ends_the_backup_without_a_trace(state, state_dir):
    told = []
    state.backup(on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    before = sorted(os.listdir(state_dir / "backups"))

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        state.backup(on_progress=interrupt)

    assert sorted(os.listdir(state_dir / "backups")) == before
    state.threads.rename(thread_id(4), "goes on")  # the reader it had is sound


@pytest.mark.parametrize("where", ["state.db", "home", "nowhere", "taken", "state dir"])
def test_a_target_that_is_taken_or_lies_wrongly_is_refused_and_nothing_is_made(where, state, state_dir, home, tmp_path):
    target = {
        "state.db": state_dir / "state.db",
        "home": home / "sessions" / "copy.db",
        "nowhere": tmp_path / "nowhere" / "copy.db",
        "taken": tmp_path / "taken",
        "state dir": state_dir / "cache.db",
    }[where]
    (tmp_path / "taken").write_text("precious")

    with pytest.raises(Refused):
        state.backup(target)

    assert (tmp_path / "taken").read_text() == "precious"
    assert not (state_dir / "cache.db").exists()


def test_a_file_that_comes_while_the_copy_is_made_is_not_written_over(state, tmp_path):
    target = tmp_path / "copy.db"

    with pytest.raises(Refused, match="is there already"):
        state.backup(target, on_progress=lambda *_: target.write_text("precious"))

    assert target.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_elsewhere_and_through_a_peek_and_without_a_home(state, state_dir, home, tmp_path):
    (tmp_path / "disk").mkdir()
    assert os.path.dirname(state.backup(tmp_path / "disk").path) == str(tmp_path / "disk")
    with holdfast.peek(home, state_dir=state_dir) as peeked:
        assert peeked.backup(tmp_path / "peeked.db").threads == COUNT
    assert holdfast.backup(tmp_path / "alone.db", state_dir=state_dir).threads == COUNT
    with pytest.raises(Refused, match="nothing is kept"):
        holdfast.backup(state_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_newest_stay_within_number_and_bytes_and_nothing_else_goes(state, state_dir, monkeypatch):
    folder = state_dir / "backups"
    state.chores.close()
    (folder / "state-mine.db").write_text("not ours to delete")
    (folder / "damaged-x").mkdir()
    said = sorted(path.name for path in folder.glob("said-*.json"))
    made = [state.backup() for _ in range(backups.KEPT + 2)]

    assert [file.path for file in backups.listing(str(folder))] == [each.path for each in made[:1:-1]]
    assert [each.removed for each in made[-2:]] == [(made[0].path,), (made[1].path,)]
    monkeypatch.setattr(backups, "KEPT_BYTES", 10)
    last = state.backup()
    assert [file.path for file in backups.listing(str(folder))] == [last.path]
    assert sorted(path.name for path in folder.glob("said-*.json")) == said
    assert (folder / "state-mine.db").exists()


def test_after_a_clock_that_was_set_back_the_new_backup_is_still_the_newest(state, state_dir):
    future = state_dir / "backups" / "state-20991231T235959.999Z.db"
    shutil.copy(state.backup().path, future)

    made = state.backup().path

    assert [file.path for file in backups.listing(str(state_dir / "backups"))][:2] == [made, str(future)]


def test_too_little_room_is_told_with_numbers_before_a_byte_is_written(state, state_dir, monkeypatch):
    monkeypatch.setattr("holdfast.sqlite.copying._ROOM_BYTES", 1 << 60)

    with pytest.raises(Full, match=r"has \d+ bytes free; the copy takes \d+"):
        state.backup()

    assert backups.listing(str(state_dir / "backups")) == []
    assert left_over(state_dir) == []


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(home, state_dir, state):
    code = (
        "import resource, signal, sys, holdfast\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "try: holdfast.backup(state_dir=sys.argv[1])\n"
        "except holdfast.Full as error: print('full')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, state_dir], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("full\n", "")
    assert backups.listing(str(state_dir / "backups")) == []
    assert left_over(state_dir) == []


def test_a_database_with_a_damaged_page_gives_no_backup(home, state_dir, tmp_path):
    open_home(home, state_dir).close()
    with open(state_dir / "state.db", "r+b") as file:
        for page in range(8, os.stat(state_dir / "state.db").st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))

    with pytest.raises(Damaged):
        holdfast.backup(tmp_path / "copy.db", state_dir=state_dir)

    assert not (tmp_path / "copy.db").exists()
    holdfast.rebuild(home, state_dir=state_dir)


WRITER = """
from holdfast import holds
with open_home(refresh=False) as state:
    me = holds.me("writer")
    n = 0
    say("writes")
    while True:
        n += 1
        with state.write(wait_ms=60_000) as tx:
            holds.take(tx, f"job {os.getpid()} {n % 50}", me, lease_ms=60_000)
            tx.run(sql("UPDATE threads SET revision = revision + 1 WHERE n % 3 = 0"))
            tx.run(sql("UPDATE counters SET value = value + 1 WHERE name = 'revision'"))
"""


def test_backups_are_taken_and_sound_while_eight_processes_write(state, home, state_dir, child):
    writers = [child(WRITER, home, state_dir) for _ in range(8)]
    assert [each.line() for each in writers] == ["writes"] * 8
    made = [state.backup(on_progress=lambda *_: check_log(state_dir)) for _ in range(3)]
    assert [each.process.poll() for each in writers] == [None] * 8  # none of them met an error
    for each in writers:
        each.kill()

    assert [each.findings for each in made] == [(), (), ()]
    assert len({each.path for each in made}) == 3
    with state.write() as tx:  # what the writers did to the revisions is undone
        tx.run(statement("UPDATE counters SET value = (SELECT max(revision) FROM threads) WHERE name = 'revision'"))


def check_log(state_dir):
    assert os.stat(state_dir / "state.db-wal").st_size < Limits().wal_hard_bytes


_INSERT = Statement("insert", *["INSERT INTO notes (text) VALUES (:text)"] * 2, frozenset({"text"}), frozenset())


def test_a_copy_that_would_fill_the_log_is_given_up(tmp_path):
    limits = Limits(wal_hard_bytes=4_000_000)
    with Store.open(tmp_path / "notes.db", clock=wall_ms, limits=limits) as store:
        with store.write() as tx:
            tx.script("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
            tx.run_many(_INSERT, ({"text": "x" * 100} for _ in range(25_000)))
        (tmp_path / "copy.db").touch()

        with pytest.raises(Busy, match="grew to"):
            store.copy_to(str(tmp_path / "copy.db"))

        with store.write() as tx:  # the writers have the room that the copy left them
            tx.run(_INSERT, text="goes on")


BACKUP = """
from holdfast.state import backups, backing_up
{patch}
holdfast.backup(state_dir=STATE)
say("done")
"""
WHILE_BACKING_UP = {
    "the copy is begun": """
from holdfast.sqlite import Store
def paused(*args, **more): pause("here")
Store.copy_to = paused
""",
    "the copy is checked": """
def paused(path): pause("here")
backing_up.check_sound = paused
""",
    "it is about to get its name": """
def paused(self): pause("here")
backups.Partial.publish = paused
""",
    "it has its name": """
link = os.link
def paused(*args): link(*args); pause("here")
os.link = paused
""",
}


@pytest.mark.parametrize("moment", WHILE_BACKING_UP)
def test_a_backup_killed_when(moment, home, state_dir, state, child):
    killed = child(BACKUP.format(patch=WHILE_BACKING_UP[moment]), home, state_dir)
    assert killed.line() == "here"
    living = sorted(left_over(state_dir))
    state.backup()  # another backup leaves the living one's file alone
    assert sorted(left_over(state_dir)) == living
    killed.kill()

    state.backup()

    assert left_over(state_dir) == []
    for file in backups.listing(str(state_dir / "backups")):
        rows(file.path)
        assert os.stat(file.path).st_nlink == 1


def test_ctrl_c_leaves_no_half_file(home, state_dir, state):
    code = WHILE_BACKING_UP["the copy is checked"].replace('pause("here")', 'say("here"); hear()')
    command = "from holdfast.state import backing_up\n" + code + "holdfast.backup(state_dir=STATE)\n"
    with_prelude = "import holdfast\nSTATE = sys.argv[1]\n" + command
    interrupted = Child(with_prelude, state_dir, stderr=subprocess.DEVNULL)
    assert interrupted.line() == "here"
    os.kill(interrupted.pid, signal.SIGINT)
    interrupted.wait()
    interrupted.end()

    assert left_over(state_dir) == []
    assert backups.listing(str(state_dir / "backups")) == []


# Restoring


def test_a_restore_brings_the_backup_back_and_keeps_what_was_said_since(backup, home, state_dir):
    report = holdfast.restore(backup, state_dir=state_dir)

    assert (report.threads, report.findings, report.said_from) == (COUNT, (), "database")
    assert report.homes == (str(home),)
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(3)).name == "since"
        assert state.threads.get(thread_id(1)).name is None  # it was taken away since
        assert not state.threads.get(thread_id(2)).archived
        assert labels(state).count("since") == 1
    assert left_over(state_dir) == []


def test_exact_is_what_the_backup_says_and_the_file_moved_aside_is_the_undo(backup, home, state_dir):
    report = holdfast.restore(backup, state_dir=state_dir, exact=True)

    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(1)).name == "mine"
        assert state.threads.get(thread_id(2)).archived
        assert state.threads.get(thread_id(3)).name != "since"
    holdfast.restore(f"{report.moved_to}/state.db", state_dir=state_dir, exact=True)
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(3)).name == "since"
        assert state.threads.get(thread_id(1)).name is None


def test_threads_younger_than_the_backup_keep_what_was_said_of_them(backup, home, homes, state_dir):
    make_home(home.with_name("more"), COUNT + 1)
    shutil.copytree(home.with_name("more") / "sessions", home / "sessions", dirs_exist_ok=True)
    homes.watch(home)
    with open_home(home, state_dir) as state:
        state.threads.rename(thread_id(COUNT), "young")

    assert holdfast.restore(backup, state_dir=state_dir).threads == COUNT + 1

    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(COUNT)).name == "young"


@pytest.mark.parametrize("loss", ["gone", "damaged", "emptied"])
def test_when_the_database_is_lost_what_was_said_since_comes_from_the_snapshots(loss, backup, home, state_dir):
    db = state_dir / "state.db"
    damaged = os.urandom(50_000)
    if loss == "gone":
        db.unlink()
    else:
        db.write_bytes(damaged if loss == "damaged" else b"")

    report = holdfast.restore(backup, state_dir=state_dir)

    assert report.said_from == "snapshot"
    if loss == "damaged":
        with open(f"{report.moved_to}/state.db", "rb") as file:
            assert file.read() == damaged
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(3)).name == "since"
        assert state.threads.get(thread_id(1)).name is None


def test_names_that_a_later_database_lost_come_back_from_the_backup(backup, home, state_dir):
    shutil.copy(backup, state_dir.parent / "kept.db")
    shutil.rmtree(state_dir)
    open_home(home, state_dir).close()

    holdfast.restore(state_dir.parent / "kept.db", state_dir=state_dir)

    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(1)).name == "mine"


def test_holds_and_fences_from_before_a_restore_are_over(backup, home, state_dir):
    with open_home(home, state_dir) as state:
        old = take(state)  # the row is in the backup, too
        with state.write() as tx:
            later = holds.take(tx, "another", holds.me("test"), lease_ms=600_000)

    for _ in range(3):
        report = holdfast.restore(backup, state_dir=state_dir)
        assert report.holds_ended == 1
        with open_home(home, state_dir) as state:
            for hold in (old, later):
                with state.read() as tx, pytest.raises(Stale):
                    holds.confirm(tx, hold)
                with pytest.raises(Stale), state.write() as tx:
                    holds.renew(tx, hold, lease_ms=1_000)
            new = take(state)
            assert new.fence > max(old.fence, later.fence)
            old = later = new


def test_the_epoch_rises_above_that_of_a_file_whose_rows_cannot_be_read(backup, home, state_dir):
    with open_home(home, state_dir) as state, state.write() as tx:
        holds.raise_epoch(tx, 1 << 20)
        tx.run(statement("ALTER TABLE threads DROP COLUMN lines_unread"))

    assert holdfast.restore(backup, state_dir=state_dir).epoch > 1 << 20


def test_words_are_fed_anew_after_a_restore(backup, home, state_dir):
    with holdfast.open(home, state_dir=state_dir) as state:
        state.wait_for_search()
        assert state.threads.search("since").hits
    holdfast.restore(backup, state_dir=state_dir, exact=True)
    with holdfast.open(home, state_dir=state_dir) as state:
        state.wait_for_search()
        assert not state.threads.search("since").hits
        assert state.threads.search("mine").hits


def test_a_backup_of_an_older_release_is_migrated_and_one_of_a_newer_refused(backup, home, state_dir, tmp_path):
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with Store.open(old, clock=wall_ms) as store, pytest.MonkeyPatch.context() as patch:
        first = schema.migrations("sqlite")[:1]
        patch.setattr(schema, "migrations", lambda _tree: first)
        schema.migrate(store)
    shutil.copy(backup, new)
    change(new, "PRAGMA user_version = 99")
    before = (state_dir / "state.db").read_bytes()

    with pytest.raises(Unsupported, match="newer"):
        holdfast.restore(new, state_dir=state_dir)
    assert (state_dir / "state.db").read_bytes() == before
    assert holdfast.restore(old, state_dir=state_dir).migrations == len(schema.migrations("sqlite")) - 1
    with open_home(home, state_dir) as state:
        assert labels(state) != []
        assert state.threads.get(thread_id(3)).name == "since"  # of a home the backup had never heard of


def change(db, text):
    connection = apsw.Connection(str(db))
    connection.execute(text).fetchall()
    connection.close()


@pytest.mark.parametrize("damage", ["random", "cut", "page", "foreign", "empty", "missing", "itself", "words"])
def test_what_is_no_sound_backup_is_refused_and_the_state_stays(damage, backup, home, state_dir, tmp_path):
    copy = tmp_path / "copy.db"
    shutil.copy(backup, copy)
    size = os.stat(copy).st_size
    match damage:
        case "random":
            copy.write_bytes(os.urandom(size))
        case "cut":
            os.truncate(copy, size // 2)
        case "page":
            with open(copy, "r+b") as file:
                file.seek(size // 2 // 4096 * 4096)
                file.write(os.urandom(4096))
        case "foreign":
            change(copy, "PRAGMA application_id = 5")
        case "empty":
            copy.write_bytes(b"")
        case "missing":
            copy.unlink()
        case "itself":
            copy = state_dir / "state.db"
        case "words":
            copy.write_text("no database\n" * 1000)
    before = (state_dir / "state.db").read_bytes(), sorted(os.listdir(state_dir / "backups"))

    with pytest.raises((Refused, Damaged)):
        holdfast.restore(copy, state_dir=state_dir)

    assert ((state_dir / "state.db").read_bytes(), sorted(os.listdir(state_dir / "backups"))) == before
    assert left_over(state_dir) == []


def test_a_state_of_a_newer_holdfast_is_not_moved(backup, state_dir):
    change(state_dir / "state.db", "PRAGMA user_version = 99")
    with pytest.raises(Unsupported, match="newer"):
        holdfast.restore(backup, state_dir=state_dir)
    change(state_dir / "state.db", f"PRAGMA user_version = {len(schema.migrations('sqlite'))}")


def test_a_restore_is_refused_while_anybody_has_the_state_open(backup, home, state_dir, child):
    user = child("with open_home() as state: pause('open')", home, state_dir)
    assert user.line() == "open"
    with pytest.raises(Busy, match=rf"in use: pid {user.pid} "):
        holdfast.restore(backup, state_dir=state_dir)
    user.kill()
    with open_home(home, state_dir), pytest.raises(Busy, match=rf"in use: pid {os.getpid()} "):
        holdfast.restore(backup, state_dir=state_dir)
    holdfast.restore(backup, state_dir=state_dir)


def test_who_opens_the_state_while_it_is_replaced_gets_the_new_one(backup, home, state_dir, child):
    patch = "rename = os.rename\ndef paused(*args):\n    if args[1] == STATE + '/state.db': pause('here')\n"
    restorer = child(
        patch
        + "    return rename(*args)\nos.rename = paused\nholdfast.restore(sys.argv[3], state_dir=STATE)\nsay('done')",
        home,
        state_dir,
        backup,
    )
    assert restorer.line() == "here"
    waits = (
        "from holdfast.sqlite.settings import Patience\n"
        "wait, told = Patience.__call__, []\n"
        "def waiting(*args):\n"
        "    if not told: told.append(say('waits'))\n"
        "    return wait(*args)\n"
        "Patience.__call__ = waiting\n"
    )
    opener = child(waits + "with open_home() as state: say(holds.epoch(state.read().__enter__()))", home, state_dir)
    assert opener.line() == "waits"
    restorer.tell()

    assert restorer.line() == "done"
    assert int(opener.line()) > 1


def test_only_the_newest_of_what_was_moved_aside_stay(backup, state_dir):
    moved = [holdfast.restore(backup, state_dir=state_dir).moved_to for _ in range(backups.REPLACED_KEPT + 2)]
    left = [name for name in os.listdir(state_dir / "backups") if name.startswith("replaced-")]
    assert sorted(left) == sorted(os.path.basename(each) for each in moved[2:])


RESTORE = """
from holdfast.state import restoring, said
{patch}
holdfast.restore(sys.argv[3], state_dir=STATE)
say("done")
"""


def at(name, module="restoring", when="before"):
    body = {
        "before": 'pause("here"); return original(*args, **more)',
        "after": 'found = original(*args, **more); pause("here"); return found',
    }[when]
    return f"original = {module}.{name}\ndef paused(*args, **more): {body}\n{module}.{name} = paused\n"


WHILE_RESTORING = {
    "nothing is done": at("_copy"),
    "the copy is made": at("_copy", when="after"),
    "the copy is checked": at("check_sound", when="after"),
    "the homes were looked at": at("_index", when="after"),
    "the epoch was raised": at("_raise_epoch", when="after"),
    "what was said is about to be saved": at("save", "said"),
    "the copy is ready": at("_swap"),
    "nobody else can open the state": at("_keep"),
    "the old file has two names": at("_keep", when="after"),
    "the new file is the state": at("_settle"),
    "the old file has its name": at("_settle", when="after"),
    "all is done but tidying up": at("_swap", when="after"),
}


@pytest.mark.parametrize("moment", WHILE_RESTORING)
def test_a_restore_killed_when(moment, backup, home, state_dir, child):
    killed = child(RESTORE.format(patch=WHILE_RESTORING[moment]), home, state_dir, backup)
    assert killed.line() == "here"
    killed.kill()

    with open_home(home, state_dir) as state:  # the old one or the new one, and what was said is in both
        assert labels(state) == [label if n != COUNT - 4 else "since" for n, label in enumerate(expected_labels(COUNT))]
        assert state.threads.get(thread_id(3)).name == "since"
        last = take(state).fence
    report = holdfast.restore(backup, state_dir=state_dir)

    assert (report.threads, report.findings) == (COUNT, ())
    assert left_over(state_dir) == []
    with open_home(home, state_dir) as state:
        assert state.threads.get(thread_id(3)).name == "since"
        assert take(state).fence > last
    for name in os.listdir(state_dir / "backups"):
        if name.startswith("replaced-"):
            rows(state_dir / "backups" / name / "state.db")


@pytest.mark.torture
def test_a_restore_killed_at_random_a_hundred_times(backup, home, state_dir, child):
    import random
    import threading

    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    last = 0
    for _ in range(100):
        killed = child("say('go')\nholdfast.restore(sys.argv[3], state_dir=STATE)", home, state_dir, backup)
        assert killed.line() == "go"
        threading.Event().wait(chosen.random() * 0.15)
        killed.kill()
        with open_home(home, state_dir) as state:
            assert state.threads.get(thread_id(3)).name == "since"
            with state.write() as tx:
                hold = holds.take(tx, "counted", holds.me(), lease_ms=1)
                holds.release(tx, hold)
            assert hold.fence > last
            last = hold.fence
    holdfast.restore(backup, state_dir=state_dir)
    assert left_over(state_dir) == []
