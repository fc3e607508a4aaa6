"""The log under whoever pins it: bounded after every commit, its holder named, the reserve open, over when he goes."""

import os

import pytest
from attack_helpers import INSERT, TEXTS, texts, wal_bytes

from holdfast.errors import Busy, Full

HARD, RESERVE, SOFT = 400_000, 200_000, 100_000
PAGE = "x" * 3_000


@pytest.fixture
def store(make):
    return make(wal_hard_bytes=HARD, wal_reserve_bytes=RESERVE, wal_soft_bytes=SOFT)


class Pressure:
    """Writes that would grow the log without end, and the highest it was after any of them."""

    def __init__(self, store, path):
        self._store = store
        self._path = path
        self.peak = 0

    def write(self, times, **options):
        for _ in range(times):
            try:
                with self._store.write(**options) as tx:
                    tx.run(INSERT, text=PAGE)
            finally:
                self.peak = max(self.peak, wal_bytes(self._path))

    def until_full(self):
        """Write until it is refused; return the error."""
        with pytest.raises(Full) as refused:
            self.write(1_000)
        return refused.value


@pytest.fixture
def pressure(store, path):
    pressure = Pressure(store, path)
    yield pressure
    # One commit of three pages may come on top of what the limit was asked about.
    assert pressure.peak < HARD + RESERVE + 50_000


def is_held_at_the_limit(pressure, pinner, lock):
    """The limit holds, names who is to blame, and leaves the reserve to those who free something."""
    assert f"pid {pinner.pid} (" in (said := str(pressure.until_full())), said
    assert f"holding {lock}" in said.partition(f"pid {pinner.pid} (")[2]
    assert pressure.peak < HARD + 50_000
    pressure.write(10, reserve=True)
    with pytest.raises(Full):
        pressure.write(1_000, reserve=True)


def goes_on(pressure, path):
    pressure.write(100)
    assert wal_bytes(path) < HARD + 50_000


READER = """
connection = connect()
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM notes").fetchone()
say("reading"); hear()
connection.execute("COMMIT")
say("over"); hear()
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["slow", "stopped"])
def test_a_reader_of_another_process_pins_the_log_no_further_than_its_limit(store, pressure, neighbour, path, stopped):
    reader = neighbour(READER)
    assert reader.line() == "reading"
    if stopped:
        reader.stop()
    is_held_at_the_limit(pressure, reader, "READ")
    if stopped:
        reader.go_on()
    reader.tell()
    assert reader.line() == "over"
    goes_on(pressure, path)


def test_a_long_reader_of_our_own_pins_the_log_no_further_than_its_limit(store, pressure, path):
    with store.read() as tx:
        tx.rows(TEXTS)
        said = str(pressure.until_full())
        assert "nobody seems to pin it" in said or "this process" in said
        pressure.write(10, reserve=True)
    goes_on(pressure, path)


OVERLAPPING = """
say("up"); hear()
def read(begun_ms):
    connection = connect()
    threading.Event().wait(begun_ms / 1000)
    while True:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM notes").fetchone()
        threading.Event().wait(int(sys.argv[2]) / 1000)
        connection.execute("COMMIT")
for number in range(4):
    threading.Thread(target=read, args=(number * int(sys.argv[2]) / 4,), daemon=True).start()
hear()
"""


@pytest.mark.parametrize("read_ms", [4, 50])
def test_readers_that_always_overlap_do_not_keep_us_from_writing(store, pressure, neighbour, path, read_ms):
    """Short ones cost nothing; long ones may cost a refusal, and never more room."""
    readers = neighbour(OVERLAPPING, read_ms)
    assert readers.line() == "up"
    readers.tell()
    refused = 0
    for _ in range(250 if read_ms < 10 else 60):
        try:
            pressure.write(1)
        except Full:
            refused += 1
    assert refused == 0 or read_ms > 10
    assert pressure.peak < HARD + 50_000
    readers.kill()
    goes_on(pressure, path)


def test_a_writer_that_never_checkpoints_leaves_no_log_behind_that_we_cannot_empty(store, pressure, neighbour, path):
    stranger = neighbour("""
connection = connect()
connection.execute("PRAGMA wal_autocheckpoint = 0")
for _ in range(200): add(connection, "x" * 3000)
say("grown"); hear()
""")
    assert stranger.line() == "grown"
    assert wal_bytes(path) > HARD
    pressure.peak = 0
    with store.write() as tx:
        tx.run(INSERT, text=PAGE)
    goes_on(pressure, path)


@pytest.mark.parametrize("who", ["ours", "neighbour"])
def test_a_writer_stopped_in_its_transaction_is_named_and_the_log_does_not_grow(store, path, ours, neighbour, who):
    if who == "ours":
        writer = ours("""
store = Store.open(PATH, clock=wall_ms, durability="normal")
with store.write() as tx:
    tx.run(q("INSERT INTO notes (text) VALUES ('theirs')"))
    say("in"); hear()
say("out"); hear()
""")
    else:
        writer = neighbour("""
connection = connect()
connection.execute("BEGIN IMMEDIATE")
add(connection, "theirs")
say("in"); hear()
connection.execute("COMMIT")
say("out"); hear()
""")
    assert writer.line() == "in"
    writer.stop()
    before = wal_bytes(path)
    for reserve in (False, True):
        told = rf"held by pid {writer.pid} \(.*, stopped\)"
        with pytest.raises(Busy, match=told), store.write(wait_ms=20, reserve=reserve):
            pass
    assert texts(store) == []  # nobody keeps us from reading
    assert wal_bytes(path) == before
    writer.go_on()
    writer.tell()
    assert writer.line() == "out"
    with store.write() as tx:
        tx.run(INSERT, text="ours")
    assert texts(store) == ["theirs", "ours"]


STOPPED_IN_A_CHECKPOINT = """
class Files(apsw.VFS):
    def __init__(self): super().__init__("stopping", "unix", makedefault=True)
    def xOpen(self, name, flags): return File("unix", name, flags)
class File(apsw.VFSFile):
    def __init__(self, vfs, name, flags):
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__(vfs, name, flags)
    def xWrite(self, data, offset):
        if self.name == PATH:  # in WAL mode, only a checkpoint writes here
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().xWrite(data, offset)
files = Files()
"""


def test_a_neighbour_stopped_inside_a_checkpoint_is_named_and_the_limit_holds(store, pressure, ours, path):
    pressure.write(5)
    stopped = ours(
        STOPPED_IN_A_CHECKPOINT
        + """
connection = apsw.Connection(PATH)
connection.set_busy_timeout(10_000)
connection.execute("SELECT count(*) FROM notes").fetchall()  # a checkpoint before any read does nothing
connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
say("copied"); hear()
"""
    )
    os.waitpid(stopped.pid, os.WUNTRACED)
    is_held_at_the_limit(pressure, stopped, "CKPT")
    stopped.kill()
    goes_on(pressure, path)


def test_one_of_ours_stopped_inside_a_checkpoint_holds_the_seat_and_is_named(store, ours, path):
    stopped = ours(
        STOPPED_IN_A_CHECKPOINT
        + """
store = Store.open(PATH, clock=wall_ms, durability="normal", limits=Limits(wal_soft_bytes=0))
add(store, "theirs")  # and its janitor empties the log
say("added"); hear()
"""
    )
    while not os.WIFSTOPPED(os.waitpid(stopped.pid, os.WUNTRACED)[1]):
        pass
    before = wal_bytes(path)
    with pytest.raises(Busy, match=rf"seat .* held by pid {stopped.pid} \(.*, stopped\)"), store.write(wait_ms=20):
        pass
    assert texts(store) in ([], ["theirs"])
    assert wal_bytes(path) == before
    stopped.kill()
    with store.write() as tx:
        tx.run(INSERT, text="ours")
    assert texts(store)[-1] == "ours"


def test_a_rollback_at_the_limit_is_not_itself_interrupted(make, neighbour, path, monkeypatch):
    """The bound on a transaction's growth is the body's: what ends it must get through."""
    monkeypatch.setattr("holdfast.sqlite.wal._WATCH_EVERY_STEPS", 1)  # else one statement in hundreds is asked
    store = make(wal_hard_bytes=HARD, wal_reserve_bytes=RESERVE, wal_soft_bytes=SOFT)
    reader = neighbour(READER)
    assert reader.line() == "reading"
    with pytest.raises(Full):
        Pressure(store, path).write(1_000, reserve=True)
    for _ in range(4):
        with pytest.raises(Full, match="pinned by"), store.write():
            pass


def test_without_admission_a_reader_makes_the_log_grow_past_its_limit(make, neighbour, path, monkeypatch):
    store = make(wal_hard_bytes=HARD, wal_reserve_bytes=RESERVE)
    monkeypatch.setattr(type(store._core.wal), "has_room", lambda *_args: True)
    monkeypatch.setattr(type(store._core.wal), "allow", lambda _self, reserve: None)
    reader = neighbour(READER)
    assert reader.line() == "reading"
    Pressure(store, path).write(300)
    assert wal_bytes(path) > HARD + RESERVE + 50_000
