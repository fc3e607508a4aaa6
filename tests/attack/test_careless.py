"""Neighbours that come and go, and careless closes that cancel this process's locks: nothing is lost."""

import os
import signal

import pytest
from attack_helpers import INSERT, counts, inodes, q, texts

from holdfast.errors import Busy

COME_AND_GO = """
wrote = 0
say("up"); hear()
for _ in range(int(sys.argv[2])):
    connection = connect()
    add(connection, "theirs")
    connection.close()  # as the last, for all it knows
    wrote += 1
say(wrote)
"""

# Our store, used by threads, while one closes the database files as a hash, a copy or a probe would.
ATTACKED = """
store = Store.open(PATH, clock=wall_ms, durability="normal", limits=Limits(wal_soft_bytes=1 << 20))
over = threading.Event()
wrote, failed = [], []
def guarded(work):
    while not over.is_set():
        try: work()
        except Exception as error: failed.append(repr(error))
def write():
    add(store, "ours"); wrote.append(1); spend(1)
def read():
    with store.read() as tx:
        first = tx.tuples(q("SELECT count(*), max(id) FROM notes"))
        spend(3)
        if first != tx.tuples(q("SELECT count(*), max(id) FROM notes")): failed.append("two moments in one read")
def close():
    careless(*ATTACKS); spend(20)
threads = [threading.Thread(target=guarded, args=(work,)) for work in (write, write, read, read, close)]
add(store, "ours"); wrote.append(1); texts(store)
for thread in threads: thread.start()
say("up")
hear()
over.set()
for thread in threads: thread.join()
say(len(wrote), failed)
hear()
store.close()
"""

OURS_COME_AND_GO = """
say("up"); hear()
for _ in range(int(sys.argv[2])):
    with Store.open(PATH, clock=wall_ms, durability="normal") as store: add(store, "theirs")
say(sys.argv[2])
"""


def attack(path, make, ours, workers, times, suffixes):
    """Run workers beside an attacked store; return what was written, what failed, and what is there."""
    make().close()
    attacked = ours(f"ATTACKS = {suffixes!r}" + ATTACKED)
    assert attacked.line() == "up"
    before = inodes(path)
    started = [start(code, times) for start, code in workers]
    assert [each.line() for each in started] == ["up"] * len(started)
    for each in started:
        each.tell()
    theirs = sum(int(each.line() or -1_000_000) for each in started)
    attacked.tell()
    wrote, _, failed = attacked.line().partition(" ")
    assert inodes(path) == before
    attacked.tell()
    assert attacked.wait() == 0
    with_us = make()
    assert (failed, counts(with_us)) == ("[]", {"ours": int(wrote), "theirs": theirs})


@pytest.mark.parametrize("suffixes", [(), ("",), ("", "-shm")], ids=["none", "db", "db and -shm"])
def test_neighbours_that_come_and_go_lose_nothing_and_cost_us_nothing(path, make, ours, neighbour, suffixes):
    """K4 (B1, B14), K5 (B15g, B19): processes of a stock SQLite, and raw closes every 20 ms."""
    attack(path, make, ours, [(neighbour, COME_AND_GO)] * 2, 40, suffixes)


def test_stores_that_come_and_go_lose_nothing_and_cost_us_nothing(path, make, ours):
    """K5, with processes of ours, which checkpoint when they close."""
    attack(path, make, ours, [(ours, OURS_COME_AND_GO)] * 2, 40, ("", "-shm"))


@pytest.mark.torture
@pytest.mark.parametrize("suffixes", [("",), ("", "-shm")], ids=["db", "db and -shm"])
def test_a_minute_of_careless_closes_costs_nothing(path, make, ours, neighbour, suffixes):
    """K5: about a minute on a quiet machine."""
    attack(path, make, ours, [(neighbour, COME_AND_GO)] * 2 + [(ours, OURS_COME_AND_GO)] * 2, 1_500, suffixes)


def test_an_index_of_the_log_is_never_cut_short_under_a_reader(make, ours, neighbour):
    """K6 (B3t): who opens believes it is the first, empties the -shm, and the reader dies of SIGBUS."""
    make().close()
    reader = ours("""
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "ours"); texts(store)
careless("-shm")
over = threading.Event()
def read():
    while not over.is_set(): texts(store)
thread = threading.Thread(target=read)
thread.start()
say("reading"); hear()
over.set(); thread.join()
say(len(texts(store)))
""")
    assert reader.line() == "reading"
    opener = neighbour(COME_AND_GO, 40)
    assert opener.line() == "up"
    opener.tell()
    assert opener.line() == "40"
    reader.tell()
    assert reader.line() == "41"
    assert reader.wait() == 0


IN_A_WRITE = """
store = Store.open(PATH, clock=wall_ms, durability="normal")
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('ours')"))
    careless("", "-shm")
    say("in"); hear()
say("out"); hear()
store.close()
"""


def test_a_neighbour_cannot_commit_inside_our_write_whose_locks_were_cancelled(make, ours, neighbour, path):
    """K7 (B10), with a neighbour that knows no seat: it finds the lock we hold a second time."""
    store = make()
    writer = ours(IN_A_WRITE)
    assert writer.line() == "in"
    stranger = neighbour("""
impatient = connect(wait_s=0.05)
try:
    add(impatient, "inside"); say("inside")
except sqlite3.OperationalError as error:
    say(error)
add(connect(), "after")
say("done")
""")
    assert stranger.line() == "database is locked"
    writer.tell()
    assert writer.line() == "out"
    assert stranger.line() == "done"
    assert counts(store) == {"ours": 1, "after": 1}


def test_a_process_of_ours_waits_for_a_write_whose_locks_were_cancelled(make, ours):
    """K7 (B10): the seat is no lock of SQLite's, and nothing cancels it."""
    store = make()
    writer = ours(IN_A_WRITE)
    assert writer.line() == "in"
    with pytest.raises(Busy, match=f"seat .* held by pid {writer.pid} "), store.write(wait_ms=20):
        pass
    writer.tell()
    assert writer.line() == "out"
    with store.write() as tx:
        tx.run(INSERT, text="theirs")
    assert texts(store) == ["ours", "theirs"]


def test_a_log_is_not_emptied_under_a_read_whose_locks_were_cancelled(make, ours, neighbour):
    """K5: without a lock of its own the read would find other pages where its own were, or none."""
    make().close()
    reader = ours("""
store = Store.open(PATH, clock=wall_ms, durability="normal")
with store.write() as tx:
    tx.run_many(q("INSERT INTO notes (text) VALUES (printf('%.3000c', 'x'))"), ({} for _ in range(200)))
with store.read() as tx:
    tx.row(q("SELECT 1"))
    careless("", "-shm")
    say("reading"); hear()
    say(tx.tuples(q("SELECT count(*), sum(length(text)) FROM notes")))
say(texts(store)[-1]); hear()
""")
    assert reader.line() == "reading"
    stranger = neighbour("""
connection = connect()
connection.execute("UPDATE notes SET text = 'y'")
connection.execute("PRAGMA busy_timeout = 50")
say(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])  # 1: it could not
connection.execute("UPDATE notes SET text = 'z'")
say("done"); hear()
""")
    assert [stranger.line(), stranger.line()] == ["1", "done"]
    reader.tell()
    assert reader.line() == "[(200, 600000)]"
    assert reader.line() == "z"


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_commit_of_a_neighbour_is_emptied_away_while_we_empty_the_log(make, ours, neighbour, when):
    """K5: our locks are cancelled in the middle of a TRUNCATE, before and after they are held twice."""
    make()
    emptying = ours(
        f"WHEN = {when!r}"
        """
from holdfast.sqlite.wal import Wal
real = Wal._go_on
def go_on(self, before):
    if WHEN == "before":
        careless("-shm"); say("emptying"); hear()
        return real(self, before)
    answer = real(self, before)
    careless("-shm"); say("emptying"); hear()
    return answer
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "ours")
Wal._go_on = go_on
say(store._core.wal.truncate()); hear()
"""
    )
    assert emptying.line() == "emptying"
    stranger = neighbour("""
try: add(connect(wait_s=0.05), "theirs"); say("kept")
except sqlite3.OperationalError as error: say(error)
hear()
""")
    told = stranger.line()
    assert told == {"before": "kept", "after": "database is locked"}[when]
    emptying.tell()
    while (line := emptying.line()) == "emptying":  # it tries again
        emptying.tell()
    assert line == "True" or (when, line) == ("before", "False")  # its time was spent on our talk
    assert counts(make()) == {"ours": 1} | ({"theirs": 1} if told == "kept" else {})


def test_another_sqlite_in_our_own_process_cannot_write_inside_our_write(make, ours):
    """K8 (B4): its locks are of the same process, so only the lock we hold a second time keeps it out."""
    make().close()
    both = ours("""
import sqlite3
store = Store.open(PATH, clock=wall_ms, durability="normal")
other = sqlite3.connect(PATH, timeout=0.05, isolation_level=None)
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('ours')"))
    try: other.execute("INSERT INTO notes (text) VALUES ('inside')"); say("inside")
    except sqlite3.OperationalError as error: say(error)
other.execute("BEGIN IMMEDIATE")
other.execute("INSERT INTO notes (text) VALUES ('theirs')")
try:
    with store.write(wait_ms=20): say("beside")
except Busy as error: say("another connection of this process" in str(error))
other.execute("COMMIT")
other.close()  # cancels every lock SQLite has for us
add(store, "later")
say(texts(store)); hear()
store.close()
""")
    assert both.line() == "database is locked"
    assert both.line() == "True"
    assert both.line() == "['ours', 'theirs', 'later']"
    both.tell()
    assert both.wait() == 0
    assert counts(make()) == {"ours": 1, "theirs": 1, "later": 1}


# --- Each of the above must be able to fail: the same, with the mechanism taken out ---


def test_without_the_guard_a_careless_close_costs_the_log(make, ours, neighbour, path):
    make().close()
    wedged = ours("""
import holdfast.sqlite.guard as guard
guard.hold = lambda path: -1
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "ours"); texts(store)
careless("", "-shm")
say("closed"); hear()
""")
    assert wedged.line() == "closed"
    stranger = neighbour("connection = connect(); add(connection, 'theirs'); connection.close(); say('done')")
    assert stranger.line() == "done"
    assert not os.path.exists(f"{path}-wal")


def test_without_the_second_lock_a_neighbour_commits_inside_our_write(make, ours, neighbour):
    store = make()
    writer = ours(
        """
import holdfast.sqlite.shm as shm
shm.Shm.hold_write = lambda self, before: True
"""
        + IN_A_WRITE
    )
    assert writer.line() == "in"
    stranger = neighbour("connection = connect(wait_s=0.05); add(connection, 'inside'); say('done'); hear()")
    assert stranger.line() == "done"
    writer.tell()
    writer.line()
    writer.kill()
    with store.read() as tx:
        assert tx.row(q("SELECT count(*) AS n FROM notes WHERE text = 'inside'")) == {"n": 0}  # acknowledged, and lost


def test_without_the_second_lock_a_log_is_emptied_under_a_read(make, ours, neighbour):
    make().close()
    reader = ours("""
import holdfast.sqlite.shm as shm
shm.Shm.pin = lambda self, before, pinned: True
shm.Shm.unpin = lambda self, pinned: None
store = Store.open(PATH, clock=wall_ms, durability="normal")
with store.read() as tx:
    tx.row(q("SELECT 1"))
    careless("-shm")
    say("reading"); hear()
""")
    assert reader.line() == "reading"
    stranger = neighbour("""
connection = connect()
add(connection, "theirs")
say(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
""")
    assert stranger.line() == "0"


def test_without_the_seat_two_of_our_processes_are_in_at_once_as_far_as_it_can_tell(make, ours):
    store = make()
    writer = ours(
        """
import holdfast.sqlite.seat as seat
seat.Seat.take = lambda self, begun_ns, deadline_ns: None
seat.Seat.release = lambda self: None
"""
        + IN_A_WRITE
    )
    assert writer.line() == "in"
    # It is not the seat that refuses now, but the lock below it.
    with pytest.raises(Busy, match="write lock"), store.write(wait_ms=20):
        pass
    os.kill(writer.pid, signal.SIGKILL)
