"""Several processes on one file: the seat, the guard, the WAL and its limits."""

import os
import shutil
import signal
import tempfile
import threading

import apsw
import pytest
from sqlite_helpers import INSERT, q, texts

from holdfast.errors import Busy, Damaged, Full, Refused, Unsupported
from holdfast.sqlite import Store, pinners, seat_holder


def descriptors():
    """Yield the links of every descriptor of this process that is still open."""
    for entry in os.scandir("/proc/self/fd"):
        if os.path.exists(entry.path):
            yield entry.path


HOLD_THE_SEAT = """
store = Store.open(PATH, clock=wall_ms)
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('theirs')"))
    say("in")
    hear()
store.close()
say("out")
hear()
"""

ADD = """
store = Store.open(PATH, clock=wall_ms)
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('%s')"))
store.close()
say("done")
"""

READ = """
connection = apsw.Connection(PATH, flags=apsw.SQLITE_OPEN_READONLY)
say([row[0] for row in connection.execute("SELECT text FROM notes ORDER BY id")],
    connection.execute("PRAGMA integrity_check").fetchall())
"""

PIN = """
connection = apsw.Connection(PATH)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM notes").fetchall()
say("pinned")
hear()
"""


def test_who_waits_for_the_seat_is_told_who_has_it(store, child, path):
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    assert seat_holder(path).pid == other.pid
    told = rf"waited \d+ ms for the writer's seat .* held by pid {other.pid} \("
    with pytest.raises(Busy, match=told), store.write(wait_ms=20):
        pass
    other.stop()
    assert seat_holder(path).state == "T"
    other.go_on()
    other.tell()
    assert other.line() == "out"
    assert texts(store) == ["theirs"]
    assert seat_holder(path) is None


def test_a_store_is_closed_while_another_process_is_stopped_in_its_transaction(make, child):
    # Whoever waits for the seat without a limit of its own would wait for ten minutes here.
    ours = make(read_wait_ms=600_000)
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    other.stop()
    closing = threading.Thread(target=ours.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    other.go_on()
    other.tell()
    assert other.line() == "out"


def test_the_seat_of_a_killed_process_is_free_and_its_work_is_gone(store, child):
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    other.kill()
    with store.write(wait_ms=0) as tx:
        tx.run(INSERT, text="ours")
    assert texts(store) == ["ours"]


def test_who_waits_has_the_seat_as_soon_as_its_holder_is_killed(store, child):
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    wrote = store.submit(lambda tx: tx.run(INSERT, text="ours"), wait_ms=60_000)
    while store.status().busy_waits == 0:  # bounded: the thread does nothing before it waits
        pass
    other.kill()
    assert wrote.result(30) == 1
    assert texts(store) == ["ours"]


def test_a_wait_that_ended_takes_no_seat_later_and_the_next_one_goes_on(store, child, path):
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    for _ in range(3):
        with pytest.raises(Busy, match=f"held by pid {other.pid} "), store.write(wait_ms=10):
            pass
    other.tell()
    assert other.line() == "out"
    third = child(ADD % "third")
    assert third.line() == "done"
    with store.write(wait_ms=30_000) as tx:
        tx.run(INSERT, text="ours")
    assert texts(store) == ["theirs", "third", "ours"]


def test_a_store_closed_while_it_stands_in_the_queue_leaves_no_seat_and_no_descriptor(make, child, path):
    store = make(read_wait_ms=10)
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    with pytest.raises(Busy), store.write(wait_ms=10):
        pass
    store.close()
    other.tell()
    assert other.line() == "out"
    while f"{path}.seat" in [os.readlink(entry) for entry in descriptors()]:  # bounded: the seat is free
        pass
    assert seat_holder(path) is None


def test_who_is_forked_while_its_parent_stands_in_the_queue_waits_for_itself(store, child, path):
    other = child(HOLD_THE_SEAT)
    assert other.line() == "in"
    told = child("""
store = Store.open(PATH, clock=wall_ms)
def add(text, wait_ms):
    try:
        with store.write(wait_ms=wait_ms) as tx:
            tx.run(q(f"INSERT INTO notes (text) VALUES ('{text}')"))
    except Busy as error:
        say("busy")
add("early", 10)
pid = os.fork()
if pid == 0:
    add("early, too", 10)
    hear()
    add("child", 60_000)
    store.close()
    os._exit(0)
say("forked")
assert os.waitpid(pid, 0)[1] == 0
add("parent", 60_000)
store.close()
say("done")
""")
    assert sorted(told.line() for _ in range(3)) == ["busy", "busy", "forked"]
    other.tell()
    assert other.line() == "out"
    told.tell()
    assert told.line() == "done"
    assert texts(store) == ["theirs", "child", "parent"]
    assert seat_holder(path) is None


def test_a_neighbour_that_does_not_know_the_seat_is_waited_for_and_named(store, child):
    other = child("""
connection = apsw.Connection(PATH)
connection.execute("BEGIN IMMEDIATE")
say("in")
hear()
connection.execute("COMMIT")
say("out")
""")
    assert other.line() == "in"
    told = rf"for the write lock of .* held by pid {other.pid} "
    with pytest.raises(Busy, match=told), store.write(wait_ms=20):
        pass
    other.tell()
    with store.write(wait_ms=10_000) as tx:
        tx.run(INSERT, text="then")
    assert texts(store) == ["then"]


def test_a_program_we_start_does_not_sit_in_our_seat(store, path, child):
    with store.write() as tx:
        tx.run(INSERT, text="a")
        # sleeps with all it inherits; close_fds=False leaves it every descriptor that may be left
        other = child("say('up'); hear()", close_fds=False)
        assert other.line() == "up"
    with store.write(wait_ms=0) as tx:
        tx.run(INSERT, text="b")
    assert seat_holder(path) is None


def test_several_processes_create_one_file_at_once(path, child):
    children = [
        child("""
hear()
store = Store.open(PATH, clock=wall_ms)
with store.write() as tx:
    tx.script("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
    tx.run(q("INSERT INTO notes (text) VALUES ('x')"))
store.close()
say("done")
""")
        for _ in range(4)
    ]
    for other in children:
        other.tell()
    assert [other.line() for other in children] == ["done"] * 4
    with Store.open(path, clock=lambda: 1) as store:
        assert texts(store) == ["x"] * 4


def test_one_careless_close_does_not_cost_a_commit(path, child, make):
    make().close()
    careless = child("""
store = Store.open(PATH, clock=wall_ms)
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('before')"))
with store.read() as tx:
    tx.rows(q("SELECT 1"))
for name in (PATH, PATH + "-shm"):
    open(name, "rb").close()
say("closed")
hear()
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('after')"))
say("written")
hear()
""")
    assert careless.line() == "closed"
    # A plain SQLite, closing as the last as far as its own locks tell it.
    neighbour = child("""
connection = apsw.Connection(PATH)
connection.execute("INSERT INTO notes (text) VALUES ('neighbour')")
connection.close()
say("done")
""")
    assert neighbour.line() == "done"
    assert os.path.exists(f"{path}-wal")
    careless.tell()
    assert careless.line() == "written"
    third = child(READ)
    assert third.line() == "['before', 'neighbour', 'after'] [('ok',)]"


def test_a_log_that_is_unlinked_stops_all_writing_at_once(store, path):
    with store.write() as tx:
        tx.run(INSERT, text="a")
    os.unlink(f"{path}-wal")
    for _ in range(2):
        with pytest.raises(Damaged, match=r"state\.db-wal is gone"), store.write():
            pass


@pytest.mark.parametrize("name", ["", "-wal", "-shm"])
def test_a_file_replaced_under_us_stops_all_writing_and_is_left_alone(make, path, name):
    store = make()
    with store.write() as tx:
        tx.run(INSERT, text="a")
    os.rename(path + name, f"{path}.moved")
    with open(path + name, "wb") as file:  # another inode; SQLite has none of it open
        file.write(b"not ours")
    with pytest.raises(Damaged, match=f"state.db{name} is another file now"), store.write():
        pass
    store.close()
    with open(path + name, "rb") as file:
        assert file.read() == b"not ours"


def test_a_stopped_reader_cannot_make_the_log_grow_past_its_limit(make, child, path):
    limit, reserve = 300_000, 200_000
    store = make(wal_hard_bytes=limit, wal_reserve_bytes=reserve, wal_soft_bytes=100_000)
    reader = child(PIN)
    assert reader.line() == "pinned"
    reader.stop()
    with pytest.raises(Full, match=rf"pinned by pid {reader.pid} \(.*, stopped\) holding READ\d"):
        for _ in range(500):
            with store.write() as tx:
                tx.run(INSERT, text="x" * 3_000)
    assert os.stat(f"{path}-wal").st_size < limit + 50_000
    # Our own janitor may be trying at this moment, and is then named too.
    assert (reader.pid, "T") in [(pinner.pid, pinner.state) for pinner in pinners(path)]
    with store.write(reserve=True) as tx:
        tx.run(INSERT, text="released")
    reader.go_on()
    reader.kill()
    with store.write() as tx:
        tx.run(INSERT, text="goes on")
    assert texts(store)[-2:] == ["released", "goes on"]
    assert os.stat(f"{path}-wal").st_size < 100_000


def test_one_transaction_cannot_grow_the_log_past_its_limit(make, path):
    store = make(wal_hard_bytes=1_000_000, wal_reserve_bytes=1_000_000)
    with pytest.raises(Full), store.write() as tx:
        tx.run_many(INSERT, ({"text": "x" * 1_000} for _ in range(100_000)))
    assert os.stat(f"{path}-wal").st_size < 4_000_000
    with store.write() as tx:
        tx.run(INSERT, text="small")
    assert texts(store) == ["small"]


def test_the_janitor_empties_the_log_and_gives_pages_back(make, path):
    store = make(wal_soft_bytes=100_000)
    with store.write() as tx:
        tx.run_many(INSERT, ({"text": "x" * 3_000} for _ in range(2_000)))
    size = store.status().db_bytes
    with store.write() as tx:
        tx.run(q("DELETE FROM notes WHERE id > 10"))
    janitor = store._core.janitor
    with store.write() as tx:
        tx.run(INSERT, text="y")
    janitor.wake()
    assert janitor.wait_for_run(janitor.runs + 1, 30)
    with store.write() as tx:
        tx.run(INSERT, text="z")
    janitor.wake()
    assert janitor.wait_for_run(janitor.runs + 1, 30)
    status = store.status()
    assert (status.janitor_errors, status.janitor_error) == (0, "")
    assert status.free_pages <= 256
    assert status.wal_bytes <= 4 << 20
    store.close()
    assert os.stat(path).st_size < max(size, 6_000_000) // 2


def test_an_error_in_the_janitor_is_counted_and_it_goes_on(make, child):
    store = make(wal_soft_bytes=0)
    janitor = store._core.janitor
    with store.write() as tx:
        tx.run(INSERT, text="a")
        other = child("""
import fcntl
seat = os.open(PATH + ".seat", os.O_RDWR)
say("up"); hear()
fcntl.flock(seat, fcntl.LOCK_EX)
say("sits"); hear()
""")
        assert other.line() == "up"
    other.tell()
    assert other.line() == "sits"
    for _ in range(2):  # the first may be the end of a run that began before
        runs = janitor.runs
        janitor.wake()
        assert janitor.wait_for_run(runs + 1, 30)
    assert janitor.errors >= 1
    assert "held by pid" in janitor.last_error
    other.kill()
    runs = janitor.runs
    janitor.wake()
    assert janitor.wait_for_run(runs + 1, 30)
    assert store.status().wal_bytes == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"this is no database, and never was one: " * 200, Damaged),
        (b"SQLite format 3\0" + b"\0" * 60, Damaged),
    ],
)
def test_what_is_no_database_is_damaged_and_left_as_it_is(path, clock, content, error):
    with open(path, "wb") as file:
        file.write(content)
    for how in (Store.open, Store.peek):
        with pytest.raises(error):
            how(path, clock=clock)
    with open(path, "rb") as file:
        assert file.read() == content


def test_a_truncated_database_is_damaged(make, path, clock):
    store = make()
    with store.write() as tx:
        tx.run_many(INSERT, ({"text": "x" * 3_000} for _ in range(50)))
    store.close()
    os.truncate(path, 3 * 4096)
    with pytest.raises(Damaged):
        Store.open(path, clock=clock)
    os.truncate(path, 100)
    with pytest.raises(Damaged):
        Store.open(path, clock=clock)


def test_an_empty_file_is_a_creation_cut_short_unless_a_log_lies_beside_it(path, clock):
    open(path, "wb").close()
    with Store.open(path, clock=clock) as store, store.read() as tx:
        assert tx.user_version == 0
    os.truncate(path, 0)
    with open(f"{path}-wal", "wb") as file:
        file.write(b"frames")
    with pytest.raises(Damaged, match="log of 6 bytes lies beside it"):
        Store.open(path, clock=clock)


def test_another_programs_database_is_refused(path, clock):
    connection = apsw.Connection(path)
    connection.execute("PRAGMA application_id = 77; CREATE TABLE theirs (id INTEGER)").fetchall()
    connection.close()
    with pytest.raises(Refused, match="0x4d"):
        Store.open(path, clock=clock)
    with Store.open(path, clock=clock, application_id=77) as store, store.read() as tx:
        assert tx.row(q("PRAGMA journal_mode")) == {"journal_mode": "wal"}


def test_peek_reads_and_leaves_no_trace(make, path, tmp_path, clock):
    store = make()
    with store.write() as tx:
        tx.run(INSERT, text="a")
    with Store.peek(path, clock=clock) as peek:
        assert texts(peek) == ["a"]
        with store.write() as tx:
            tx.run(INSERT, text="b")
        assert texts(peek) == ["a", "b"]
        with pytest.raises(Refused, match="peek"):
            peek.write()
    store.close()
    before = sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir())
    with Store.peek(path, clock=clock) as peek:
        assert texts(peek) == ["a", "b"]
        assert peek.status().free_pages == 0
    assert sorted((entry.name, entry.stat().st_mtime_ns) for entry in tmp_path.iterdir()) == before
    with pytest.raises(FileNotFoundError):
        Store.peek(tmp_path / "absent.db", clock=clock)
    assert not (tmp_path / "absent.db").exists()


def test_a_path_may_have_any_character(tmp_path, clock):
    odd = tmp_path / "50%20 off? #1 ünd :memory:.db"
    with Store.open(odd, clock=clock) as store, store.write() as tx:
        tx.user_version = 5
    with Store.peek(odd, clock=clock) as peek, peek.read() as tx:
        assert tx.user_version == 5
    with Store.open(odd, clock=clock), Store.peek(odd, clock=clock) as peek, peek.read() as tx:
        assert tx.user_version == 5


def test_a_peek_at_a_closed_file_notices_a_writer_and_then_sees_its_work(make, path, clock, child):
    make().close()
    with Store.peek(path, clock=clock) as peek:
        assert texts(peek) == []
        writer = child(ADD % "new" + "hear()")
        with pytest.raises(Busy, match="written while"), peek.read() as tx:
            assert writer.line() == "done"
            tx.rows(q("SELECT text FROM notes"))
        assert texts(peek) == ["new"]


def test_a_peek_works_in_a_directory_nobody_may_write(make, path, child):
    store = make()
    with store.write() as tx:
        tx.run(INSERT, text="a")
    store.close()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # every directory above it may be searched by all
        copy = shutil.copy(path, folder)
        os.chmod(copy, 0o644)
        os.chmod(folder, 0o555)
        looking = child(
            """
import ctypes  # imported while the library may still be read
PATH = sys.argv[2]
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    open(os.path.join(os.path.dirname(PATH), "try"), "w")
except PermissionError:
    say("read-only")
store = Store.peek(PATH, clock=wall_ms)
with store.read() as tx:
    say(tx.rows(q("SELECT text FROM notes")))
store.close()
try:
    Store.open(PATH, clock=wall_ms)
except HoldfastError as error:
    say(type(error).__name__)
""",
            copy,
        )
        assert [looking.line() for _ in range(3)] == ["read-only", "[{'text': 'a'}]", "Refused"]
        os.chmod(folder, 0o700)


def test_a_directory_that_cannot_be_made_is_unsupported(clock):
    with pytest.raises(Unsupported, match="cannot be made"):
        Store.open("/proc/nowhere/state.db", clock=clock)


def test_fork_gives_the_child_a_store_of_its_own(child):
    told = child("""
store = Store.open(PATH, clock=wall_ms, limits=Limits(wal_soft_bytes=-1))
with store.write() as tx:
    tx.script("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
store.submit(lambda tx: tx.run(q("INSERT INTO notes (text) VALUES ('parent')"))).result()
pid = os.fork()
if pid == 0:
    store.submit(lambda tx: tx.run(q("INSERT INTO notes (text) VALUES ('child')"))).result()
    store.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
janitor = store._core.janitor  # runs while everything is closed
runs = janitor.runs
janitor.wake()
say("janitor:", janitor.wait_for_run(runs + 1, 30), janitor.errors)
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('parent again')"))
    pid = os.fork()
    if pid == 0:
        # The parent is in a write: the child can use nothing of it, and frees nothing.
        for attempt in (lambda: tx.run(q("SELECT 1")), lambda: store.write().__enter__()):
            try:
                attempt()
            except HoldfastError as error:
                say("child:", type(error).__name__)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    say("seat:", seat_holder(PATH).pid == os.getpid())
    tx.run(q("INSERT INTO notes (text) VALUES ('and again')"))
with store.read() as tx:
    say([row["text"] for row in tx.rows(q("SELECT text FROM notes ORDER BY id"))])
store.close()
say(sorted(os.listdir(os.path.dirname(PATH))))
""")
    assert told.line() == "janitor: True 0"
    assert told.line() == "child: Refused"
    assert told.line() == "child: Unsupported"
    assert told.line() == "seat: True"
    assert told.line() == "['parent', 'child', 'parent again', 'and again']"
    assert told.line() == "['state.db', 'state.db.seat']"


def test_a_parent_killed_in_its_write_leaves_no_seat_with_its_child(store, child, path):
    told = child("""
store = Store.open(PATH, clock=wall_ms)
forked, up = os.pipe()
with store.write() as tx:
    pid = os.fork()
    if pid == 0:
        os.close(1)
        os.write(up, b"!")
        sys.stdin.read()
        os._exit(0)
    os.read(forked, 1)
    say(pid)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    orphan = int(told.line())
    told.wait()
    os.kill(orphan, 0)
    with store.write(wait_ms=0) as tx:
        tx.run(INSERT, text="free")
    os.kill(orphan, signal.SIGKILL)
