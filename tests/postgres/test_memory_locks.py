"""Who changes memories at once on PostgreSQL waits, and never in a circle: rows are locked in one order."""

import threading

import pytest

from engines import open_engine
from holdfast import ids, schema
from holdfast.adapters import runtime_rows
from holdfast.adapters.runtime_types import ThreadMetadata, utc
from holdfast.memory import store
from holdfast.memory.model import Extracted
from holdfast.threads import homes
from holdfast.threads import store as threads

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
FOUND = Extracted("raw", "summary")
CWD, USER = ("cwd", "/w"), ("user", "user")
ONE, TWO = (1).to_bytes(16, "big"), (2).to_bytes(16, "big")


@pytest.fixture
def engine(schema_url):
    with open_engine(schema_url) as store:
        schema.migrate(store)
        yield store


@pytest.fixture
def home_id(engine):
    """A home with two threads, each remembered in two scopes."""
    with engine.write() as tx:
        home = homes.ensure(tx, "/home/dev/.codex")
        for id16 in (ONE, TWO):
            runtime_rows.put(
                tx, home,
                ThreadMetadata(
                    id=ids.text(id16), rollout_path=f"sessions/{id16[-1]}.jsonl", created_at=utc(1), updated_at=utc(1),
                    cwd="/w", first_user_message="hello",
                ),
            )  # fmt: skip
            for scope in (CWD, USER):
                store.put(tx, home.home_id, id16, scope, FOUND)
    return home.home_id


@pytest.fixture
def meanwhile(engine, server):
    """Do something in a transaction of its own; returns once that waits for a row, and then what it came to."""
    threads = []

    def start(fn):
        said = []

        def run():
            try:
                with engine.write() as tx:
                    said.append(fn(tx))
            except Exception as error:
                said.append(error)

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()
        while thread.is_alive() and not server.run(WAITING):
            pass

        def end():
            thread.join(30)
            return said[0]

        return end

    yield start
    for thread in threads:
        thread.join(30)


def change(how, tx, home_id):
    match how:
        case "invalidate":
            return store.invalidate(tx, home_id, ONE, "wrong")
        case "forget":
            return store.forget(tx, home_id, ONE)
        case "forget all":
            return store.forget_all(tx, [home_id])
        case "use":
            return store.use(tx, home_id, [TWO, ONE])
        case "replace":
            return len(store.replace(tx, home_id, ONE, [USER, CWD], FOUND, source_ms=1))


@pytest.mark.parametrize(
    ("how", "came_to"), [("invalidate", 2), ("forget", 2), ("forget all", 4), ("use", 2), ("replace", 2)]
)
@pytest.mark.parametrize("first", [CWD, USER])
def test_who_changes_a_memory_that_another_stores_waits_for_it_and_neither_is_busy(
    engine, home_id, meanwhile, how, came_to, first
):
    with engine.write() as tx:
        store.set_dirty(tx, first)  # what storing begins with
        ended = meanwhile(lambda its: change(how, its, home_id))
        store.put(tx, home_id, ONE, first, FOUND)
        if first == CWD:
            store.put(tx, home_id, ONE, USER, FOUND)
    assert ended() == came_to


def test_two_uses_of_the_same_threads_in_another_order_do_not_wait_in_a_circle(engine, home_id, meanwhile):
    with engine.write() as tx:
        assert store.use(tx, home_id, [ONE]) == 1
        ended = meanwhile(lambda its: store.use(its, home_id, [TWO, ONE]))
        assert store.use(tx, home_id, [TWO]) == 1
    assert ended() == 2


def test_who_disables_a_thread_while_its_memory_is_stored_waits_until_it_is(engine, home_id, meanwhile):
    with engine.write() as tx:
        assert store.may_remember(tx, home_id, ONE)
        ended = meanwhile(lambda its: threads.set_memory_mode(its, [home_id], ONE, "disabled"))
        store.put(tx, home_id, ONE, CWD, FOUND)
    assert ended() is True
    with engine.write() as tx:
        assert not store.may_remember(tx, home_id, ONE)
