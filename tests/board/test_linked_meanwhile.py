"""PostgreSQL: whose ends and links meet waits, in no circle: nobody is turned away, and nobody waits for strangers."""

import threading

import psycopg
import pytest

from engines import open_engine
from holdfast import board, schema
from holdfast.board.probes import probes

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
def engine(schema_url):
    with open_engine(schema_url) as store:
        schema.migrate(store)
        yield store
        with store.read() as tx:
            assert probes(tx) == []


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


def wait_for_waiters(server, count):
    with psycopg.connect(server.url(), autocommit=True) as watcher:
        while watcher.execute(WAITING).fetchone()[0] < count:
            pass


def statuses(engine, *tasks):
    with engine.read() as tx:
        return [board.get(tx, task_id).status for task_id in tasks]


def created(engine, *titles, parents=()):
    with engine.write() as tx:
        return [board.create(tx, title, parents=parents).task.task_id for title in titles]


def test_a_task_linked_this_very_moment_ends_with_its_new_child(engine, server):
    (first,) = created(engine, "first")
    with engine.write() as tx:
        child = board.create(tx, "child", parents=[first]).task.task_id
        ending, _ = in_a_thread(engine, lambda tx: board.done(tx, first))
        wait_for_waiters(server, 1)
    ending.join(30)
    assert statuses(engine, first, child) == ["done", "ready"]


def test_tasks_that_are_linked_to_others_end_at_once(engine):
    first, second = created(engine, "first", "second")
    one, two = created(engine, "one", parents=[first]) + created(engine, "two", parents=[second])
    over = threading.Event()
    slow, slow_ended = in_a_thread(engine, lambda tx: board.done(tx, first), over)
    assert slow_ended.wait(30)
    with engine.write(wait_ms=30_000) as tx:
        board.done(tx, second)  # would wait for ever, if all links of a board were one lock
        board.create(tx, "three", parents=[second])
    over.set()
    slow.join(30)
    assert statuses(engine, one, two) == ["ready", "ready"]


def test_a_parent_and_its_child_that_end_at_once_wait_in_one_order(engine, server):
    (parent,) = created(engine, "parent")
    (child,) = created(engine, "child", parents=[(parent, "none")])
    with engine.write(wait_ms=30_000) as tx:
        board.get(tx, parent)
        board.hold_several(tx, [child])
        ends = [in_a_thread(engine, lambda tx, task=task: board.done(tx, task)) for task in (parent, child)]
        wait_for_waiters(server, 2)
    for thread, done in ends:
        thread.join(30)
        assert done.is_set()
    assert statuses(engine, parent, child) == ["done", "done"]


def test_two_that_each_end_several_linked_tasks_wait_in_no_circle(engine, server):
    first, second = created(engine, "first", "second")
    (child,) = created(engine, "child", parents=[first, second])

    def end_both(tx, *tasks):
        board.hold_several(tx, tasks)
        for task_id in tasks:
            if board.get(tx, task_id).status != "done":
                board.done(tx, task_id)

    over = threading.Event()
    with engine.write(wait_ms=30_000) as tx:
        board.hold_several(tx, [child])
        ends = [
            in_a_thread(engine, lambda tx: end_both(tx, first, second), over),
            in_a_thread(engine, lambda tx: end_both(tx, second, first), over),
        ]
        wait_for_waiters(server, 2)
    over.set()
    for thread, done in ends:
        thread.join(30)
        assert done.is_set()
    assert statuses(engine, first, second, child) == ["done", "done", "ready"]
