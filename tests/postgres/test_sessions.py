"""Behind a pooler in transaction mode: each transaction may get another session, and leaves none as its own."""

from __future__ import annotations

import pytest

import holdfast
from engines import open_engine
from holdfast import holds, schema
from holdfast.errors import Busy
from holdfast.postgres.connections import Connections
from holdfast.sql import statement
from rows import findings

LEFT = """
SELECT 'prepared ' || name FROM pg_prepared_statements
UNION ALL SELECT 'cursor ' || name FROM pg_cursors
UNION ALL SELECT 'listens ' || channel FROM pg_listening_channels() AS channel
UNION ALL SELECT 'lock ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'set ' || name || ' ' || setting FROM pg_settings
    WHERE source = 'session' AND name NOT IN ('transaction_isolation', 'transaction_read_only')
"""


PREPARED = statement("SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%($1, 1)'", "prepared")
ADD = statement("INSERT INTO counters (name, value) VALUES (:name, 1)", "add")


@pytest.fixture
def pooled_url(schema_url, server, between):
    """Over a wire that gives its clients a session number of its own invention, as a pooler does."""
    between.is_pooler = True
    return schema_url.replace(str(server.folder), str(between.folder))


@pytest.fixture
def pooled(monkeypatch):
    """As a pooler does it: after each transaction the session goes to somebody else. What is left in it is kept."""
    left, transactions = [], []
    put = Connections.put

    def give_away(connections, connection):
        if not connection.broken:
            left.extend(row[0] for row in connection.execute(LEFT).fetchall())
            transactions.append(connection.execute("SELECT pg_backend_pid()").fetchone()[0])
            connection.close()
        put(connections, connection)

    monkeypatch.setattr(Connections, "put", give_away)
    yield transactions
    assert left == []
    assert len(set(transactions)) == len(transactions) > 0


def test_migrations_and_holds_leave_nothing_in_a_session(pooled, pooled_url):
    with open_engine(pooled_url) as store:
        assert schema.migrate(store) == len(schema.migrations("postgres"))
        with store.write() as tx:
            hold = holds.take(tx, "r", holds.me(), lease_ms=60_000)
        with holds.kept(store, hold, 60_000):
            assert store.submit_read(lambda tx: holds.get(tx, "r")).result(30) == hold
        with store.read() as tx:
            assert findings(tx) == []


def test_a_home_is_indexed_listed_and_renamed_with_another_session_each_time(pooled, pooled_url, home, state_dir):
    with holdfast.open(home, state=pooled_url, state_dir=state_dir, search=False) as state:
        page = state.threads.list(archived=None, limit=1_000)
        assert len(page) == len(home.files())
        assert state.threads.rename(page.threads[0].id, "called so").name == "called so"
        assert state.threads.resolve("called so").id == page.threads[0].id
        state.index(full=True)
        with state.read() as tx:
            assert findings(tx) == []


def add_ten(store, first):
    """Add ten counters in as many transactions, and return how often the session keeps that statement prepared then."""
    for number in range(first, first + 10):
        with store.write() as tx:
            tx.run(ADD, name=f"test {number}")
    with store.read() as tx:
        return tx.row(PREPARED)["n"]


def test_a_session_of_our_own_keeps_its_statements_prepared_also_over_reads(schema_url):
    with open_engine(schema_url) as store:
        schema.migrate(store)
        assert add_ten(store, 0) == 1
        assert add_ten(store, 10) == 1
        assert store.status().connections_made == 1


def test_behind_a_pooler_nothing_is_prepared(pooled_url):
    with open_engine(pooled_url) as store:
        schema.migrate(store)
        assert add_ten(store, 0) == 0


def test_prepared_statements_that_somebody_took_away_cost_one_busy(schema_url):
    with open_engine(schema_url) as store:
        schema.migrate(store)
        add_ten(store, 0)
        with store.read() as tx:
            tx.rows(statement("DEALLOCATE ALL"))
        with pytest.raises(Busy, match="does not exist"), store.write() as tx:
            tx.run(ADD, name="again")
        assert add_ten(store, 10) == 1
