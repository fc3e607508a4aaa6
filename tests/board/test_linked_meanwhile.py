"""PostgreSQL: who ends a task the very moment it is linked is not turned away, though others end theirs meanwhile."""

import threading

import psycopg
import pytest

from engines import open_engine
from holdfast import board, schema

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def engine(schema_url):
    with open_engine(schema_url) as store:
        schema.migrate(store)
        yield store


def in_a_thread(engine, fn, *after):
    """Run ``fn`` in a transaction of another thread, which stays open until every event is set."""

    def run():
        with engine.write(wait_ms=30_000) as tx:
            fn(tx)
            done.set()
            for event in after:
                assert event.wait(30)

    done, thread = threading.Event(), threading.Thread(target=run)
    thread.start()
    return thread, done


def test_a_task_linked_this_very_moment_ends_beside_another_that_ends(engine, server):
    with engine.write() as tx:
        first, second = (board.create(tx, name).task.task_id for name in ("first", "second"))
    with psycopg.connect(server.url(), autocommit=True) as watcher, engine.write() as tx:
        child = board.create(tx, "child", parents=[first]).task.task_id
        over = threading.Event()
        ending, ended = in_a_thread(engine, lambda tx: board.done(tx, first))
        other, other_ended = in_a_thread(engine, lambda tx: board.done(tx, second), over)
        while watcher.execute(WAITING).fetchone() != (2,):
            pass
    assert other_ended.wait(30)
    while not ended.is_set() and ending.is_alive() and watcher_waits(server) == 0:
        pass  # until it is through, turned away, or waits for the other
    over.set()
    ending.join(30)
    other.join(30)
    with engine.read() as tx:
        assert [board.get(tx, task_id).status for task_id in (first, second, child)] == ["done", "done", "ready"]


def watcher_waits(server):
    with psycopg.connect(server.url(), autocommit=True) as watcher:
        return watcher.execute(WAITING).fetchone()[0]
