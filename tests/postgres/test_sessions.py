"""Behind a pooler in transaction mode: each transaction may get another session, and leaves none as its own."""

from __future__ import annotations

import pytest

import holdfast
from engines import open_engine
from holdfast import holds, schema
from holdfast.postgres.connections import Connections
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


@pytest.fixture
def pooled(monkeypatch):
    """As a pooler does it: after each transaction the session goes to somebody else. What is left in it is kept."""
    left, transactions = [], []
    put = Connections.put

    def give_away(connections, connection):
        if not connection.broken:
            left.extend(row[0] for row in connection.execute(LEFT).fetchall())
            transactions.append(connection.info.backend_pid)
            connection.close()
        put(connections, connection)

    monkeypatch.setattr(Connections, "put", give_away)
    yield transactions
    assert left == []
    assert len(set(transactions)) == len(transactions) > 0


def test_migrations_and_holds_leave_nothing_in_a_session(pooled, schema_url):
    with open_engine(schema_url) as store:
        assert schema.migrate(store) == len(schema.migrations("postgres"))
        with store.write() as tx:
            hold = holds.take(tx, "r", holds.me(), lease_ms=60_000)
        with holds.kept(store, hold, 60_000):
            assert store.submit_read(lambda tx: holds.get(tx, "r")).result(30) == hold
        with store.read() as tx:
            assert findings(tx) == []


def test_a_home_is_indexed_listed_and_renamed_with_another_session_each_time(pooled, schema_url, home, state_dir):
    with holdfast.open(home, state=schema_url, state_dir=state_dir, search=False) as state:
        page = state.threads.list(archived=None, limit=1_000)
        assert len(page) == len(home.files())
        assert state.threads.rename(page.threads[0].id, "called so").name == "called so"
        assert state.threads.resolve("called so").id == page.threads[0].id
        state.index(full=True)
        with state.read() as tx:
            assert findings(tx) == []
