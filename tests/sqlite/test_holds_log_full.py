"""Holds while SQLite's log is full: what frees something still goes through."""

from __future__ import annotations

import pytest

from engines import Clock, Watched
from holdfast import holds, schema
from holdfast.errors import Full
from holdfast.sql import statement
from holdfast.sqlite import Limits, Store

LEASE_MS = 1_000


@pytest.fixture
def clock():
    return Clock()


def put(engine, sql):
    with engine.write() as tx:
        tx.run(statement(sql))


def take(engine, resource="r"):
    with engine.write() as tx:
        return holds.take(tx, resource, holds.me("ann"), lease_ms=LEASE_MS)


@pytest.fixture
def full(tmp_path, clock):
    """A store with a small log, and a hold taken before the log filled up; a read keeps it from being emptied."""
    limits = Limits(wal_hard_bytes=1 << 20, wal_reserve_bytes=1 << 20)
    with Store.open(tmp_path / "small.db", clock=clock, limits=limits) as engine:
        schema.migrate(engine)
        hold = take(engine)
        with engine.read() as pins:
            assert pins.rows(statement("SELECT * FROM labels")) == []
            with pytest.raises(Full):
                while True:
                    put(engine, "INSERT INTO labels (label) SELECT hex(randomblob(20000))")
            with pytest.raises(Full):
                take(engine, resource="another")
            yield engine, hold


def test_a_hold_is_renewed_while_the_log_is_full(full, clock):
    engine, hold = full
    keeper = holds.Keeper(engine, hold, LEASE_MS)
    clock.advance(300)
    engine.clock = watched = Watched(clock)
    watched.wait(2)
    engine.clock = clock
    keeper.stop()
    assert keeper.lost.is_set() is False


def test_a_hold_is_released_while_the_log_is_full(full, clock):
    engine, hold = full
    with holds.kept(engine, hold, lease_ms=600_000):
        pass
    ended = engine.submit_read(lambda tx: holds.get(tx, "r")).result(30)  # this thread still reads the past
    assert ended.expires_ms == ended.renewed_ms == clock.ms
