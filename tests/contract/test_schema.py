import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast import clock as clocks
from holdfast import holds, schema
from holdfast.errors import Damaged, Refused, Unsupported
from holdfast.holds import Denied
from holdfast.sql import Statement
from holdfast.sqlite import Store

NAMES = [migration.name for migration in schema.migrations("sqlite")]
TODAY = len(NAMES)


def q(text):
    return Statement("q", text, text, frozenset(re.findall(r":(\w+)", text)), frozenset())


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state.db")


@pytest.fixture
def store(path, clock):
    with Store.open(path, clock=clock) as store:
        yield store


def run(store, *texts):
    with store.write() as tx:
        for text in texts:
            tx.run(q(text))


def value(store, text):
    with store.read() as tx:
        (found,) = tx.row(q(text)).values()
    return found


def count_as(store, version):
    with store.write() as tx:
        tx.user_version = version


def make_newer(store, *, min_reader):
    """What a holdfast of next year leaves behind."""
    with store.write() as tx:
        tx.script("CREATE TABLE later (x INTEGER) STRICT")
        tx.run(q("INSERT INTO migrations VALUES ('9001_later', 'f00d', 1)"))
        tx.run(q("UPDATE readers SET min_reader = :least"), least=min_reader)
        tx.user_version = TODAY + 1


def change(monkeypatch, number, **parts):
    """Ship migration ``number`` (from 0) with other words."""
    ours = list(schema.migrations("sqlite"))
    changed = replace(ours[number], **parts)
    ours[number] = schema._migration(changed.name, changed.text)
    monkeypatch.setattr(schema, "migrations", lambda tree: tuple(ours))


def bytes_of(path):
    """Every file of the database, but for the -shm, which is SQLite's index in memory."""
    folder = Path(path).parent
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in folder.iterdir()
        if not file.name.endswith("-shm")
    }


# --- forward ------------------------------------------------------------------


def test_a_new_file_gets_every_migration_and_says_so(store, clock):
    assert schema.check(store) is False
    assert schema.migrate(store) == TODAY
    assert schema.check(store) is True
    with store.read() as tx:
        assert tx.user_version == TODAY
        rows = tx.rows(q("SELECT name, checksum, applied_ms FROM migrations ORDER BY name"))
    assert [row["name"] for row in rows] == NAMES
    assert [row["checksum"] for row in rows] == [step.checksum for step in schema.migrations("sqlite")]
    assert {row["applied_ms"] for row in rows} == {clock.ms}
    assert value(store, "SELECT min_reader FROM readers") == schema.MIN_READER["sqlite"]


def test_a_second_run_does_nothing_and_writes_nothing(path, clock):
    with Store.open(path, clock=clock) as store:
        schema.migrate(store)
        before = bytes_of(path)
        assert schema.migrate(store) == 0
        assert bytes_of(path) == before
        assert store.status().transactions == 1
    closed = bytes_of(path)
    with Store.open(path, clock=clock) as store:
        assert schema.migrate(store) == 0
    assert {name: digest for name, (digest, _) in bytes_of(path).items()} == {
        name: digest for name, (digest, _) in closed.items()
    }


@pytest.mark.parametrize("have", range(1, TODAY))
def test_an_older_file_gets_what_it_lacks_and_keeps_what_it_has(store, monkeypatch, have):
    ours = schema.migrations("sqlite")
    monkeypatch.setattr(schema, "migrations", lambda tree: ours[:have])
    assert schema.migrate(store) == have
    run(store, "INSERT INTO labels (label) VALUES ('kept')")
    monkeypatch.undo()
    assert schema.check(store) is False
    assert schema.check_readable(store) is False
    assert schema.migrate(store) == TODAY - have
    assert value(store, "SELECT label FROM labels") == "kept"
    assert schema.check(store) is True


MIGRATE = """
say("ready"); hear()
with Store.open(ARGS[0], clock=clock.wall_ms) as store:
    say(schema.migrate(store))
"""


def test_of_processes_that_migrate_at_once_one_does_it_and_all_go_on(path, child):
    children = [child(MIGRATE, path) for _ in range(4)]
    assert [started.line() for started in children] == ["ready"] * 4
    for started in children:
        started.tell()
    assert sorted(int(started.line()) for started in children) == [0, 0, 0, TODAY]


KILLED = """
import signal
from holdfast.sqlite import Writing
# Every process that writes a migration down dies at the one that is named.
kept = Writing.run
def run(tx, statement, /, **params):
    if statement.name == "record_migration" and params["name"] == ARGS[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(tx, statement, **params)
Writing.run = run
with Store.open(ARGS[0], clock=clock.wall_ms) as store:
    schema.migrate(store)
say("lived")
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_killed_in_the_middle_left_nothing_and_the_next_one_completes(path, clock, child, name):
    killed = child(KILLED, path, name)
    assert killed.line() == ""
    assert killed.process.wait(30) == -9
    with Store.open(path, clock=clock) as store:
        assert value(store, "SELECT count(*) FROM sqlite_schema") == 0
        assert schema.migrate(store) == TODAY
        assert schema.check(store) is True


# --- a newer file ---------------------------------------------------------------


@pytest.mark.parametrize(("min_reader", "word"), [(1, "peek"), (TODAY, "peek"), (TODAY + 1, "Upgrade holdfast.$")])
def test_a_newer_file_is_never_written_and_the_way_out_depends_on_who_may_read(path, clock, min_reader, word):
    with Store.open(path, clock=clock) as store:
        schema.migrate(store)
        make_newer(store, min_reader=min_reader)
    before = bytes_of(path)
    with Store.open(path, clock=clock) as store:
        for refuse in (schema.check, schema.migrate):
            with pytest.raises(Unsupported, match=f"has {TODAY + 1} migrations, this version knows {TODAY}") as told:
                refuse(store)
            assert re.search(word, told.value.remedy)
    assert {name: digest for name, (digest, _) in bytes_of(path).items()} == {
        name: digest for name, (digest, _) in before.items()
    }


def test_a_newer_file_that_lets_us_read_is_read_by_peek_and_leaves_no_trace(path, clock):
    with Store.open(path, clock=clock) as store:
        schema.migrate(store)
        run(store, "INSERT INTO labels (label) VALUES ('there')")
        make_newer(store, min_reader=TODAY)
    before = bytes_of(path)
    with Store.peek(path, clock=clock) as store:
        assert schema.check_readable(store) is True
        assert value(store, "SELECT label FROM labels") == "there"
    assert bytes_of(path) == before


def test_a_newer_file_that_does_not_let_us_read_is_unsupported(store):
    schema.migrate(store)
    make_newer(store, min_reader=TODAY + 1)
    with pytest.raises(Unsupported, match="newer holdfast") as told:
        schema.check_readable(store)
    assert told.value.remedy == "Upgrade holdfast."


def test_a_newer_file_that_does_not_say_who_may_read_is_not_read(store):
    schema.migrate(store)
    make_newer(store, min_reader=1)
    run(store, "DELETE FROM readers")
    with pytest.raises(Unsupported):
        schema.check_readable(store)


class Overtaken(Store):
    """A handle whose turn to write comes after somebody else's."""

    first = staticmethod(lambda: None)

    def write(self, **how):
        first, self.first = self.first, lambda: None
        first()
        return super().write(**how)


def test_a_newer_holdfast_that_migrates_between_our_look_and_our_turn_is_not_overwritten(store, path, clock):
    with Overtaken.open(path, clock=clock) as late:

        def newer():
            schema.migrate(store)
            make_newer(store, min_reader=TODAY + 1)

        late.first = newer
        with pytest.raises(Unsupported, match="newer holdfast"):
            schema.migrate(late)
    with store.read() as tx:
        assert tx.user_version == TODAY + 1
    assert value(store, "SELECT min_reader FROM readers") == TODAY + 1


def test_who_finds_it_done_when_the_turn_comes_does_nothing(store, path, clock):
    with Overtaken.open(path, clock=clock) as late:
        late.first = lambda: schema.migrate(store)
        assert schema.migrate(late) == 0
    assert schema.check(store) is True


# --- not what we shipped ----------------------------------------------------------


@pytest.mark.parametrize("number", range(TODAY))
def test_a_migration_applied_with_other_words_is_damage_and_nothing_more_is_written(store, monkeypatch, number):
    schema.migrate(store)
    before = store.status().transactions
    text = schema.migrations("sqlite")[number].text
    change(monkeypatch, number, text=text + "CREATE TABLE more (x INTEGER);")
    for refuse in (schema.check, schema.check_readable, schema.migrate):
        with pytest.raises(Damaged, match=NAMES[number]):
            refuse(store)
    assert store.status().transactions == before


def test_a_renamed_migration_is_damage(store, monkeypatch):
    schema.migrate(store)
    change(monkeypatch, TODAY - 1, name=f"{NAMES[-1]}_better")
    with pytest.raises(Damaged, match=NAMES[-1]):
        schema.check(store)


def test_a_comment_said_better_is_no_change(store, monkeypatch):
    schema.migrate(store)
    text = schema.migrations("sqlite")[0].text
    change(monkeypatch, 0, text=f"-- It's said better.\n\n{text.replace(',', ', -- so', 1)}")
    assert schema.check(store) is True
    assert schema.migrate(store) == 0


@pytest.mark.parametrize("version", [0, 1, TODAY - 1])
def test_a_header_that_counts_other_migrations_than_are_recorded_is_damage(store, version):
    schema.migrate(store)
    count_as(store, version)
    for refuse in (schema.check, schema.check_readable, schema.migrate):
        with pytest.raises(Damaged, match=f"{TODAY} migrations are recorded, its header counts {version}"):
            refuse(store)


@pytest.mark.parametrize("version", [0, 1, 99])
def test_another_programs_tables_are_refused_and_left_alone(store, version):
    with store.write() as tx:
        tx.script("CREATE TABLE recipes (cake TEXT)")
        tx.user_version = version
    for refuse in (schema.check, schema.check_readable, schema.migrate):
        with pytest.raises(Refused, match="not ours") as told:
            refuse(store)
        assert "state directory" in told.value.remedy
    assert value(store, "SELECT count(*) FROM sqlite_schema") == 1


# --- the clock that all processes of a boot share ------------------------------------

DAY_MS = 86_400_000
LEASE_MS = 60_000


@pytest.fixture
def machine(monkeypatch):
    """A machine that can be booted, with its wall clock and its boot clock in hand."""

    class Machine:
        boots = 1
        wall, boot = 1_700_000_000_000, 5_000

        def goes_on(self, ms):
            self.wall += ms
            self.boot += ms

        def reboots(self, *, wall_moves_ms):
            self.boots += 1
            self.wall += wall_moves_ms
            self.boot = 5_000

    machine = Machine()
    monkeypatch.setattr(clocks, "wall_ms", lambda: machine.wall)
    monkeypatch.setattr(clocks, "boot_ms", lambda: machine.boot)
    monkeypatch.setattr(clocks, "boot_id", lambda: f"boot-{machine.boots}")
    return machine


def wake(path):
    """Open as a process of this boot does."""
    store = Store.open(path, clock=clocks.wall_ms)
    schema.migrate(store)
    store.clock = schema.anchored_clock(store)
    return store


def take(store, label, lease_ms=LEASE_MS, resource="r"):
    with store.write() as tx:
        return holds.take(tx, resource, holds.me(label), lease_ms=lease_ms, is_dead=lambda _owner: False)


def now(store):
    with store.read() as tx:
        return tx.now_ms


def test_the_first_process_of_a_boot_writes_the_anchor_and_every_other_reads_it(path, machine):
    with wake(path) as first:
        written = first.status().transactions
        machine.goes_on(10_000)
        machine.wall += 77  # as clocks do
        with wake(path) as second:
            assert now(first) == now(second) == 1_700_000_010_000
            assert second.status().transactions == written
        assert value(first, "SELECT count(*) FROM clock_anchors") == 1


@pytest.mark.parametrize("jump_ms", [-DAY_MS, DAY_MS])
def test_a_wall_clock_set_during_a_boot_moves_nothing(path, machine, jump_ms):
    with wake(path) as store:
        hold = take(store, "ann")
        machine.wall += jump_ms
        machine.goes_on(LEASE_MS - 1)
        assert isinstance(take(store, "bob"), Denied)
        with wake(path) as later:
            assert take(later, "bob").retry_in_ms == 1
            machine.goes_on(1)
            assert take(later, "bob").fence == hold.fence + 1


def test_a_wall_clock_set_back_while_the_machine_was_off_revives_no_lease(path, machine):
    with wake(path) as store:
        hold = take(store, "ann")
        machine.goes_on(2 * LEASE_MS)  # it ran out, and nobody wrote that down
    machine.reboots(wall_moves_ms=-DAY_MS)
    with wake(path) as store:
        assert take(store, "bob").fence == hold.fence + 1


def test_time_never_goes_back_from_boot_to_boot(path, machine):
    seen = []
    for wall_moves_ms in (-DAY_MS, -DAY_MS, 3 * DAY_MS, -1, 0):
        with wake(path) as store:
            take(store, "ann", lease_ms=1)
            machine.goes_on(500)
            take(store, "bob", lease_ms=1)
            seen.append(now(store))
        machine.reboots(wall_moves_ms=wall_moves_ms)
    assert seen == sorted(set(seen))


def test_a_wall_clock_that_went_on_is_believed_and_a_long_lease_does_not_push_time_ahead(path, machine):
    with wake(path) as store:
        take(store, "ann", lease_ms=DAY_MS)
    machine.reboots(wall_moves_ms=30_000)
    with wake(path) as store:
        assert now(store) == machine.wall
        assert take(store, "bob").retry_in_ms == DAY_MS - 30_000


def test_a_peek_reads_the_anchor_and_writes_none(path, machine):
    with wake(path) as store:
        take(store, "ann")
    machine.wall += DAY_MS
    before = bytes_of(path)
    with Store.peek(path, clock=clocks.wall_ms) as store:
        assert schema.anchored_clock(store)() == 1_700_000_000_000
    machine.reboots(wall_moves_ms=5)
    with Store.peek(path, clock=clocks.wall_ms) as store:
        assert schema.anchored_clock(store)() == machine.wall  # none of this boot: the wall clock
    assert bytes_of(path) == before


ANCHOR = """
say("ready"); hear()
with Store.open(ARGS[0], clock=clock.wall_ms) as store:
    say(*(getattr(schema.anchored_clock(store).__self__, name) for name in ("boot_id", "wall_ms", "boot_ms")))
"""


def test_processes_that_come_first_together_share_one_anchor(path, clock, child):
    with Store.open(path, clock=clock) as store:
        schema.migrate(store)
    children = [child(ANCHOR, path) for _ in range(4)]
    assert [started.line() for started in children] == ["ready"] * 4
    for started in children:
        started.tell()
    (anchor,) = {started.line() for started in children}
    boot_id, wall_ms, boot_ms = anchor.split()
    assert boot_id == clocks.boot_id()
    assert int(wall_ms) >= clock.ms
    assert int(boot_ms) <= clocks.boot_ms()


def test_a_look_at_a_file_that_is_just_being_migrated_sees_the_old_shape(path, clock):
    with Store.open(path, clock=clock) as store, store.write() as tx:
        tx.script("CREATE TABLE half (x INTEGER)")
        with Store.peek(path, clock=clock) as other:
            assert schema.check_readable(other) is False


def test_a_program_brings_a_tree_of_its_own(tmp_path, clock):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "0001_notes.sql").write_text("CREATE TABLE notes (id INTEGER PRIMARY KEY) STRICT;")
    with Store.open(tmp_path / "notes.db", clock=clock) as store:
        assert schema.migrate(store, tree) == 1
        assert schema.check(store, tree) is True
        schema.migrations.cache_clear()  # as the next release of the program finds it
        (tree / "0002_texts.sql").write_text("ALTER TABLE notes ADD COLUMN text TEXT;")
        assert schema.check(store, tree) is False
        assert schema.migrate(store, tree, min_reader=2) == 1
        schema.migrations.cache_clear()
        (tree / "0002_texts.sql").unlink()
        with pytest.raises(Unsupported, match="made by a newer version of this program: it has 2 migrations"):
            schema.migrate(store, tree)
