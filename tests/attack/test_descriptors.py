"""Descriptors: what is dropped, half read, kept in an exception or left by a dead thread leaks none."""

import pytest

SETUP = """
gc.disable()
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "x")
def both():  # readers of the pool are open
    with store.read() as tx:
        tx.rows(q("SELECT 1"))
        crowd(1, lambda: texts(store))
peak = {"": 0, "-wal": 0, "-shm": 0}
def note():
    for suffix, count in descriptors().items(): peak[suffix] = max(peak[suffix], count)
def crowd(count, work):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
both()
baseline = descriptors()
"""

# Each is what a harness did to its own connections (the shapes A1 to A11), done to the store.
SHAPES = {
    "A1 open, use, close, while another handle stays": """
for _ in range(100):
    with Store.open(PATH, clock=wall_ms, durability="normal") as other: add(other, "x"); texts(other); note()
""",
    "A2 open, use, close, with nothing else open": """
store.close()
for _ in range(50):
    with Store.open(PATH, clock=wall_ms, durability="normal") as other: add(other, "x"); texts(other); note()
assert descriptors() == {"": 0, "-wal": 0, "-shm": 0}, descriptors()
store = Store.open(PATH, clock=wall_ms, durability="normal")
add(store, "x"); both()
""",
    "A3 threads that open at the same time": """
together = threading.Barrier(32)
def work():
    with Store.open(PATH, clock=wall_ms, durability="normal") as other:
        texts(other); together.wait(); note()
for _ in range(3): crowd(32, work)
""",
    "A4 threads that open, tick and close all the time": """
def work():
    for _ in range(20):
        with Store.open(PATH, clock=wall_ms, durability="normal") as other: add(other, "x"); texts(other)
        note()
crowd(8, work)
""",
    "A5 handles dropped, never closed": """
for _ in range(100): texts(Store.open(PATH, clock=wall_ms, durability="normal")); note()
""",
    "A6 peeks dropped, never closed": """
Store.peek(PATH, clock=wall_ms).close()  # see A11
baseline = descriptors()
for _ in range(20): texts(Store.peek(PATH, clock=wall_ms))
note()
""",
    "A7 reads left half read": """
kept = []
for _ in range(50):
    rows = iter(texts(store)); next(rows); kept.append(rows); note()
""",
    "A8 exceptions kept": """
kept = []
for _ in range(100):
    try:
        with store.write() as tx:
            tx.run(q("INSERT INTO notes (text) VALUES ('lost')")); raise RuntimeError
    except RuntimeError as error: kept.append(error)
    try:
        with store.read() as tx: tx.rows(q("SELECT absent FROM notes"))
    except Refused as error: kept.append(error)
    note()
""",
    "A9 a thousand threads that die without closing (K2)": """
def work():
    add(Store.open(PATH, clock=wall_ms, durability="normal"), "x"); texts(store)
for _ in range(100): crowd(10, work); note()
""",
    "A11 readers, writers and peeks one after another": """
# SQLite keeps a descriptor it may not close, one for each way of opening: this is the second way.
Store.peek(PATH, clock=wall_ms).close()
baseline = descriptors()
for _ in range(30):
    with Store.peek(PATH, clock=wall_ms) as peek: texts(peek)
    add(store, "x"); texts(store); note()
""",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_descriptors_come_back_to_where_they_were(make, ours, shape):
    """K1, K2. The bound is for one thread: the pool does not grow with those who use it."""
    make().close()
    child = ours(
        SETUP
        + shape
        + """
say(descriptors() == baseline, baseline, descriptors())
say(max(peak.values()) <= 3 + 4 or peak)
"""
    )
    (same, bounded) = (child.line(), child.line())
    assert same.startswith("True"), same
    assert bounded == "True"


FAILING = """
gc.disable()
import holdfast.sqlite.settings as settings, holdfast.sqlite.core as core
plain = apsw.Connection
calls, fatal = 0, -1
class Failing(plain):
    # A real connection, whose nth statement, pragma or setting finds the disk gone.
    def _count(self):
        global calls
        calls += 1
        if calls == fatal: raise apsw.IOError("the disk is gone")
    def execute(self, *args, **named): self._count(); return super().execute(*args, **named)
    def pragma(self, *args, **named): self._count(); return super().pragma(*args, **named)
    def config(self, *args): self._count(); return super().config(*args)
    def create_scalar_function(self, *args, **named):
        self._count()
        return super().create_scalar_function(*args, **named)
kept = []
def attempt(use):
    global calls
    calls = 0
    try: use()
    except (HoldfastError, apsw.Error) as error: kept.append(error); return True
    return False
def open_and_read():
    with Store.open(PATH, clock=wall_ms) as store: texts(store)
def look():
    with Store.peek(PATH, clock=wall_ms) as peek: texts(peek)
"""


@pytest.mark.parametrize("use", ["open_and_read", "look"])
def test_a_setup_that_fails_at_any_step_leaves_no_descriptor_though_the_error_is_kept(make, ours, use):
    """K3."""
    make().close()
    child = ours(
        FAILING
        + f"""
apsw.Connection = Failing
leaks, fatal = [], 1
while attempt({use}):
    if any(descriptors().values()): leaks.append((fatal, descriptors()))
    fatal += 1
say(fatal > 12, leaks)
fatal = -1
say(attempt({use}))
"""
    )
    assert child.lines() == ["True []", "False"]


@pytest.mark.parametrize("free", range(6))
def test_without_descriptors_the_error_says_so_and_it_works_once_some_are_free(make, ours, free):
    """K3, A10."""
    make().close()
    child = ours(
        """
import resource
store = Store.open(PATH, clock=wall_ms)
def use_up():
    held = []
    try:
        while True: held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        for _ in range(int(sys.argv[2])): os.close(held.pop())
    return held
def free(held):
    for fd in held: os.close(fd)
def told(attempt):
    held = use_up()
    try: attempt(); word = "fine"
    except HoldfastError as error: word = type(error).__name__ if "no more files" in str(error) else repr(error)
    finally: free(held)
    return word
add(store, "x")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
say(told(lambda: texts(store)))
texts(store)
say(told(lambda: add(store, "y")))  # everything it needs is open
store.close()
say(told(lambda: Store.open(PATH, clock=wall_ms).close()))
say(told(lambda: Store.peek(PATH, clock=wall_ms).close()))
with Store.open(PATH, clock=wall_ms) as store: say(texts(store), descriptors()[""] < 4)
""",
        free,
    )
    reading, writing, opening, peeking, after = child.lines()
    assert {reading, opening, peeking} <= {"Full", "fine"}
    assert writing == "fine"
    assert (reading, opening) == ("Full", "Full") if free < 2 else True
    assert after == "['x', 'y'] True"
