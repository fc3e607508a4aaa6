"""Group commit: who shares a COMMIT, and what becomes of the others when one fails."""

import threading

import pytest
from sqlite_helpers import INSERT, q, texts

from holdfast.errors import Busy, Full, Refused


class Crowd:
    """Threads that all wait for the baton while the first holds it, so that they form one group."""

    def __init__(self, store, bodies):
        self.errors = [None] * len(bodies)
        self._store = store
        self._threads = [threading.Thread(target=self._run, args=(index, body)) for index, body in enumerate(bodies)]

    def _run(self, index, body):
        try:
            with self._store.write() as tx:
                body(tx)
        except Exception as error:
            self.errors[index] = error

    def go(self, first=None):
        """Let the first write begin, let all others queue up, and wait for the end of all."""
        line = self._store._core.baton._line
        with self._store.write() as tx:
            for count, thread in enumerate(self._threads, start=1):
                thread.start()
                while len(line._queue) < count:  # bounded: the thread does nothing before it queues
                    thread.join(0.001)
            if first:
                first(tx)
        self.join()
        return self.errors

    def join(self):
        for thread in self._threads:
            thread.join(30)


def insert_alone(store, text):
    with store.write() as tx:
        tx.run(INSERT, text=text)
    return texts(store)


def insert(text):
    return lambda tx: tx.run(INSERT, text=text)


def fails(text):
    def body(tx):
        tx.run(INSERT, text=text)
        raise KeyError(text)

    return body


def test_those_who_wait_share_one_commit(make):
    store = make(group_ms=60_000)
    before = store.status()
    assert Crowd(store, [insert(str(n)) for n in range(7)]).go(insert("first")) == [None] * 7
    after = store.status()
    assert after.groups - before.groups == 1
    assert after.transactions - before.transactions == 8
    assert texts(store) == ["first", *map(str, range(7))]


def test_a_group_ends_at_its_size(make):
    store = make(group_ms=60_000, group_members=4)
    before = store.status().groups
    Crowd(store, [insert(str(n)) for n in range(7)]).go()
    assert store.status().groups - before == 2


def test_a_member_that_fails_loses_its_own_work_only(make):
    store = make(group_ms=60_000)
    errors = Crowd(store, [insert("a"), fails("b"), insert("c"), fails("d")]).go(insert("first"))
    assert [type(error) for error in errors] == [type(None), KeyError, type(None), KeyError]
    assert texts(store) == ["first", "a", "c"]


def test_when_the_first_fails_the_others_begin_anew(make):
    store = make(group_ms=60_000)
    crowd = Crowd(store, [insert("a"), insert("b")])
    with pytest.raises(KeyError):
        crowd.go(fails("first"))
    crowd.join()
    assert crowd.errors == [None, None]
    assert texts(store) == ["a", "b"]


def test_no_read_sees_half_a_group(make):
    store = make(group_ms=60_000)
    seen = []
    Crowd(store, [insert("a"), lambda tx: seen.append(texts(store))]).go(insert("first"))
    assert seen == [[]]
    assert texts(store) == ["first", "a"]


def test_a_disk_without_room_fails_the_members_of_that_group_and_no_other(make):
    store = make(group_ms=60_000)
    # max_page_count: the same FULL, and the same rollback by SQLite itself, as a disk without room.
    pages = store._core.writer.pragma("page_count")
    store._core.writer.pragma("max_page_count", pages + 20)
    crowd = Crowd(store, [insert("x" * 2_000_000), insert("later")])
    with pytest.raises(Full, match="rolled back with the group"):
        crowd.go(insert("first"))
    crowd.join()
    assert [type(error) for error in crowd.errors] == [Full, type(None)]
    assert texts(store) == ["later"]


def test_what_is_swallowed_after_a_rollback_by_sqlite_is_still_told(store):
    with pytest.raises(Refused, match="rolled back"), store.write() as tx:
        tx.run(INSERT, text="a")
        with pytest.raises(Refused):
            # OR ROLLBACK ends the transaction inside SQLite, as FULL and IOERR may.
            tx.run(q("INSERT OR ROLLBACK INTO notes (id, text) VALUES (1, 'twice')"))
        tx.run(INSERT, text="b")
    with pytest.raises(Refused, match="UNIQUE"), store.write() as tx:
        tx.run(INSERT, text="a")
        with pytest.raises(Refused):
            tx.run(q("INSERT OR ROLLBACK INTO notes (id, text) VALUES (1, 'twice')"))
    assert texts(store) == []


def test_a_group_rolled_back_by_sqlite_fails_those_who_were_done(make):
    store = make(group_ms=60_000)

    def ruin(tx):
        tx.run(INSERT, text="x")
        tx.run(q("INSERT OR ROLLBACK INTO notes (id, text) VALUES (1, 'twice')"))

    crowd = Crowd(store, [insert("done"), ruin, insert("later")])
    with pytest.raises(Busy, match="rolled back with the group"):
        crowd.go(insert("first"))
    crowd.join()
    assert [type(error) for error in crowd.errors] == [Busy, Refused, type(None)]
    assert "rolled back with the group" in str(crowd.errors[0])
    assert texts(store) == ["later"]


def test_a_deferred_constraint_fails_at_the_commit_and_leaves_nothing(make):
    store = make(group_ms=60_000)

    def break_commit(tx):
        tx.script("""
            PRAGMA defer_foreign_keys = ON;
            CREATE TABLE p (id INTEGER PRIMARY KEY);
            CREATE TABLE c (p REFERENCES p (id));
            INSERT INTO c VALUES (5);
        """)

    with pytest.raises(Refused, match="FOREIGN KEY"), store.write() as tx:
        break_commit(tx)
    crowd = Crowd(store, [break_commit])
    with pytest.raises(Busy, match="FOREIGN KEY"):
        crowd.go(insert("first"))
    crowd.join()
    assert isinstance(crowd.errors[0], Busy)
    assert insert_alone(store, "after") == ["after"]


def test_a_commit_whose_sync_failed_is_an_unknown_outcome_and_the_store_goes_on(child):
    told = child("""
import threading
armed = False
class File(apsw.VFSFile):
    def __init__(self, name, flags):
        self.wal = flags[0] & apsw.SQLITE_OPEN_WAL
        super().__init__("unix", name, flags)
    def xSync(self, flags):
        if armed and self.wal:
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
class Vfs(apsw.VFS):
    def __init__(self):
        super().__init__("failing", "unix", makedefault=True)
    def xOpen(self, name, flags):
        return File(name, flags)
vfs = Vfs()
store = Store.open(PATH, clock=wall_ms)
with store.write() as tx:
    tx.script("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
tries = []
def work(tx):
    tries.append(1)
    tx.run(q("INSERT INTO notes (text) VALUES ('unknown')"))
armed = True
try:
    store.submit(work).result()
except OutcomeUnknown as error:
    say(error)
armed = False
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('after')"))
with store.read() as tx:
    say(len(tries), tx.rows(q("SELECT text FROM notes")))
store.close()
""")
    assert "its outcome is unknown" in told.line()
    tries, _, rows = told.line().partition(" ")
    # Both are honest: the frames reached the page cache, and may be found there when the log is read again.
    assert rows in ("[{'text': 'after'}]", "[{'text': 'unknown'}, {'text': 'after'}]")
    assert tries == "1"


def test_a_waiter_gives_up_at_its_deadline_and_is_told_which_thread(store):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with store.write() as tx:
            tx.run(INSERT, text="held")
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold, name="the-holder")
    holder.start()
    entered.wait(10)
    told = r"waited \d+ ms .* held by thread 'the-holder' of this process for \d+ ms"
    with pytest.raises(Busy, match=told), store.write(wait_ms=20):
        pass
    assert store.status().seat_holder.since_ms is not None
    leave.set()
    holder.join()
    assert texts(store) == ["held"]
