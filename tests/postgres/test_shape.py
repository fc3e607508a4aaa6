"""The same migrations, the same answers as for a file: ``tests/contract/test_schema.py`` has SQLite's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines import open_engine
from holdfast import schema
from holdfast.errors import Busy, Damaged, Refused, Unsupported
from holdfast.sql import statement
from processes import children
from servers import SETUP

OURS = schema.migrations("postgres")
NAMES = [step.name for step in OURS]


@pytest.fixture
def empty(schema_url):
    with open_engine(schema_url) as opened:
        yield opened


@pytest.fixture
def child():
    with children(SETUP + "from holdfast import schema\n") as start:
        yield start


def run(store, *texts):
    with store.write() as tx:
        for text in texts:
            tx.run(statement(text))


def value(store, text):
    with store.read() as tx:
        (found,) = tx.row(statement(text)).values()
    return found


def ship(monkeypatch, steps):
    monkeypatch.setattr(schema, "migrations", lambda tree: tuple(steps))


def test_both_trees_have_the_same_names():
    assert [step.name for step in schema.migrations("sqlite")] == NAMES


def test_a_new_schema_gets_every_migration_once_and_says_so(empty):
    assert schema.check(empty) is False
    assert schema.migrate(empty) == len(NAMES)
    assert schema.check(empty) is schema.check_readable(empty) is True
    assert schema.migrate(empty) == 0
    with empty.read() as tx:
        rows = tx.rows(statement("SELECT name, checksum FROM migrations ORDER BY name"))
        assert tx.user_version == len(NAMES)
    assert [(row["name"], row["checksum"]) for row in rows] == [(step.name, step.checksum) for step in OURS]
    assert empty.status().transactions == 1


@pytest.mark.parametrize("have", range(1, len(NAMES)))
def test_an_older_schema_gets_what_it_lacks_and_keeps_what_it_has(empty, monkeypatch, have):
    ship(monkeypatch, OURS[:have])
    assert schema.migrate(empty) == have
    run(empty, "INSERT INTO labels (label) VALUES ('kept')")
    monkeypatch.undo()
    assert schema.check(empty) is schema.check_readable(empty) is False
    assert schema.migrate(empty) == len(NAMES) - have
    assert value(empty, "SELECT label FROM labels") == "kept"


MIGRATE = """
say("ready"); hear()
with open_engine(sys.argv[1]) as store:
    say(schema.migrate(store))
"""


def test_of_processes_that_migrate_at_once_one_does_it_and_all_go_on(schema_url, child):
    started = [child(MIGRATE, schema_url) for _ in range(4)]
    assert [each.line() for each in started] == ["ready"] * 4
    for each in started:
        each.tell()
    assert sorted(int(each.line()) for each in started) == [0, 0, 0, len(NAMES)]


KILLED = """
import signal
from holdfast.postgres import Writing
kept = Writing.run
def run(tx, statement, /, **params):
    if statement.name == "record_migration" and params["name"] == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return kept(tx, statement, **params)
Writing.run = run
with open_engine(sys.argv[1]) as store:
    schema.migrate(store)
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_migration_killed_in_the_middle_left_nothing_and_the_next_one_completes(schema_url, empty, child, name):
    assert child(KILLED, schema_url, name).wait() == -9
    assert schema.check(empty) is False
    assert schema.migrate(empty, wait_ms=30_000) == len(NAMES)


def test_a_schema_with_tables_of_others_is_refused_and_left_as_it_is(server, schema_url, empty):
    name = schema_url.partition("schema=")[2]
    server.run(f"CREATE SCHEMA {name}; CREATE TABLE {name}.theirs (x INTEGER)")
    with pytest.raises(Refused, match="tables that are not ours"):
        schema.migrate(empty)
    tables = f"SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('{name}')"
    assert server.run(tables) == [("theirs",)]


def test_a_migration_that_was_applied_with_other_words_is_damage(empty, monkeypatch):
    schema.migrate(empty)
    other = schema._migration(NAMES[1], OURS[1].text + "\nSELECT 1;")
    ship(monkeypatch, [OURS[0], other, *OURS[2:]])
    with pytest.raises(Damaged, match=NAMES[1]):
        schema.migrate(empty)


def test_a_count_that_is_not_that_of_the_migrations_is_damage(empty):
    schema.migrate(empty)
    run(empty, f"DELETE FROM migrations WHERE name = '{NAMES[-1]}'")
    with pytest.raises(Damaged, match="recorded"):
        schema.check(empty)


@pytest.mark.parametrize(("min_reader", "readable"), [(1, True), (len(NAMES) + 1, False)])
def test_a_newer_schema_is_read_when_it_allows_that_and_never_written(empty, min_reader, readable):
    schema.migrate(empty)
    run(
        empty,
        "INSERT INTO migrations VALUES ('9001_later', 'f00d', 1)",
        f"UPDATE readers SET min_reader = {min_reader}",
    )
    with empty.write() as tx:
        tx.user_version = len(NAMES) + 1
    for look in (schema.migrate, schema.check):
        with pytest.raises(Unsupported, match="newer holdfast"):
            look(empty)
    if readable:
        assert schema.check_readable(empty) is True
    else:
        with pytest.raises(Unsupported, match="newer holdfast"):
            schema.check_readable(empty)


def test_a_migration_that_fails_leaves_nothing(empty, monkeypatch):
    ship(monkeypatch, [*OURS[:-1], replace(OURS[-1], text="CREATE TABLE half (x INTEGER); SELECT no_such_column;")])
    with pytest.raises(Refused, match="no_such_column"):
        schema.migrate(empty)
    monkeypatch.undo()
    assert schema.migrate(empty) == len(NAMES)


def test_who_waits_for_a_migration_waits_as_long_as_it_said(empty, schema_url):
    with empty.write() as tx:
        tx.alone_to_migrate()
        with open_engine(schema_url) as other, pytest.raises(Busy, match=r"waited \d+ ms in migrate"):
            schema.migrate(other, wait_ms=100)
    assert schema.migrate(empty) == len(NAMES)


def test_a_role_that_may_only_use_the_schema_it_was_given_can_keep_its_state_there(server, schema_url):
    name = schema_url.partition("schema=")[2]
    server.run(f"CREATE ROLE tenant LOGIN; CREATE SCHEMA {name} AUTHORIZATION tenant")
    try:
        with open_engine(schema_url.replace("postgres@", "tenant@")) as store:
            assert schema.migrate(store) == len(NAMES)
            assert value(store, "SELECT value FROM counters WHERE name = 'timeline'") == 1
        with (
            open_engine(server.url("elsewhere", user="tenant")) as store,
            pytest.raises(Refused, match="permission denied"),
        ):
            schema.migrate(store)
    finally:
        server.run("DROP OWNED BY tenant CASCADE; DROP ROLE tenant")
